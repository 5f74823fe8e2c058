"""Opening an image as its author meant it: 8-bit RGB, upright, whole, or an error that says why not."""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

ImageSource = str | os.PathLike[str] | Image.Image | npt.NDArray[Any]

MAX_PIXELS = 178_956_970
"""Default limit on width times height: where Pillow itself refuses a file. A 108-megapixel photograph passes."""

WHITE = (255, 255, 255)

# Raster formats of photographs. Pillow's other readers are left out on purpose: EPS would start Ghostscript.
_FORMATS = frozenset(
    {"AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "JPEGXL", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP"}
)

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's readers raise on damaged data; anything else is a bug and must not be taken for a bad file.
_DAMAGE = (
    OSError,
    RuntimeError,  # AVIF's reader
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
)

# Pillow keeps its limits in module globals: whoever changes them for a call holds this lock.
_pillow_globals = threading.Lock()


class ImageError(ValueError):
    """An image that cannot be used, and why.

    Args:
        path: The file, or a word for an image that has none.
        reason: What is wrong with it, as a clause without a full stop.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error survives pickling between processes
        self.path = os.fspath(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}."


def open_image(
    source: ImageSource, *, max_pixels: int = MAX_PIXELS, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """Open an image as 8-bit RGB, upright.

    The orientation tag (EXIF or XMP) is applied. Greyscale and palettes become RGB, transparency is laid over
    ``background``, 16-bit samples are scaled to 8 bits (0–65535 to 0–255, rounded), CMYK is converted as Pillow does
    it, of several frames the first is taken. Embedded colour profiles are not applied. JPEG files are always decoded
    at full size. A truncated file is an error even where the process has set Pillow's ``LOAD_TRUNCATED_IMAGES``.

    Args:
        source: A path, a PIL image, or an array (H, W) or (H, W, C) with 1, 3 or 4 channels: uint8 in 0–255, uint16
            in 0–65535, bool, or floating point in [0, 1]. A fourth channel is opacity.
        max_pixels: Largest width times height, checked before any pixel is decoded.
        background: RGB colour, 0–255, that shows through transparent pixels.

    Returns:
        An image of mode RGB. It is ``source`` itself where that is an RGB image already upright.

    Raises:
        ImageError: The file is missing, empty, damaged, truncated, no image, too large, or of an unknown pixel format.
        TypeError: ``source`` is none of the kinds above.

    Example:
        >>> open_image(np.full((2, 3), 65535, dtype=np.uint16)).getpixel((0, 0))
        (255, 255, 255)
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels, background)
    if isinstance(source, Image.Image):
        name = os.fsdecode(getattr(source, "filename", "")) or "<image>"
        return _decode(source, name, max_pixels, background)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        with _opened(path) as image:
            return _decode(image, path, max_pixels, background)
    raise TypeError(f"source must be a path, a PIL image or a numpy array, got {type(source).__name__}.")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        if path.stat().st_size == 0:
            raise ImageError(path, "the file is empty")
    except FileNotFoundError:
        raise ImageError(path, "there is no such file") from None
    except OSError as error:
        raise ImageError(path, f"cannot be read ({error.strerror})") from error
    if path.is_dir():
        raise ImageError(path, "is a folder, not an image")
    Image.init()
    formats = [name for name in Image.OPEN if name in _FORMATS]
    try:
        with _pillow_globals:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the header only; checked in _decode
            try:
                image = Image.open(path, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = limit
    except UnidentifiedImageError:
        raise ImageError(path, "is not an image in a format that can be read") from None
    except _DAMAGE as error:
        raise ImageError(path, f"cannot be opened as an image ({_first_line(error)})") from error
    with image:
        yield image


def _decode(
    image: Image.Image, path: str | os.PathLike[str], max_pixels: int, background: tuple[int, int, int]
) -> Image.Image:
    _check_size(image.width, image.height, path, max_pixels)
    try:
        with _refuse_truncated:
            image.load()
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise ImageError(path, f"is damaged or truncated ({_first_line(error)})") from error
    # After load(), because TIFF turns itself upright there and drops its tag.
    orientation = _orientation(image)
    image = _to_rgb(image, path, background)
    return image.transpose(_TRANSPOSITIONS[orientation]) if orientation in _TRANSPOSITIONS else image


class _RefuseTruncated:
    """Keeps Pillow's ``LOAD_TRUNCATED_IMAGES`` off while any thread decodes here.

    Other packages set that switch for the whole process, and then a damaged file would be scored as if it were whole.
    The last thread to leave puts back what the first one found, so threads decode side by side.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._found = False

    def __enter__(self) -> None:
        with _pillow_globals:
            if self._inside == 0:
                self._found = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with _pillow_globals:
            self._inside -= 1
            if self._inside == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = self._found


_refuse_truncated = _RefuseTruncated()


def _check_size(width: int, height: int, path: str | os.PathLike[str], max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(path, f"has no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise ImageError(
            path, f"has {width}x{height} = {width * height:,} pixels, more than the {max_pixels:,} allowed"
        )


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        return 1  # a broken block of metadata does not make the picture unreadable
    return orientation if isinstance(orientation, int) else 1


def _to_rgb(image: Image.Image, path: str | os.PathLike[str], background: tuple[int, int, int]) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
        return Image.fromarray(_scale_16_bit(np.asarray(image), path)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(_scale_float(np.asarray(image), path)).convert("RGB")
    try:
        if image.has_transparency_data:
            layer = image.convert("RGBA")
            canvas = Image.new("RGBA", layer.size, (*background, 255))
            return Image.alpha_composite(canvas, layer).convert("RGB")
        return image if image.mode == "RGB" else image.convert("RGB")
    except _DAMAGE as error:
        raise ImageError(path, f"has the pixel format {image.mode}, which cannot be turned into RGB") from error


def _scale_16_bit(samples: npt.NDArray[Any], path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        raise ImageError(path, f"has integer samples from {low} to {high}; 16-bit samples lie between 0 and 65535")
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _scale_float(samples: npt.NDArray[Any], path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    low, high = float(samples.min()), float(samples.max())
    if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
        raise ImageError(path, f"has floating-point samples from {low:g} to {high:g}; they must lie in [0, 1]")
    scaled: npt.NDArray[np.uint8] = np.rint(samples.astype(np.float32) * 255.0).astype(np.uint8)
    return scaled


def _from_array(array: npt.NDArray[Any], max_pixels: int, background: tuple[int, int, int]) -> Image.Image:
    name = f"<array of shape {'x'.join(map(str, array.shape))}>"
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(name, "is not (H, W) or (H, W, C) with 1, 3 or 4 channels")
    _check_size(array.shape[1], array.shape[0], name, max_pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        samples = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint8:
        samples = array
    elif array.dtype == np.uint16:
        samples = _scale_16_bit(array, name)
    elif np.issubdtype(array.dtype, np.floating):
        samples = _scale_float(array, name)
    else:
        raise ImageError(
            name, f"has samples of type {array.dtype}; use uint8, uint16, bool or floating point in [0, 1]"
        )
    return _to_rgb(Image.fromarray(np.ascontiguousarray(samples)), name, background)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
