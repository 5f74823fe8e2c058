"""Reading an image file as what a viewer shows, 8-bit RGB, upright and whole, or saying why it cannot be."""

import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from iqa_datasets.errors import DatasetError

MAX_PIXELS: Final = 178_956_970
"""Largest width times height that is decoded: where Pillow itself refuses a file as a decompression bomb."""

# Raster formats of photographs. Pillow's other readers are left out on purpose: EPS would start Ghostscript.
FORMATS: Final = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

# What Pillow's readers raise on damaged data; anything else is a bug and must not be taken for a bad file.
_DAMAGE: Final = (
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


SUFFIXES: Final = (".avif", ".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes by which image files are known in a folder of photographs."""


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files below a folder, sorted, but for hidden files and those in hidden folders.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is not a folder; it must hold photographs")
    found = [
        path
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
        and path.is_file()
    ]
    if not found:
        raise FileNotFoundError(f"{root} holds no photograph ({', '.join(SUFFIXES)})")
    return found


def read_image(path: str | os.PathLike[str], *, at_least: int | None = None) -> Image.Image:
    """Read an image as 8-bit RGB, upright.

    The EXIF orientation is applied. Greyscale and palettes become RGB, transparency is laid over white, 16-bit samples
    are scaled to 8 bits, CMYK is converted as Pillow does it, of several frames the first is taken. Colour profiles
    are not applied.

    Args:
        path: the file.
        at_least: decode only as finely as needed for this many pixels on the short side. A JPEG file is then decoded
            at 1/2, 1/4 or 1/8 of its size, which is several times faster; other formats come whole.

    Returns:
        A PIL image of mode RGB.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: the file is empty, damaged, truncated, not an image, or has more than `MAX_PIXELS`.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "grey.png"
        >>> Image.new("L", (6, 4), 128).save(path)
        >>> read_image(path)  # doctest: +ELLIPSIS
        <PIL.Image.Image image mode=RGB size=6x4 at ...>
    """
    return decode(path, at_least)[0]


def decode(path: str | os.PathLike[str], at_least: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """Return what `read_image` returns, and the (width, height) that the file itself states."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise DatasetError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so that a truncated file cannot be told from "
            "a whole one; set it to False"
        )
    path = Path(path)
    try:
        if path.stat().st_size == 0:
            raise DatasetError(f"{path} is empty")
        Image.init()
        # A build of Pillow may lack one of them.
        with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
            size = image.size
            if size[0] * size[1] > MAX_PIXELS:
                raise DatasetError(f"{path} has {size[0]}x{size[1]} pixels, more than the {MAX_PIXELS:,} allowed")
            if at_least is not None:
                # draft() takes the next finer of 1/1, 1/2, 1/4, 1/8 that is no smaller than asked for on either side.
                scale = at_least / min(size)
                image.draft("RGB", (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))
            image.load()
            return _upright_rgb(image, path), size
    except (DatasetError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except UnidentifiedImageError:
        raise DatasetError(f"{path} is not an image in a format that is read here ({', '.join(FORMATS)})") from None
    except Image.DecompressionBombError as error:
        raise DatasetError(f"{path} has too many pixels, more than the {MAX_PIXELS:,} allowed: {error}") from error
    except _DAMAGE as error:
        raise DatasetError(
            f"{path} is damaged or truncated: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error


def _upright_rgb(image: Image.Image, path: Path) -> Image.Image:
    with contextlib.suppress(*_DAMAGE):  # a broken block of metadata does not make the picture unreadable
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 65535:
            raise DatasetError(f"{path} has samples from {samples.min()} to {samples.max()}; 0 to 65535 is 16 bits")
        # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
        return Image.fromarray(((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise DatasetError(f"{path} has floating-point samples, whose range is not known; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
