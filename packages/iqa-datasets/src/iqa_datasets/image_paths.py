"""From files, folders and globs to the list of images that they mean."""

import glob
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from iqa_datasets.image_formats import IMAGE_SUFFIXES


@dataclass(frozen=True)
class FoundImages:
    """What a search for images came to.

    Attributes:
        paths: files to read, each once, in the order given and sorted within each folder.
        missing: arguments that name nothing, and folders that cannot be read, each with the reason.
        ignored: how many files in folders are not images by their names, by suffix in lower case (``""`` for none).
    """

    paths: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]
    ignored: dict[str, int]

    def ignored_in_words(self) -> str:
        """Return the other files as a message has them, ``"3 .txt, 1 without a suffix"``; empty where there are none.

        Example:
            >>> FoundImages((), (), {".txt": 3, "": 1}).ignored_in_words()
            '3 .txt, 1 without a suffix'
        """
        most = sorted(self.ignored.items(), key=lambda one: (-one[1], one[0]))
        named = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in most[:6]]
        rest = sum(count for _, count in most[6:])
        return ", ".join([*named, f"{rest:,} others"] if rest else named)


def find_images(
    arguments: Iterable[str | os.PathLike[str]], *, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> FoundImages:
    """Resolve files, folders and globs (``**`` crosses folders).

    Folders are searched to their ground. Links to folders are followed, and each real folder is searched once for an
    argument, so that circles end. Hidden files and folders are left out. A file that is named itself is always taken,
    whatever its suffix; so is a link that leads nowhere, so that whoever opens it can say so.

    Args:
        arguments: files, folders and globs.
        suffixes: endings, in lower case, that make a file in a folder an image. By default those of every format of
            photographs, readable here or only with a plugin: a file that cannot be read shall be named, not passed by.
    """
    paths: dict[str, None] = {}
    missing: list[tuple[str, str]] = []
    ignored: Counter[str] = Counter()
    for one in arguments:
        argument = os.fspath(one)
        if os.path.lexists(argument):
            matches = [argument]
        else:
            # Path.glob takes no absolute pattern.
            matches = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []  # noqa: PTH207
        if not matches:
            missing.append((argument, _why_nothing(argument)))
        for match in matches:
            if not Path(match).is_dir():
                paths[match] = None
                continue
            before, seen = len(missing), False
            for path in _files_below(match, missing):
                suffix = Path(path).suffix.lower()
                if suffix in suffixes:
                    paths[path] = None
                    seen = True
                else:
                    ignored[suffix] += 1
            if not seen and len(missing) == before and not glob.has_magic(argument):
                missing.append((match, "holds no image file"))
    return FoundImages(tuple(paths), tuple(missing), dict(ignored))


def images_in(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the images below a folder, as `find_images` finds them.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{os.fspath(folder)} is not a folder; it must hold photographs")
    found = find_images([folder])
    if not found.paths:
        raise FileNotFoundError(f"{os.fspath(folder)} holds no photograph ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return [Path(path) for path in found.paths]


def _why_nothing(argument: str) -> str:
    scheme, separator, _ = argument.partition("://")
    if separator and scheme.isalpha():
        return "is an address; download it first, nothing is fetched here"
    return "no file matches this pattern" if glob.has_magic(argument) else "no such file or folder"


def _files_below(folder: str, missing: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the files below a folder that are not hidden, depth first and sorted; say which folders cannot be read."""
    visited: set[tuple[int, int]] = set()

    def report(error: OSError) -> None:
        missing.append((os.fspath(error.filename), f"cannot be read ({error.strerror})"))

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=report):
        status = Path(parent).stat()
        real = (status.st_dev, status.st_ino)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith("."):
                yield str(Path(parent) / name)
