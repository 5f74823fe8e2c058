"""Finding the files that a data set's labels name in the folder that a person has on disk."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError


class FileFault(NamedTuple):
    """A file that is not as the labels have it.

    Attributes:
        kind: ``"missing"``, ``"stray"`` (an image without a label) or ``"case"`` (the name differs in case).
        path: the file, or where it should be.
        detail: what is wrong, as a sentence.
    """

    kind: str
    path: str
    detail: str


_collected: Final[ContextVar[list[FileFault] | None]] = ContextVar("_collected", default=None)


@contextmanager
def collecting_faults() -> Iterator[list[FileFault]]:
    """Let `find_images` list what is wrong with the files, in the list given, and go on where it would raise."""
    faults: list[FileFault] = []
    token = _collected.set(faults)
    try:
        yield faults
    finally:
        _collected.reset(token)


_IMAGE_SUFFIXES = (".bmp", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def official_folder(root: str | os.PathLike[str], card: DatasetCard) -> Path:
    """Return the absolute path of a data set's official folder after a look at what is there.

    Raises:
        FileNotFoundError: there is no such folder, or it is another one; the message says what belongs there.
    """
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 - links are not resolved, .. is
    holds = f"the official folder of {card.title} (usually named {card.folder})"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; root must be {holds}, see {card.home_page}")
    # What is missing of the right folder, its loader says more exactly.
    tops = sorted({top for file in card.files if not (top := file.split("/")[0]).startswith("*")})
    there = {name.casefold() for name in os.listdir(folder)}  # noqa: PTH208
    if not any(fnmatchcase(name, top.casefold()) for top in tops for name in there):
        inner = folder / card.folder
        hint = f"did you mean {inner}?" if inner.is_dir() else f"root must be {holds}, see {card.home_page}"
        raise FileNotFoundError(f"{folder} holds no {' and no '.join(tops)}; {hint}")
    return folder


def find_file(folder: Path, *names: str) -> Path:
    """Return the path on disk of a label file that is distributed under one of several names, the first preferred.

    Args:
        folder: where it is.
        names: paths relative to it, with forward slashes; other case is taken for them.

    Raises:
        FileNotFoundError: none of them is there.
        DatasetError: a name fits several files.
    """
    for name in names:
        parent, _, base = name.rpartition("/")
        if (place := _on_disk(folder, parent)) is not None:
            found = _match([base], _files(place), place, name)
            if base in found:
                return place / found[base]
    others = f" (nor {' nor '.join(names[1:])})" if len(names) > 1 else ""
    raise FileNotFoundError(f"{folder / names[0]} is missing{others}; unpack the data set again")


def folders_there(folder: Path, *names: str) -> list[str]:
    """Return those of the named folders, given relative to one, that are there in any case of letters."""
    return [name for name in names if _on_disk(folder, name) is not None]


def list_images(folder: Path, inside: str) -> list[str]:
    """Return the names of the images, sorted, in a folder given relative to another; none if it is not there."""
    place = _on_disk(folder, inside)
    return [] if place is None else sorted(filter(_is_image, _files(place)))


def list_files(folder: Path, inside: str, suffix: str) -> list[Path]:
    """Return the files with a suffix, in any case, in a folder given relative to another, sorted; none without it."""
    place = _on_disk(folder, inside)
    return [] if place is None else [place / name for name in sorted(_files(place)) if name.lower().endswith(suffix)]


def list_folders(folder: Path, inside: str) -> list[str]:
    """Return the names of the folders, sorted, in a folder given relative to another; none if it is not there."""
    place = _on_disk(folder, inside)
    return [] if place is None else sorted(entry.name for entry in os.scandir(place) if entry.is_dir())


def find_images(
    folder: Path, names: Sequence[str], source: Path, *, unrated: re.Pattern[str] | None = None
) -> list[str]:
    """Return the path on disk of every named image, in order, after checking that none is missing or left over.

    A name that differs from the file's only in case, of the file or of a folder, is taken for it, since copying between
    file systems changes case. All folders that are named are looked through. Hidden files and files that are not
    images are passed over.

    Args:
        folder: the folder of the images.
        names: paths relative to it as the labels have them, with forward slashes; a name may stand several times.
        source: the label file, for messages.
        unrated: what the whole name matches of images that the data set holds, but does not rate; they are passed over.

    Raises:
        FileNotFoundError: an image is not there.
        DatasetError: an image has no label, or a name fits several files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it must hold the {len(names)} images listed in {source}")
    by_parent: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        parent, _, base = name.rpartition("/")
        by_parent.setdefault(parent, []).append(base)
    paths: dict[str, str] = {}
    missing, strays, other_case = [], [], []
    for parent, bases in by_parent.items():
        inside = f"{parent}/" if parent else ""
        place = _on_disk(folder, parent)
        if place is None:
            missing += [inside + base for base in bases]
            continue
        left = _files(place)
        found = _match(bases, left, place, source.name)
        left.difference_update(found.values())
        for base in bases:
            if (file := found.get(base)) is None:
                missing.append(inside + base)
                continue
            paths[inside + base] = f"{place}{os.sep}{file}"
            if file != base:
                other_case.append((f"{place}{os.sep}{file}", inside + base))
        strays += [
            place / file
            for file in sorted(filter(_is_image, left))
            if unrated is None or not unrated.fullmatch(inside + file)
        ]
    collected = _collected.get()
    if collected is not None:
        for name in missing:
            paths[name] = str(folder / name)
            collected.append(FileFault("missing", paths[name], f"is listed in {source}, but not there"))
        for path in strays:
            collected.append(FileFault("stray", str(path), f"has no label in {source}"))
        for file, name in other_case:
            collected.append(FileFault("case", file, f"is called {name} in {source}"))
    elif missing:
        raise FileNotFoundError(
            f"{folder} lacks {_listed(missing)} of the {len(set(names))} images in {source}; unpack the data set again"
        )
    elif strays:
        listed = _listed([str(path.relative_to(folder)) for path in strays])
        raise DatasetError(f"{folder} holds {listed} without a label in {source}; move them elsewhere")
    return [paths[name] for name in names]


def _is_image(file: str) -> bool:
    return file.lower().endswith(_IMAGE_SUFFIXES)


def _files(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()}


def _on_disk(folder: Path, inside: str) -> Path | None:
    """Return the folder that a relative path names, whatever the case of its parts; None if there is none."""
    for name in inside.split("/") if inside else ():
        with os.scandir(folder) as entries:
            folders = {entry.name for entry in entries if entry.is_dir()}
        found = _match([name], folders, folder, f"{inside}/")
        if name not in found:
            return None
        folder /= found[name]
    return folder


def _match(names: Sequence[str], there: set[str], folder: Path, source: str) -> dict[str, str]:
    """Return what each name is called on disk: itself, or what differs from it only in case."""
    found = {name: name for name in names if name in there}
    if len(found) < len(names):
        by_case: dict[str, list[str]] = {}
        for file in sorted(there - found.keys()):
            by_case.setdefault(file.casefold(), []).append(file)
        for name in names:
            if name not in found and name.casefold() in by_case:
                files = by_case[name.casefold()]
                if len(files) > 1:
                    raise DatasetError(f"{folder}: {name} of {source} could be {' or '.join(files)}; keep one")
                found[name] = files[0]
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
