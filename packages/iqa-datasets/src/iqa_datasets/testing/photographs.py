"""Drawn scenes that have what quality measures look at (edges, texture, shading, colour), and known damage to them.

An image is an array of shape (height, width, 3) in [0, 1].
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn, idctn
from scipy.ndimage import gaussian_filter

from iqa_datasets.vocabulary import DISTORTIONS

Pixels: TypeAlias = NDArray[np.float64]


def texture(height: int, width: int, rng: np.random.Generator, slope: float = 1.0) -> Pixels:
    """Return noise whose amplitude falls with frequency as 1/f^slope, as in photographs: mean 0, deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / frequency**slope
    noise = np.fft.irfft2(spectrum, s=(height, width))
    return np.asarray((noise - noise.mean()) / noise.std())


def _paint(canvas: Pixels, where: NDArray[np.bool_], colour: tuple[float, float, float], shade: Pixels) -> None:
    canvas[where] = np.asarray(colour) * (1 + 0.35 * shade[where, None])


def _landscape(canvas: Pixels, y: Pixels, x: Pixels, rng: np.random.Generator) -> None:
    height, width = y.shape
    canvas[:] = np.array([0.45, 0.65, 0.95]) + 0.35 * y[..., None] + 0.05 * texture(height, width, rng, 1.6)[..., None]
    for depth, colour in enumerate([(0.35, 0.45, 0.55), (0.3, 0.5, 0.3), (0.45, 0.4, 0.2)]):
        line = 0.4 + 0.18 * depth + 0.06 * np.sin(x * rng.uniform(4, 9) + rng.uniform(0, 6))
        _paint(canvas, y > line, colour, texture(height, width, rng, 0.8))


def _cityscape(canvas: Pixels, y: Pixels, x: Pixels, rng: np.random.Generator) -> None:
    height, width = y.shape
    canvas[:] = np.array([0.75, 0.78, 0.82]) - 0.15 * y[..., None]
    for left in np.arange(0, 1, 0.16):
        house = (x >= left) & (x < left + rng.uniform(0.11, 0.16)) & (y > rng.uniform(0.1, 0.5))
        _paint(canvas, house, tuple(rng.uniform(0.3, 0.75, 3)), 0.4 * texture(height, width, rng))
        windows = house & ((x * 40) % 1.6 > 0.9) & ((y * 30) % 1.8 > 1.0)
        canvas[windows] = rng.choice([0.12, 0.9])


def _plant(canvas: Pixels, y: Pixels, x: Pixels, rng: np.random.Generator) -> None:
    height, width = y.shape
    canvas[:] = np.array([0.12, 0.22, 0.1]) * (1 + 0.3 * texture(height, width, rng)[..., None])
    for _ in range(45):
        angle, (cx, cy) = rng.uniform(0, np.pi), rng.uniform(0, 1, 2)
        along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
        across = (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        leaf = (along / 0.16) ** 2 + (across / 0.045) ** 2 < 1
        vein = np.cos(across[leaf] * 400 + along[leaf] * 150)
        colour = np.array([rng.uniform(0.2, 0.5), rng.uniform(0.5, 0.85), 0.2])
        canvas[leaf] = colour * (1 + 0.18 * vein + 1.4 * across[leaf])[:, None]


def _night(canvas: Pixels, y: Pixels, x: Pixels, rng: np.random.Generator) -> None:
    height, width = y.shape
    canvas[:] = np.array([0.05, 0.06, 0.14]) * (1 + 0.4 * texture(height, width, rng)[..., None])
    for _ in range(30):
        cx, cy = rng.uniform(0, 1, 2)
        distance = np.hypot(x - cx, y - cy)
        near = distance < 0.12
        light = np.exp(-distance[near] / rng.uniform(0.01, 0.03)) + (distance[near] < 0.012)
        canvas[near] += light[:, None] * np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.9)])


DRAWINGS: Final[dict[str, Callable[[Pixels, Pixels, Pixels, np.random.Generator], None]]] = {
    "landscape": _landscape,
    "cityscape": _cityscape,
    "plant": _plant,
    "night": _night,
}


