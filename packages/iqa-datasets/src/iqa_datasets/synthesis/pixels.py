"""What distortions are written with: images as float32 arrays, linear light, and colour spaces."""

import warnings
from types import ModuleType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.float32]
"""An image of shape (H, W, 3), RGB as stored (gamma-encoded), in [0, 1]."""


def to_pixels(image: NDArray[np.uint8]) -> Pixels:
    """Return an 8-bit image as `Pixels`."""
    return image.astype(np.float32) / np.float32(255)


def to_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Return pixels rounded to 8 bits; what left [0, 1] is clipped, as a screen would."""
    scaled: NDArray[np.uint8] = (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)
    return scaled


def to_linear(pixels: Pixels) -> Pixels:
    """Return sRGB values as linear light (IEC 61966-2-1)."""
    low = pixels / np.float32(12.92)
    high = ((pixels + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(pixels <= 0.04045, low, high)


def to_srgb(light: Pixels) -> Pixels:
    """Return linear light in [0, 1] as sRGB values (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    low = light * np.float32(12.92)
    high = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= 0.0031308, low, high)


def to_lab(pixels: Pixels) -> Pixels:
    """Return CIELAB under D65: L in [0, 100], a and b around 0. Needs the extra `synthesize`."""
    return np.asarray(_color().rgb2lab(pixels), dtype=np.float32)


def from_lab(lab: Pixels) -> Pixels:
    """Return CIELAB as sRGB; colours outside the gamut are clipped."""
    # Its warning counts the pixels with negative Z, which distorted colours have.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*negative Z values")
        return np.asarray(_color().lab2rgb(lab), dtype=np.float32)


def _color() -> ModuleType:
    try:
        from skimage import color
    except ImportError as error:
        raise ImportError('colour distortions need scikit-image: pip install "iqa-datasets[synthesize]"') from error
    assert isinstance(color, ModuleType)  # noqa: S101 - for the type checker
    return color


# BT.601 with the full range, as JPEG has it.
_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)


def to_ycbcr(pixels: Pixels) -> Pixels:
    """Return luma and two chroma planes (BT.601, full range), chroma around 0."""
    return pixels @ _YCBCR.T


def from_ycbcr(planes: Pixels) -> Pixels:
    """Return the inverse of `to_ycbcr`."""
    return planes @ np.linalg.inv(_YCBCR).T.astype(np.float32)


def luma(pixels: Pixels) -> NDArray[np.float32]:
    """Return BT.601 luma, shape (H, W)."""
    return np.asarray(pixels @ _YCBCR[0])
