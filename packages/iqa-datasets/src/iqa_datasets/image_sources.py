"""From what a caller names (a path, bytes, a stream) to a file that Pillow has open, its pixels not yet decoded."""

import io
import os
import stat
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from PIL import Image, ImageFile, UnidentifiedImageError

from iqa_datasets.decoder_messages import python_warnings
from iqa_datasets.errors import ImageError
from iqa_datasets.image_formats import format_of, readable_formats
from iqa_datasets.jpeg_xl import stated_size

_MOST_BYTES: Final = 2 * 1024**3  # that are read from a pipe, whose length is not known

# What Pillow's readers raise on damaged data; anything else is a bug and must not be taken for a bad file.
DAMAGE: Final = (
    OSError,
    RuntimeError,  # readers of AVIF and HEIC
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


refuse_truncated: Final = _RefuseTruncated()


@contextmanager
def opened_file(
    source: str | os.PathLike[str] | bytes | BinaryIO, max_pixels: int
) -> Iterator[tuple[Image.Image, str, list[str]]]:
    """Give the image with its header read, a name for it, and what Pillow warned of.

    Args:
        source: what a caller names.
        max_pixels: largest width times height of a JPEG XL file, whose plugin decodes it when it is opened.

    Raises:
        ImageError: there is no such file, it is empty, or it is no image in a format that can be read here.
        TypeError: ``source`` is none of the kinds above.
    """
    with ExitStack() as stack:
        file, name = _binary(source, stack)
        beginning = file.read(32)
        if not beginning:
            raise ImageError(name, "the file is empty" if isinstance(source, str | os.PathLike) else "holds no bytes")
        known = format_of(beginning)
        size = stated_size(file) if known is not None and "JXL" in known.names else None
        if size is not None:
            check_size(*size, name, max_pixels)
        file.seek(0)
        formats = readable_formats()
        with python_warnings() as messages:
            try:
                with _pillow_globals:
                    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the caller's limit is checked later
                    try:
                        image = Image.open(file, formats=formats)
                    finally:
                        Image.MAX_IMAGE_PIXELS = limit
            except UnidentifiedImageError:
                raise ImageError(name, _why_unidentified(beginning, formats)) from None
            except DAMAGE as error:
                raise ImageError(name, f"cannot be opened as an image ({first_line(error)})") from error
        stack.enter_context(image)
        yield image, name, messages


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse an image without pixels, or with too many.

    Raises:
        ImageError: it has none, or more than ``max_pixels``.
    """
    if width < 1 or height < 1:
        raise ImageError(name, f"has no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise ImageError(
            name, f"has {width}x{height} = {width * height:,} pixels, more than the {max_pixels:,} allowed"
        )


def _binary(source: Any, stack: ExitStack) -> tuple[BinaryIO, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source), "<bytes>"
    if isinstance(source, str | os.PathLike):
        return _file(os.fspath(source), stack)
    if not hasattr(source, "read"):
        raise TypeError(
            "source must be a path, bytes, a binary file object, a PIL image or a numpy array, "
            f"got {type(source).__name__}."
        )
    name = getattr(source, "name", None)
    name = os.fsdecode(name) if isinstance(name, str | bytes) else "<stream>"
    try:
        if source.seekable():
            source.seek(0)
            if source.read(0) == b"":
                return source, name
    except (AttributeError, OSError):
        pass
    return _read_whole(source, name), name


def _file(path: Any, stack: ExitStack) -> tuple[BinaryIO, str]:
    name = os.fsdecode(path)
    if name == "-" and not os.path.lexists(name):
        return _read_whole(sys.stdin.buffer, "<standard input>"), "<standard input>"
    try:
        status = Path(name).stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(name, "is a folder, not an image")
        file = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115
        if not stat.S_ISREG(status.st_mode):
            return _read_whole(file, name), name
    except FileNotFoundError:
        scheme, separator, _ = name.partition("://")
        if separator and scheme.isalpha():
            raise ImageError(name, "is an address; download it first, nothing is fetched here") from None
        raise ImageError(name, "there is no such file") from None
    except ValueError as error:  # a null character in the name
        raise ImageError(name, f"cannot be the name of a file ({error})") from None
    except OSError as error:
        raise ImageError(name, f"cannot be read ({error.strerror})") from error
    return file, name


def _read_whole(stream: Any, name: str) -> BinaryIO:
    """Return what a pipe or a stream holds as a file that can be gone through twice."""
    try:
        content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ImageError(name, f"cannot be read ({error.strerror})") from error
    if not isinstance(content, bytes):
        raise TypeError(f"{name}: the stream gives text; open it in binary mode, 'rb'.")
    if len(content) > _MOST_BYTES:
        raise ImageError(name, f"holds more than {_MOST_BYTES / 1024**3:.0f} GiB")
    return io.BytesIO(content)


def _why_unidentified(beginning: bytes, readable: list[str]) -> str:
    format_here = format_of(beginning)
    if format_here is None:
        return "is not an image in a format that can be read"
    if not set(format_here.names) & set(readable):
        return f"is {format_here.title}, which cannot be read here: {format_here.remedy}"
    return f"begins as {format_here.title}, but is damaged or of a kind that cannot be read"


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its name where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