def draw(scene: str, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Return an undamaged drawing of a scene, one of `DRAWINGS`, in LIQE's words."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    canvas = np.zeros((height, width, 3))
    DRAWINGS[scene](canvas, y, x, rng)
    return canvas.clip(0, 1)


def _block_transform(image: Pixels, step: float) -> Pixels:
    """Round the coefficients of each block of 8 × 8 pixels, as JPEG does, coarser where frequency is higher."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 8), (0, -width % 8), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 8, 8, padded.shape[1] // 8, 8, 3)
    coefficients = dctn(blocks, axes=(1, 3), norm="ortho")
    steps = step * (1 + np.add.outer(np.arange(8), np.arange(8)) / 4)[None, :, None, :, None]
    rounded = idctn(np.round(coefficients / steps) * steps, axes=(1, 3), norm="ortho")
    return np.asarray(rounded.reshape(padded.shape)[:height, :width])


def _wavelets(image: Pixels, threshold: float) -> Pixels:
    """Drop the small coefficients of a Haar transform over four octaves, as JPEG2000 drops those of its wavelets."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    details = []
    for _ in range(4):
        rows = padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, 3
        coarse = padded.reshape(rows).mean(axis=(1, 3))
        detail = padded - coarse.repeat(2, 0).repeat(2, 1)
        details.append(np.where(np.abs(detail) > threshold, detail, 0))
        padded = coarse
    for detail in reversed(details):
        padded = padded.repeat(2, 0).repeat(2, 1) + detail
    return np.asarray(padded[:height, :width])


def _patches(image: Pixels, severity: float, rng: np.random.Generator) -> Pixels:
    """Put flat blocks over the picture, the more the worse; milder damage is a part of worse damage."""
    damaged = image.copy()
    side = max(min(image.shape[:2]) // 8, 1)
    for _ in range(round(25 * severity)):
        top, left = (int(rng.integers(0, length - side + 1)) for length in image.shape[:2])
        damaged[top : top + side, left : left + side] = rng.uniform(0, 1, 3)
    return damaged


def damage(image: Pixels, distortion: str, severity: float, rng: np.random.Generator) -> Pixels:
    """Return the image damaged by a class of `DISTORTIONS`, from not at all (severity 0) to badly (1)."""
    match distortion:
        case "blur":
            damaged = gaussian_filter(image, (4.5 * severity, 4.5 * severity, 0))
        case "noise":
            damaged = image + rng.normal(0, 0.25 * severity, image.shape)
        case "under-exposure":
            damaged = image * (1 - 0.92 * severity)
        case "over-exposure":
            damaged = image * (1 + 2.5 * severity) + 0.25 * severity
        case "contrast":
            damaged = image.mean() + (image - image.mean()) * (1 - 0.92 * severity)
        case "color-related":
            grey = image.mean(axis=2, keepdims=True)
            damaged = grey + (image - grey) * (1 - severity)
        case "JPEG compression":
            damaged = _block_transform(image, 0.8 * severity) if severity else image
        case "JPEG2000 compression":
            damaged = _wavelets(image, 0.25 * severity)
        case "quantization":
            damaged = np.round(image / (0.4 * severity)) * 0.4 * severity if severity else image
        case "spatially-localized":
            damaged = _patches(image, severity, rng)
        case "others":
            # Label files call "other" what has no fault of a kind of its own; in LIVE-C these are the best rated.
            damaged = image + rng.normal(0, 0.02 * severity, image.shape)
        case _:
            raise ValueError(f"distortion must be one of {', '.join(DISTORTIONS)}, got {distortion!r}")
    return np.asarray(damaged.clip(0, 1))


def save_picture(pixels: Pixels, path: Path, size: tuple[int, int] | None = None) -> None:
    """Save pixels in [0, 1] in the format of the file's suffix, enlarged to a (width, height) if one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray((pixels * 255 + 0.5).astype(np.uint8))
    if size is not None and size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC)
    image.save(path, quality=95)
