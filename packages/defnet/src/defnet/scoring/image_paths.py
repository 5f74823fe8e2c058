"""From files, folders and globs to the list of images to score."""

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from defnet.scoring.scores import Failure

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff"})
"""File name endings, in lower case, that make a file in a folder an image."""


@dataclass(frozen=True)
class FoundImages:
    """What a search for images came to.

    Attributes:
        paths: files to score, each once, in the order given and sorted within each folder.
        missing: arguments that name nothing.
        ignored: number of files in folders that are not images by their names.
    """

    paths: tuple[str, ...]
    missing: tuple[Failure, ...]
    ignored: int


def find_images(arguments: Iterable[str | Path]) -> FoundImages:
    """Resolve files, folders (recursively, hidden ones left out) and globs (`**` crosses folders).

    A file that is named itself is always taken, whatever its ending.
    """
    paths: dict[str, None] = {}
    missing: list[Failure] = []
    ignored = 0
    for argument in map(str, arguments):
        if os.path.lexists(argument):
            matches = [argument]
        else:
            # Path.glob takes no absolute pattern.
            matches = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []  # noqa: PTH207
        if not matches:
            what = "no file matches this pattern" if glob.has_magic(argument) else "no such file or folder"
            missing.append(Failure(argument, what))
        for match in matches:
            if Path(match).is_dir():
                found, others = _images_in(match)
                paths |= dict.fromkeys(found)
                ignored += others
                if not found and not glob.has_magic(argument):
                    missing.append(Failure(match, "holds no image file"))
            else:
                paths[match] = None
    return FoundImages(tuple(paths), tuple(missing), ignored)


def _images_in(folder: str) -> tuple[list[str], int]:
    found: list[str] = []
    ignored = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                found.append(str(Path(parent) / name))
            else:
                ignored += 1
    return found, ignored
