"""Which of a file's images is meant: animations, pages, and thumbnails that are no pages."""

from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from iqa_datasets.errors import ImageError
from iqa_datasets.image_sources import DAMAGE, first_line

_NEW_SUBFILE_TYPE, _OLD_SUBFILE_TYPE = 254, 255  # tags of TIFF
_REDUCED, _MASK = 1, 4  # bits of the first
_OLD_REDUCED: Final = 2
_MOST_PAGES: Final = 1000  # whose kind is looked up


@dataclass(frozen=True)
class Frames:
    """Which of how many frames was chosen, from 0, and what is to be said about it."""

    frame: int
    count: int
    warnings: tuple[str, ...] = ()


def current_frame(image: Image.Image) -> Frames:
    """Return where an image of the caller's stands: it is left there, and its other frames are not looked for."""
    return Frames(image.tell(), max(int(getattr(image, "n_frames", 1)), 1))


def chosen_frame(image: Image.Image, frame: int, name: str) -> Frames:
    """Bring an image to a frame, counted from 0.

    Pages of a TIFF file that are marked as reductions or masks of another are no frames. The second picture in a
    phone's JPEG file (MPO: a depth map, a gain map) is one, but nothing is said of it where the first is taken. The
    first of a HEIC file is the one that the file calls its primary image.

    Raises:
        ImageError: there is no such frame.
    """
    try:
        numbers = _numbers(image)
        if not 0 <= frame < len(numbers):
            have = f"it has {len(numbers)}, counted from 0" if len(numbers) > 1 else "it holds one image"
            raise ImageError(name, f"has no frame {frame}: {have}")
        if len(numbers) == 1 and not hasattr(image, "seek"):
            return Frames(0, 1)
        first = image.tell() if len(numbers) > 1 or numbers[0] != 0 else 0
        if numbers[frame] != first:
            image.seek(numbers[frame])
    except ImageError:
        raise
    except DAMAGE as error:
        raise ImageError(name, f"has frames that are damaged or truncated ({first_line(error)})") from error
    if len(numbers) == 1 or (image.format == "MPO" and frame == 0):
        return Frames(frame, len(numbers))
    return Frames(frame, len(numbers), (f"frame {frame + 1} of {len(numbers)}",))


def _numbers(image: Image.Image) -> list[int]:
    """Return Pillow's numbers of the frames that are images of their own, the primary one first."""
    count = int(getattr(image, "n_frames", 1))
    if count == 1:
        return [0]
    if image.format == "TIFF":
        return _full_pages(image, count)
    if image.format == "HEIF":
        primary = image.tell()
        return [primary, *(number for number in range(count) if number != primary)]
    return list(range(count))


def _full_pages(image: Any, count: int) -> list[int]:
    full = []
    for number in range(min(count, _MOST_PAGES)):
        image.seek(number)
        kind = int(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) or 0)
        if not kind & (_REDUCED | _MASK) and image.tag_v2.get(_OLD_SUBFILE_TYPE) != _OLD_REDUCED:
            full.append(number)
    full += range(_MOST_PAGES, count)
    return full or list(range(count))
