"""Faults of capture, as photographs of SPAQ and KonIQ-10k have them: computed in linear light, as a sensor sees it."""

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from iqa_datasets.synthesis.kadid import convolve, disk
from iqa_datasets.synthesis.pixels import Pixels, to_linear, to_srgb


def camera_shake(image: Pixels, length: float, rng: np.random.Generator) -> Pixels:
    """Blur along the path of a shaking hand, this many pixels long.

    The path is a smooth random walk: its direction turns slowly, its speed varies. Lights smear to streaks because the
    blur is of light and not of stored values.
    """
    points = 200
    turn = gaussian_filter1d(rng.standard_normal(points), 40)
    angle = rng.uniform(0, 2 * np.pi) + 1.2 * turn / max(float(np.abs(turn).max()), 1e-6)
    speed = 1 + 0.5 * gaussian_filter1d(rng.standard_normal(points), 20) * np.sqrt(20)
    steps = np.clip(speed, 0.3, None)[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    path = np.cumsum(steps, axis=0)
    path *= length / np.linalg.norm(steps, axis=1).sum()
    path -= (path.max(axis=0) + path.min(axis=0)) / 2
    reach = int(np.ceil(np.abs(path).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    low = np.floor(path).astype(int)
    share = path - low
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - share[:, 0]) * np.abs(1 - right - share[:, 1])
            np.add.at(kernel, (low[:, 0] + down + reach, low[:, 1] + right + reach), weight)
    return to_srgb(convolve(to_linear(image), kernel / kernel.sum()))


def defocus(image: Pixels, radius: float) -> Pixels:
    """Blur by a circle of confusion of this radius in pixels, its rim softened by a Gaussian of a fifth of it."""
    kernel = disk(radius)
    soft = 0.2 * radius
    margin = int(np.ceil(3 * soft))
    kernel = gaussian_filter(np.pad(kernel, margin), soft)
    return to_srgb(convolve(to_linear(image), kernel / kernel.sum()))


def under_exposure(image: Pixels, stops: float, rng: np.random.Generator) -> Pixels:
    """Take away this many stops of light; the sensor's noise stays as it is and so grows beside the picture."""
    light = to_linear(image) * np.float32(2.0**-stops)
    return to_srgb(_sensor(light, full_well=8000 / 2**stops, read_noise=0.0006, rng=rng))


def over_exposure(image: Pixels, stops: float) -> Pixels:
    """Add this many stops of light: what exceeds the sensor's range is lost, with glare around it."""
    light = to_linear(image) * np.float32(2.0**stops)
    # Light scattered in the lens: a small share of all that falls on it, clipped highlights included.
    deviation = 0.02 * max(image.shape[:2])
    glare: Pixels = gaussian_filter(np.minimum(light, np.float32(8)), (deviation, deviation, 0), mode="nearest")
    return to_srgb(np.float32(0.96) * light + np.float32(0.04) * glare)


def sensor_noise(image: Pixels, gain: float, rng: np.random.Generator) -> Pixels:
    """Add a sensor's shot and read noise at this gain (1: base sensitivity), spread to neighbours by demosaicing."""
    return to_srgb(_sensor(to_linear(image), full_well=6000 / gain, read_noise=0.0004 * gain, rng=rng))


def _sensor(light: Pixels, full_well: float, read_noise: float, rng: np.random.Generator) -> Pixels:
    """Return light as a sensor counts it: Poisson of the electrons, Gaussian of the amplifier, a Bayer pattern's blur.

    Args:
        light: linear light, 1 being white.
        full_well: electrons of white.
        read_noise: deviation of the amplifier's noise, white being 1.
        rng: the generator.
    """
    electrons = np.clip(light, 0, 4) * full_well
    shot = rng.poisson(electrons).astype(np.float32) / np.float32(full_well) - light
    noise = shot + np.float32(read_noise) * rng.standard_normal(light.shape, dtype=np.float32)
    # Red and blue are measured at every fourth pixel and green at every second, and interpolated between.
    spread = np.stack(
        [gaussian_filter(noise[..., plane], width) for plane, width in enumerate((0.8, 0.5, 0.8))], axis=2
    )
    return np.asarray(light + spread, dtype=np.float32)
