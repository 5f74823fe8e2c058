"""Opening an image as its author meant it: 8-bit sRGB, upright, whole, or an error that says why not."""

import os
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from iqa_datasets.errors import ImageError, ImageWarning
from iqa_datasets.image_decoding import Reader
from iqa_datasets.image_formats import IMAGE_SUFFIXES
from iqa_datasets.image_sources import opened_file
from iqa_datasets.pixel_formats import WHITE, Range

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_MEMORY",
    "MAX_PIXELS",
    "ImageError",
    "ImageSource",
    "ImageWarning",
    "OpenedImage",
    "open_image",
    "open_image_with_warnings",
]

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image | npt.NDArray[Any]

MAX_PIXELS: Final = 178_956_970
"""Default limit on width times height: where Pillow itself refuses a file. A 108-megapixel photograph passes."""

MAX_MEMORY: Final = 2 * 1024**3
"""Default limit on the bytes that decoding takes, at its peak: an RGBA image of `MAX_PIXELS` needs 1.4 GiB."""


@dataclass(frozen=True)
class OpenedImage:
    """An image, and what is to be known about it.

    Attributes:
        image: mode RGB, upright, sRGB.
        path: the file, or a word for an image that has none.
        size: (width, height) of the whole upright image, of which ``image`` may be a coarser decoding (``at_least``).
        frame: the frame that it is, from 0.
        frames: number of frames of the file. Thumbnails and reductions of a TIFF file are none.
        warnings: clauses without a full stop, such as ``"frame 1 of 3"``; empty where all is right.
    """

    image: Image.Image
    path: str
    size: tuple[int, int]
    frame: int = 0
    frames: int = 1
    warnings: tuple[str, ...] = ()


def open_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    max_memory: int = MAX_MEMORY,
    background: tuple[int, int, int] = WHITE,
    data_range: Range | float | None = None,
    frame: int = 0,
    at_least: int | None = None,
) -> Image.Image:
    """Open an image as 8-bit sRGB, upright.

    The orientation tag (EXIF or XMP) is applied, and so is an embedded colour profile. Greyscale and palettes become
    RGB, transparency is laid over ``background``, deeper samples are scaled to 8 bits by the bits that the file says
    they have, CMYK without a profile is converted as Pillow does it. A truncated file is an error even where the
    process has set Pillow's ``LOAD_TRUNCATED_IMAGES``. HEIC and JPEG XL are read where a plugin for them is installed.
    What a reader should know and would not see is an `ImageWarning`; `open_image_with_warnings` returns it.

    Args:
        source: A path; ``"-"`` for standard input; the bytes of a file; a binary file object; a PIL image; or an array
            (H, W) or (H, W, C) with 1, 3 or 4 channels: uint8 in 0–255, uint16 in 0–65535, bool, or floating point in
            [0, 1]. A fourth channel is opacity.
        max_pixels: Largest width times height, checked before any pixel is decoded.
        max_memory: Largest number of bytes that decoding may take at its peak, checked before any pixel is decoded.
        background: RGB colour, 0–255, that shows through transparent pixels.
        data_range: The lowest and the highest value that samples may have, or the highest where 0 is the lowest:
            ``4095`` for 12-bit samples in an array of uint16. For arrays, and for files of more than 8 bits or of
            floating point; by default what the type or the file says.
        frame: Which image of a file that holds several, from 0.
        at_least: Decode only as finely as needed for this many pixels on the short side. A JPEG file is then decoded
            at 1/2, 1/4 or 1/8 of its size, which is several times faster; other formats come whole.

    Returns:
        An image of mode RGB. It is ``source`` itself where that is an RGB image already upright and without a profile.

    Raises:
        ImageError: The file is missing, empty, damaged, truncated, no image, too large, of a format or pixel format
            that cannot be read here, or has no such frame.
        TypeError: ``source`` is none of the kinds above.

    Example:
        >>> open_image(np.full((2, 3), 65535, dtype=np.uint16)).getpixel((0, 0))
        (255, 255, 255)
    """
    opened = open_image_with_warnings(
        source,
        max_pixels=max_pixels,
        max_memory=max_memory,
        background=background,
        data_range=data_range,
        frame=frame,
        at_least=at_least,
    )
    for warning in opened.warnings:
        warnings.warn(f"{opened.path}: {warning}.", ImageWarning, stacklevel=2)
    return opened.image


def open_image_with_warnings(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    max_memory: int = MAX_MEMORY,
    background: tuple[int, int, int] = WHITE,
    data_range: Range | float | None = None,
    frame: int = 0,
    at_least: int | None = None,
) -> OpenedImage:
    """Open an image as `open_image` does, and return with it what its reader should know.

    Example:
        >>> opened = open_image_with_warnings(np.full((2, 3), 4095, dtype=np.uint16))
        >>> opened.warnings
        ('16-bit samples, of which the largest is 4095: it is as dark as that says; if these are 12-bit samples, give data_range=(0, 4095)',)
    """  # noqa: E501
    reader = Reader(
        max_pixels=max_pixels,
        max_memory=max_memory,
        background=background,
        data_range=None if data_range is None else _limits(data_range),
        frame=frame,
        at_least=at_least,
    )
    if isinstance(source, np.ndarray):
        found = reader.array(source)
    elif isinstance(source, Image.Image):
        found = reader.image(source, os.fsdecode(getattr(source, "filename", "") or "") or "<image>")
    else:
        with opened_file(source, max_pixels) as (image, name, messages):
            found = reader.image(image, name, messages)
    return OpenedImage(found.image, found.name, found.size, found.frame, found.frames, tuple(found.warnings))


def _limits(data_range: Range | float) -> Range:
    if isinstance(data_range, int | float):
        return 0.0, float(data_range)
    low, high = data_range
    return float(low), float(high)
