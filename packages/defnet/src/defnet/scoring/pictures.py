"""What a page shows of a scored image beside its score: a thumbnail, and how good its sub-images are."""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

THUMBNAIL_SIDE: Final = 256
"""Longest side of a thumbnail in pixels."""

_ATTEMPTS: Final = (
    (256, 72),
    (256, 50),
    (256, 30),
    (256, 18),
    (192, 30),
    (128, 40),
    (96, 40),
    (64, 30),
    (32, 20),
    (16, 5),
)
"""Longest sides and WebP qualities, in the order in which they are tried."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the upright image."""


@dataclass(frozen=True)
class Picture:
    """What is kept of an image while it is decoded.

    Attributes:
        thumbnail: a WebP file of at most `THUMBNAIL_SIDE` pixels; empty where none was asked for.
        size: (width, height) of the upright image.
        boxes: where its sub-images lie in it.
    """

    thumbnail: bytes
    size: tuple[int, int]
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class LocalQuality:
    """How good the sub-images of an image are, each by itself.

    Attributes:
        size: (width, height) of the upright image.
        boxes: where the sub-images lie in it.
        quality: δ of the evidence of each (DEFNet, Eq. 17), on the scale of scores but not cut to it.
        std: root of the predictive variance of that evidence: the network's own, which no calibration has seen.
    """

    size: tuple[int, int]
    boxes: tuple[Box, ...]
    quality: tuple[float, ...]
    std: tuple[float, ...]


def thumbnail(image: Image.Image, limit: int) -> bytes:
    """An image as a small WebP file.

    The picture is made smaller and coarser until the file keeps to the limit, so that the size of a page of so many
    pictures is known beforehand.

    Args:
        image: an RGB image.
        limit: bytes that the file may have at most, from 200 on. 0 for no thumbnail.
    """
    if limit <= 0:
        return b""
    small = image
    content = b""
    for side, quality in _ATTEMPTS:
        if max(small.size) > side:
            scale = side / max(small.size)
            size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
            small = small.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        stream = io.BytesIO()
        small.save(stream, "WEBP", quality=quality, method=2)
        content = stream.getvalue()
        if len(content) <= limit:
            break
    return content
