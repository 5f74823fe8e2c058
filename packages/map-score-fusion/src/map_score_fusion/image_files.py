"""Images on disk: which distorted image belongs to which reference, and reading one as 8-bit RGB or saying why not."""

import contextlib
import csv
import os
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from map_score_fusion.errors import ScoreTableError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS: Final = 64_000_000
"""Largest width times height that is decoded: the metrics hold tens of numbers for each pixel."""

SUFFIXES: Final = (".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes, in any case, by which image files are known."""

# Raster formats of photographs. Pillow's other readers are left out on purpose: EPS would start Ghostscript.
_FORMATS: Final = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP")

# What Pillow's readers raise on damaged data; anything else is a bug and must not be taken for a bad file.
_DAMAGE: Final = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

_PAIR_COLUMNS: Final = (("distorted", "reference"), ("dist_img", "ref_img"))


class UnreadableImageError(ValueError):
    """An image file is missing, damaged, too large, or of a kind that is not scored. The message names the file."""


@dataclass(frozen=True)
class ImagePair:
    """A distorted image and what it is compared with.

    Attributes:
        image: Path below the folder of distorted images, with forward slashes.
        reference: Path below the folder of references, with forward slashes; None if it has none.
        problem: Why it has none although references are wanted; empty where all is right.
    """

    image: str
    reference: str | None
    problem: str = ""


def image_files(folder: str | os.PathLike[str]) -> list[str]:
    """Return the image files below a folder: paths relative to it with forward slashes, sorted; hidden ones left out.

    Raises:
        ScoreTableError: There is no such folder, it holds no image, or a file's name holds control characters.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ScoreTableError(f"{root} is not a folder; it must hold images")
    found = []
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            found.append(relative.as_posix())
    if not found:
        raise ScoreTableError(f"{root} holds no image ({', '.join(SUFFIXES)})")
    for name in found:
        if not name.isprintable():
            raise ScoreTableError(f"{root} holds a file with control characters in its name, {name!r}; rename it")
    return sorted(found)


def pair_by_name(images: Iterable[str], references: Sequence[str]) -> list[ImagePair]:
    """Find the reference of each image by its name.

    An image belongs to the reference whose name without suffix begins its own, whole or followed by something other
    than a letter or digit: ``I01_01_01.png`` to ``I01.png`` (KADID-10k), ``i01_01_1.bmp`` to ``I01.BMP`` (TID2013; case
    does not count), ``jpeg/house.jpg`` to ``house.png``. The longest such name wins. Where several references have that
    name, the one in the same subfolder wins, and otherwise the image gets none and ``problem`` says so.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for reference in references:
        by_stem[Path(reference).stem.casefold()].append(reference)
    return [_pair(image, by_stem) for image in images]


def _pair(image: str, by_stem: Mapping[str, Sequence[str]]) -> ImagePair:
    stem = Path(image).stem.casefold()
    for length in range(len(stem), 0, -1):
        if length < len(stem) and stem[length].isalnum():
            continue
        found = by_stem.get(stem[:length], ())
        beside = [one for one in found if Path(one).parent == Path(image).parent]
        if len(found) == 1 or len(beside) == 1:
            return ImagePair(image, (beside if len(beside) == 1 else found)[0])
        if found:
            return ImagePair(image, None, f"several references have its name: {', '.join(found)}")
    return ImagePair(image, None, "no reference has a name that begins this one's")


def pair_by_table(table: Path, images: Sequence[str], references: Sequence[str]) -> list[ImagePair]:
    """Read which image belongs to which reference from a CSV file, in its order.

    Args:
        table: CSV with the columns ``distorted`` and ``reference`` (or ``dist_img`` and ``ref_img``, as KADID-10k has
            them): paths below the two folders. Case counts only where it must.
        images: The files in the folder of distorted images.
        references: The files in that of references.

    Raises:
        ScoreTableError: The columns are missing, a file is not in its folder, or an image is there twice.
    """
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = next((pair for pair in _PAIR_COLUMNS if set(pair) <= set(reader.fieldnames or ())), None)
        if columns is None:
            raise ScoreTableError(
                f"{table} needs the columns distorted and reference, got {', '.join(reader.fieldnames or ()) or 'none'}"
            )
        find_image, find_reference = _Finder(images), _Finder(references)
        pairs: dict[str, ImagePair] = {}
        for row in reader:
            image, reference = (row[column] or "" for column in columns)
            where = f"{table}, line {reader.line_num}"
            pair = ImagePair(find_image(image, where), find_reference(reference, where))
            if pair.image in pairs:
                raise ScoreTableError(f"{where}: {image} is there a second time; give each image one line")
            pairs[pair.image] = pair
    if not pairs:
        raise ScoreTableError(f"{table} has no rows")
    return list(pairs.values())


class _Finder:
    """Finds a file among those of a folder: by its exact name, or by the only one that differs in case alone."""

    def __init__(self, files: Sequence[str]) -> None:
        self.exact = set(files)
        self.folded: dict[str, list[str]] = defaultdict(list)
        for file in files:
            self.folded[file.casefold()].append(file)

    def __call__(self, name: str, where: str) -> str:
        name = name.replace("\\", "/").removeprefix("./")
        if name in self.exact:
            return name
        found = self.folded.get(name.casefold(), [])
        if len(found) != 1:
            what = "is not among the images of its folder" if not found else f"may be any of {', '.join(found)}"
            raise ScoreTableError(f"{where}: {name!r} {what}")
        return found[0]


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an image as what a viewer shows, 8-bit RGB and upright.

    The EXIF orientation is applied. Greyscale and palettes become RGB, transparency is laid over white, 16-bit samples
    are scaled to 8 bits, CMYK is converted as Pillow does it, of several frames the first is taken. Colour profiles are
    not applied.

    Returns:
        Samples from 0 to 255, (height, width, 3).

    Raises:
        UnreadableImageError: There is no such file, or it is empty, damaged, truncated, not an image, of floating-point
            samples, or has more than `MAX_PIXELS`.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    path = Path(path)
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise UnreadableImageError(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so that a truncated file cannot be told from "
            "a whole one; set it to False"
        )
    try:
        if path.stat().st_size == 0:
            raise UnreadableImageError(f"{path} is empty")
        Image.init()
        # A build of Pillow may lack one of them.
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImageError(f"{path} has {width}x{height} pixels, more than the {MAX_PIXELS:,} allowed")
            image.load()
            return np.asarray(_upright_rgb(image, path))
    except UnreadableImageError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UnreadableImageError(f"{path} cannot be read: {error.strerror}") from error
    except UnidentifiedImageError:
        raise UnreadableImageError(f"{path} is not an image in a format that is read here") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{path} has more than the {MAX_PIXELS:,} pixels allowed") from error
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise UnreadableImageError(f"{path} is damaged or truncated: {reason}") from error


def _upright_rgb(image: "Image.Image", path: Path) -> "Image.Image":
    from PIL import Image, ImageOps

    with contextlib.suppress(*_DAMAGE):  # a broken block of metadata does not make the picture unreadable
        image = ImageOps.exif_transpose(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image)
        if samples.min() < 0 or samples.max() > 65535:
            raise UnreadableImageError(
                f"{path} has samples from {samples.min()} to {samples.max()}; 16 bits end at 65535"
            )
        # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
        return Image.fromarray(((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableImageError(f"{path} has floating-point samples of unknown range; save it with 8 or 16 bits")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")
