"""The words of scenes, distortions and parts, and the map from published distortion names to the 11 classes."""

import difflib
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from iqa_datasets.errors import DatasetError

SCENES: Final = (
    "animal",
    "cityscape",
    "human",
    "indoor scene",
    "landscape",
    "night scene",
    "plant",
    "still-life",
    "others",
)
"""The 9 scenes, in the words and the order of the DEFNet paper (supplementary D). An image has one to three."""

DISTORTIONS: Final = (
    "blur",
    "color-related",
    "contrast",
    "JPEG compression",
    "JPEG2000 compression",
    "noise",
    "over-exposure",
    "quantization",
    "under-exposure",
    "spatially-localized",
    "others",
)
"""The 11 classes of distortion, in the words and the order of the DEFNet paper (supplementary D)."""

PARTS: Final = ("train", "val", "test")
"""The parts of a session."""

PART_OF_WORD: Final = MappingProxyType(
    {"training": "train", "validation": "val", "valid": "val", "testing": "test"} | {part: part for part in PARTS}
)
"""What label files call the parts, in small letters, and the part that each word means."""

_NAMES_OF_CLASS = {
    "blur": ("gaussian blur", "lens", "motion", "shifting", "realistic blur"),
    "color-related": ("diffusion", "oversaturation", "desaturation"),
    "contrast": ("contrast", "sharpness", "realistic contrast change"),
    "JPEG compression": ("jpeg compression",),
    "JPEG2000 compression": ("jpeg2000 compression", "fastfading"),
    "noise": (
        "white noise",
        "fnoise",
        "white with color",
        "impulse",
        "multiplicative",
        "white noise with denoise",
        "realistic noise",
    ),
    "over-exposure": ("brighten", "overexposure"),
    "quantization": ("color quantization", "quantization"),
    "under-exposure": ("darken", "underexposure"),
    "spatially-localized": ("jitter", "noneccentricity patch", "pixelate", "color blocking"),
    "others": ("shifting the mean", "other realistic"),
}
DISTORTION_CLASSES: Final = MappingProxyType(
    {name: distortion for distortion, names in _NAMES_OF_CLASS.items() for name in names}
)


def distortion_class(name: str) -> str:
    """Return the class, one of `DISTORTIONS`, of a distortion named as in LIQE's label files.

    Args:
        name: one of the 33 names, such as ``"realistic blur"`` or ``"white noise with denoise"``.

    Raises:
        DatasetError: the name is not one of the 33.

    Example:
        >>> distortion_class("white noise with denoise")
        'noise'
    """
    try:
        return DISTORTION_CLASSES[name]
    except (KeyError, TypeError):
        raise DatasetError(f"unknown distortion {name!r}{suggestion(name, DISTORTION_CLASSES)}") from None


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown word: the nearest known one, or all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(str(word), words, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(words)}"


def part_of(word: str, where: str, column: str) -> str:
    """Return the part that a label file means by a word, in any case of letters.

    Args:
        word: such as ``"training"``.
        where: the row, as a message starts.
        column: the title of the column, for the message.

    Raises:
        DatasetError: it is none of them.
    """
    try:
        return PART_OF_WORD[word.lower()]
    except KeyError:
        raise DatasetError(f"{where}: {column} must be one of {', '.join(PARTS)}, or empty, got {word!r}") from None
