# ruff: noqa: E501 - the table of types is read by its columns
"""Which distortions there are, with their settings, severities and names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.errors import DatasetError
from iqa_datasets.synthesis import capture, kadid
from iqa_datasets.synthesis.pixels import Pixels, to_bytes, to_pixels
from iqa_datasets.vocabulary import distortion_class, suggestion

LEVELS: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Distortion:
    """One type of distortion.

    Attributes:
        code: ``"01"`` to ``"25"`` as in KADID-10k's file names, ``"c1"`` to ``"c5"`` for faults of capture.
        name: its id, in kebab case.
        title: its name as published.
        group: what kind it is: blurs, color, compression, noise, brightness, spatial, sharpness, or capture.
        settings: what the function is given at levels 1 to 5.
        severity: how far each level is from the original, 1 the least; equal where two settings lie on either side of
            the original at the same distance.
        liqe_name: its name in LIQE's label files, one of the 33.
        function: from an image and a setting, and a generator if it is random, to the distorted image.
        random: whether it draws random numbers.
    """

    code: str
    name: str
    title: str
    group: str
    settings: tuple[float, float, float, float, float]
    severity: tuple[int, int, int, int, int]
    liqe_name: str
    function: Callable[..., Pixels]
    random: bool = False

    @property
    def distortion(self) -> str:
        """Its class, one of `DISTORTIONS`."""
        return distortion_class(self.liqe_name)

    def apply(self, image: NDArray[np.uint8], level: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return an image of shape (H, W, 3), 8-bit RGB, distorted at a level from 1 to 5.

        Raises:
            DatasetError: the level or the image is not as said, or the image is too small for this type.
            ImportError: the type needs scikit-image, which is not installed.
        """
        if level not in LEVELS:
            raise DatasetError(f"level must be 1 to 5, got {level!r}")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise DatasetError(f"an image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
        drawn = (rng,) if self.random else ()
        return to_bytes(self.function(to_pixels(image), self.settings[level - 1], *drawn))


_RISING = (1, 2, 3, 4, 5)

# Settings and order as in KADID-10k. LIQE calls 07 oversaturation and 08 desaturation; 07 takes colour away and 08 adds
# it, so that the names are given here the way round that the images are.
# fmt: off
DISTORTION_TYPES: Final = (
    Distortion("01", "gaussian-blur", "Gaussian blur", "blurs", (0.1, 0.5, 1, 2, 5), _RISING, "gaussian blur", kadid.gaussian_blur),
    Distortion("02", "lens-blur", "Lens blur", "blurs", (1, 2, 4, 6, 8), _RISING, "lens", kadid.lens_blur),
    Distortion("03", "motion-blur", "Motion blur", "blurs", (1, 2, 4, 6, 10), _RISING, "motion", kadid.motion_blur, random=True),
    Distortion("04", "color-diffusion", "Color diffusion", "color", (1, 3, 6, 8, 12), _RISING, "diffusion", kadid.color_diffusion),
    Distortion("05", "color-shift", "Color shift", "color", (1, 3, 6, 8, 12), _RISING, "shifting", kadid.color_shift, random=True),
    Distortion("06", "color-quantization", "Color quantization", "color", (64, 48, 32, 16, 8), _RISING, "color quantization", kadid.color_quantization),
    Distortion("07", "color-saturation-hsv", "Color saturation 1", "color", (0.4, 0.2, 0.1, 0, -0.4), _RISING, "desaturation", kadid.color_saturation_hsv),
    Distortion("08", "color-saturation-lab", "Color saturation 2", "color", (1, 2, 3, 6, 9), _RISING, "oversaturation", kadid.color_saturation_lab),
    Distortion("09", "jpeg2000", "JPEG2000", "compression", (16, 32, 45, 120, 400), _RISING, "jpeg2000 compression", kadid.jpeg2000),
    Distortion("10", "jpeg", "JPEG", "compression", (43, 36, 24, 7, 4), _RISING, "jpeg compression", kadid.jpeg),
    Distortion("11", "white-noise", "White noise", "noise", (0.001, 0.002, 0.003, 0.005, 0.01), _RISING, "white noise", kadid.white_noise, random=True),
    Distortion("12", "white-noise-ycbcr", "White noise in color component", "noise", (0.0001, 0.0005, 0.001, 0.002, 0.003), _RISING, "white with color", kadid.white_noise_ycbcr, random=True),
    Distortion("13", "impulse-noise", "Impulse noise", "noise", (0.001, 0.005, 0.01, 0.02, 0.03), _RISING, "impulse", kadid.impulse_noise, random=True),
    Distortion("14", "multiplicative-noise", "Multiplicative noise", "noise", (0.001, 0.005, 0.01, 0.02, 0.05), _RISING, "multiplicative", kadid.multiplicative_noise, random=True),
    Distortion("15", "denoise", "Denoise", "noise", (0.01, 0.03, 0.05, 0.1, 0.15), _RISING, "white noise with denoise", kadid.denoise, random=True),
    Distortion("16", "brighten", "Brighten", "brightness", (0.1, 0.2, 0.4, 0.7, 1.1), _RISING, "brighten", kadid.brighten),
    Distortion("17", "darken", "Darken", "brightness", (0.05, 0.1, 0.2, 0.4, 0.8), _RISING, "darken", kadid.darken),
    Distortion("18", "mean-shift", "Mean shift", "brightness", (0.15, 0.08, 0, -0.08, -0.15), (3, 2, 1, 2, 3), "shifting the mean", kadid.mean_shift),
    Distortion("19", "jitter", "Jitter", "spatial", (0.05, 0.1, 0.2, 0.5, 1), _RISING, "jitter", kadid.jitter, random=True),
    Distortion("20", "non-eccentricity-patch", "Non-eccentricity patch", "spatial", (20, 40, 60, 80, 100), _RISING, "noneccentricity patch", kadid.non_eccentricity_patch, random=True),
    Distortion("21", "pixelate", "Pixelate", "spatial", (0.01, 0.05, 0.1, 0.2, 0.5), _RISING, "pixelate", kadid.pixelate),
    Distortion("22", "quantization", "Quantization", "spatial", (20, 16, 13, 10, 7), _RISING, "quantization", kadid.quantization),
    Distortion("23", "color-block", "Color block", "spatial", (2, 4, 6, 8, 10), _RISING, "color blocking", kadid.color_block, random=True),
    Distortion("24", "high-sharpen", "High sharpen", "sharpness", (1, 2, 3, 6, 12), _RISING, "sharpness", kadid.high_sharpen),
    # The tone curve leaves the image as it is at -0.2, so that 0 and -0.4 are equally far from it; so are 0.3 and -0.6 by
    # CIEDE2000 (7.5 and 7.6, benchmarks/severity.csv) and to KADID-10k's raters (3.4 and 3.3).
    Distortion("25", "contrast-change", "Contrast change", "sharpness", (0.3, 0.15, 0, -0.4, -0.6), (3, 2, 1, 1, 3), "contrast", kadid.contrast_change),
    Distortion("c1", "camera-shake", "Camera shake", "capture", (4, 8, 14, 22, 32), _RISING, "motion", capture.camera_shake, random=True),
    Distortion("c2", "defocus", "Defocus", "capture", (1, 2, 3.5, 5.5, 8), _RISING, "lens", capture.defocus),
    Distortion("c3", "under-exposure", "Under-exposure", "capture", (1, 2, 3, 4, 5), _RISING, "underexposure", capture.under_exposure, random=True),
    Distortion("c4", "over-exposure", "Over-exposure", "capture", (0.5, 1, 1.5, 2.2, 3), _RISING, "overexposure", capture.over_exposure),
    Distortion("c5", "sensor-noise", "Sensor noise", "capture", (4, 16, 40, 100, 250), _RISING, "realistic noise", capture.sensor_noise, random=True),
)
"""KADID-10k's 25 types, then five faults of capture."""

GROUPS: Final = tuple(dict.fromkeys(one.group for one in DISTORTION_TYPES))


def distortions_table() -> str:
    """The table `distortions` of a declaration `iqa-dataset.toml` whose column of distortions holds these titles."""
    return "[distortions]\n" + "".join(f'"{one.title}" = "{one.liqe_name}"\n' for one in DISTORTION_TYPES)


def chosen_types(words: Iterable[str] | None) -> tuple[Distortion, ...]:
    """Return the types that are asked for, each once, in the order of `DISTORTION_TYPES`.

    Args:
        words: names, codes, groups, or ``"kadid"`` for all of KADID-10k's; None for all types.

    Raises:
        DatasetError: a word is none of these, or there is none.

    Example:
        >>> [one.name for one in chosen_types(["jpeg", "01", "sharpness"])]
        ['gaussian-blur', 'jpeg', 'high-sharpen', 'contrast-change']
    """
    if words is None:
        return DISTORTION_TYPES
    known: dict[str, set[str]] = {}
    for one in DISTORTION_TYPES:
        words_of_it = [one.code, one.name, one.group, *(["kadid"] if one.group != "capture" else [])]
        for word in words_of_it:
            known.setdefault(word, set()).add(one.code)
    asked: set[str] = set()
    for word in words:
        if word not in known:
            raise DatasetError(f"unknown distortion type {word!r}{suggestion(word, known)}")
        asked |= known[word]
    if not asked:
        raise DatasetError("types must name one distortion type or more")
    return tuple(one for one in DISTORTION_TYPES if one.code in asked)
