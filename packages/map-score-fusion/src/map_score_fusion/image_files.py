"""Images on disk: which distorted image belongs to which reference, and opening one, or saying why not."""

import csv
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iqa_datasets.image_paths import find_images
from map_score_fusion.errors import ScoreTableError

if TYPE_CHECKING:
    from iqa_datasets.images import OpenedImage

MAX_PIXELS: Final = 108_000_000
"""Largest width times height that is decoded: the metrics hold tens of numbers for each pixel."""

_PAIR_COLUMNS: Final = (("distorted", "reference"), ("dist_img", "ref_img"))


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

    Links to folders are followed, each real folder once. An image is what any format of photographs is by its suffix,
    also one that only a plugin reads, so that it is named where it cannot be read and not passed by.

    Raises:
        ScoreTableError: There is no such folder, it holds no image, or a file's name holds control characters.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ScoreTableError(f"{root} is not a folder; it must hold images")
    searched = find_images([root])
    found = sorted(Path(path).relative_to(root).as_posix() for path in searched.paths)
    if not found:
        others = searched.ignored_in_words()
        raise ScoreTableError(f"{root} holds no image" + (f", but {others}" if others else ""))
    for name in found:
        if not name.isprintable():
            raise ScoreTableError(f"{root} holds a file with control characters in its name, {name!r}; rename it")
    return found


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


def open_for_metrics(path: str | os.PathLike[str]) -> "OpenedImage":
    """Open an image as what a viewer shows, 8-bit sRGB and upright, with what its reader should know.

    See `iqa_datasets.images.open_image`.

    Raises:
        ImageError: There is no such file, or it is damaged, truncated, not an image, or too large to be decoded or for
            metrics to hold tens of numbers for each of its pixels (`MAX_PIXELS`). The message names the file.
    """
    from iqa_datasets.images import open_image_with_warnings

    return open_image_with_warnings(path, max_pixels=MAX_PIXELS)
