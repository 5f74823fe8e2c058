"""From samples of any depth, and pixels of any mode, to 8-bit RGB."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Samples = npt.NDArray[Any]
Range = tuple[float, float]

WHITE: Final = (255, 255, 255)

_STRIP: Final = 4_000_000  # pixels that are converted at a time: the whole in wider numbers would be several images
_ROUNDING: Final = 1e-3  # how far outside its range a floating-point sample may lie and still be taken for its end

# Bytes that a pixel takes in Pillow's memory; RGB has a fourth.
_BYTES: Final = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}


class SampleError(ValueError):
    """Samples that are not what they must be, in a clause without a full stop."""


def needed_bytes(image: Image.Image, *, turned: bool = False) -> int:
    """Return how much memory it takes to decode an image and to make 8-bit RGB of it, strips of a few MB left out."""
    pixels = image.width * image.height
    kept = pixels * _BYTES.get(image.mode, 4)
    if image.mode != "RGB" or "transparency" in image.info:
        kept += pixels * 4
    return max(kept, pixels * 8) if turned else kept


def integer_range(highest: float, lowest: float, data_range: Range | None, bits: int | None) -> tuple[Range, str]:
    """Return the range of integer samples, and a warning where it is likely not the one that is meant.

    Args:
        highest: largest sample.
        lowest: smallest sample.
        data_range: what the caller says.
        bits: what the file says.
    """
    low, high = _checked(data_range) or (0.0, float(2 ** (bits or 16) - 1))
    if lowest < low or highest > high:
        stated = f"{high:g} is the end of {bits or 16} bits" if data_range is None else "as data_range says"
        raise SampleError(
            f"has integer samples from {lowest:.9g} to {highest:.9g}; they must lie between {low:g} and {high:g}, "
            + (stated if data_range is not None else f"since {stated}; give data_range=(lowest, highest)")
        )
    if data_range is None and (bits is None or bits == 16) and 0 < highest <= 16383:
        used = max(8, int(highest).bit_length())
        return (low, high), (
            f"16-bit samples, of which the largest is {highest:g}: it is as dark as that says; if these are "
            f"{used}-bit samples, give data_range=(0, {2**used - 1})"
        )
    return (low, high), ""


def to_8_bit(samples: Samples, limits: Range, *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Scale samples from their range to 0 … 255, rounded.

    Args:
        samples: (H, W) or (H, W, C), of any real type; within the range but for rounding.
        limits: what becomes 0 and what becomes 255.
        inverted: the lower end is white.
    """
    low, high = limits
    scaled = np.empty(samples.shape, dtype=np.uint8)
    for rows in _strips(samples):
        values = np.subtract(samples[rows], low, dtype=np.float64 if samples.dtype.itemsize > 4 else np.float32)
        values *= 255.0
        values /= high - low
        np.rint(values, out=values)
        np.clip(values, 0, 255, out=values)
        scaled[rows] = values if not inverted else 255 - values
    return scaled


def scale_integers(
    samples: Samples, data_range: Range | None, bits: int | None = None, *, inverted: bool = False
) -> tuple[npt.NDArray[np.uint8], str]:
    """Scale integer samples to 8 bits: from ``data_range``, or from what the file says, or from 16 bits."""
    limits, warning = integer_range(float(samples.max()), float(samples.min()), data_range, bits)
    if limits == (0.0, 255.0) and samples.dtype == np.uint8 and not inverted:
        return samples, ""
    return to_8_bit(samples, limits, inverted=inverted), warning


def scale_floats(samples: Samples, data_range: Range | None, *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Scale floating-point samples to 8 bits: from ``data_range``, by default [0, 1]."""
    low, high = _checked(data_range) or (0.0, 1.0)
    lowest, highest = float(samples.min()), float(samples.max())
    slack = _ROUNDING * (high - low)
    if np.isnan(lowest):
        raise SampleError(f"has floating-point samples that are not a number; they must lie in [{low:g}, {high:g}]")
    if lowest < low - slack or highest > high + slack:
        hint = "" if data_range is not None else "; give data_range=(lowest, highest) if they mean another range"
        raise SampleError(
            f"has floating-point samples from {lowest:.9g} to {highest:.9g}; they must lie in [{low:g}, {high:g}]{hint}"
        )
    return to_8_bit(samples, (low, high), inverted=inverted)


def flattened(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Lay an image with transparency over a colour, strip by strip: RGB."""
    result = Image.new("RGB", image.size, background)
    rows = max(1, _STRIP // max(1, image.width))
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        strip = image.crop(box)
        strip.info = image.info
        layer = strip.convert("RGBA")
        canvas = Image.new("RGBA", layer.size, (*background, 255))
        result.paste(Image.alpha_composite(canvas, layer).convert("RGB"), box)
    return result


def _checked(data_range: Range | None) -> Range | None:
    if data_range is not None and not data_range[0] < data_range[1] < float("inf"):
        raise SampleError(f"cannot be scaled from data_range={data_range}: the first must be the smaller")
    return data_range


def _strips(samples: Samples) -> Iterator[slice]:
    rows = max(1, _STRIP // max(1, int(np.prod(samples.shape[1:]))))
    for top in range(0, samples.shape[0], rows):
        yield slice(top, top + rows)
