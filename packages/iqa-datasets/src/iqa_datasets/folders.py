"""Finding the files that a data set's labels name in the folder that a person has on disk."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.image_formats import IMAGE_SUFFIXES


class FileFault(NamedTuple):
    """A file that is not as the labels have it.

    Attributes:
        kind: ``"missing"``, ``"stray"`` (an image without a label), ``"case"`` (the name differs in case) or
            ``"format"`` (a copy in another format without loss).
        path: the file, or where it should be.
        detail: what is wrong, as a clause that follows the path.
    """

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class ResolvedImages:
    """Where the images that the labels name are on disk, and what is wrong with the files there.

    Attributes:
        paths: the path of each name, in order; where it should be, for an image that is missing.
        faults: the missing, the strays, the names that differ in case, and the copies in other formats.
        folder: the folder of the images.
        source: the label file.
        names: number of different names.
        hint: what may be the matter with those that are missing; empty where nothing is known.
    """

    paths: list[str]
    faults: tuple[FileFault, ...]
    folder: Path
    source: Path
    names: int
    hint: str = ""

    def of_kind(self, kind: str) -> list[FileFault]:
        """Return the faults of one kind."""
        return [fault for fault in self.faults if fault.kind == kind]

    def require_all(self) -> None:
        """Raise `FileNotFoundError` if an image is missing; the message names the first ones."""
        if missing := self.of_kind("missing"):
            raise FileNotFoundError(
                f"{self.folder} lacks {_listed([self._inside(fault) for fault in missing])} of the {self.names} images "
                f"in {self.source}; {self.hint or 'unpack the data set again'}"
            )

    def describe_strays(self) -> str:
        """Return a sentence about the images without a label; empty if there are none."""
        strays = self.of_kind("stray")
        if not strays:
            return ""
        listed = _listed([self._inside(fault) for fault in strays])
        return f"{self.folder} holds {listed} without a label in {self.source}, which are left out"

    def _inside(self, fault: FileFault) -> str:
        return fault.path.removeprefix(f"{self.folder}{os.sep}").replace(os.sep, "/")


# What a copy of any image may be without a loss; a copy of a lossless image as JPEG is another image.
_LOSSLESS: Final = frozenset((".bmp", ".png", ".tif", ".tiff"))
_SAME_FORMAT: Final = ({".jpg", ".jpeg"}, {".tif", ".tiff"})


def official_folder(root: str | os.PathLike[str], card: DatasetCard, also: Sequence[str] = ()) -> Path:
    """Return the absolute path of a data set's official folder after a look at what is there.

    An archive that was unpacked into a folder of its own name leaves that folder twice, as in ``kadid10k/kadid10k``:
    the inner one is taken.

    Args:
        root: the folder that the user names.
        card: the data set's card, whose files say what belongs there.
        also: further names that mark the folder, as copies by others have them; patterns.

    Raises:
        FileNotFoundError: there is no such folder, or it is another one; the message says what belongs there, and
            where below it the data set seems to be.
    """
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 - links are not resolved, .. is
    holds = f"the official folder of {card.title} (usually named {card.folder})"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; root must be {holds}, see {card.home_page}")
    # What is missing of the right folder, its loader says more exactly.
    tops = sorted({top for file in card.files if not (top := file.split("/")[0]).startswith("*")})
    marks = [*tops, *also]
    if _is_marked(folder, marks):
        return folder
    below = _folders(folder)
    for inner in below:
        if inner.name.casefold() == folder.name.casefold() and _is_marked(inner, marks):
            return inner
    deeper = (second for first in below for second in (first, *_folders(first)))
    if elsewhere := next((one for one in deeper if _is_marked(one, marks)), None):
        hint = f"did you mean {elsewhere}?"
    else:
        hint = f"root must be {holds}, see {card.home_page}"
    raise FileNotFoundError(f"{folder} holds no {' and no '.join(tops)}; {hint}")


def _is_marked(folder: Path, marks: Sequence[str]) -> bool:
    there = [name.casefold() for name in os.listdir(folder)]  # noqa: PTH208
    return any(fnmatchcase(name, mark.casefold()) for mark in marks for name in there)


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except PermissionError:
        return []


def find_file(folder: Path, *names: str) -> Path:
    """Return the path on disk of a label file that is distributed under one of several names, the first preferred.

    Where it is not in its place, it is looked for in a folder of its own name there (``scores/scores.csv`` for
    ``scores.csv``), which is what unpacking an archive of that one file often makes.

    Args:
        folder: where it is.
        names: paths relative to it, with forward slashes; other case is taken for them.

    Raises:
        FileNotFoundError: none of them is there.
        DatasetError: a name fits several files.
    """
    for name in names:
        if (found := _file_there(folder, name)) is not None:
            return found
    others = f" (nor {' nor '.join(names[1:])})" if len(names) > 1 else ""
    raise FileNotFoundError(f"{folder / names[0]} is missing{others}; unpack the data set again")


def find_labels(folder: Path, *names: str, pyiqa: str) -> Path:
    """Return the label file of a data set: an official one, or the table that the package pyiqa makes of it.

    Args:
        folder: the official folder.
        names: as for `find_file`; they come first.
        pyiqa: what pyiqa calls the data set: its file is ``meta_info_<pyiqa>Dataset.csv``, in the folder, in
            ``meta_info/`` there, or in ``meta_info/`` beside the folder, which is where pyiqa keeps them.

    Raises:
        FileNotFoundError: there is none.
    """
    try:
        return find_file(folder, *names)
    except FileNotFoundError:
        title = f"meta_info_{pyiqa}Dataset.csv"
        for place in (folder, folder / "meta_info", folder.parent / "meta_info"):
            if place.is_dir() and (found := _file_there(place, title)) is not None:
                return found
        raise


def is_pyiqa(path: Path) -> bool:
    """Return whether a label file is one of pyiqa's tables."""
    return path.name.casefold().startswith("meta_info_")


def _file_there(folder: Path, name: str) -> Path | None:
    parent, _, base = name.rpartition("/")
    own = f"{parent}/{PurePosixPath(base).stem}".lstrip("/")
    for inside in (parent, own):
        if (place := _on_disk(folder, inside)) is not None:
            found = _match([base], _files(place), place, name)
            if base in found:
                return place / found[base]
    return None


def first_folder(folder: Path, *names: str) -> str:
    """Return the first of several folders, given relative to one, that holds an image, or the first of all.

    A folder that was unpacked into one of its own name, as in ``512x384/512x384``, is found in it.
    """
    for name in names:
        for inside in (name, f"{name}/{name.rpartition('/')[2]}"):
            place = _on_disk(folder, inside)
            if place is not None and any(map(_is_image, _files(place))):
                return inside
    return names[0]


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


def resolve_images(
    folder: Path, names: Sequence[str], source: Path, *, unrated: re.Pattern[str] | None = None
) -> ResolvedImages:
    """Find every named image on disk, and what is missing or left over.

    A name that differs from the file's only in case, of the file or of a folder, is taken for it, since copying between
    file systems changes case; so is a copy in a format without loss (``.png`` for ``.jpg``). All folders that are named
    are looked through. Hidden files and files that are not images are passed over.

    Args:
        folder: the folder of the images.
        names: paths relative to it as the labels have them, with forward slashes; a name may stand several times.
        source: the label file, for messages.
        unrated: what the whole name matches of images that the data set holds, but does not rate; they are passed over.

    Returns:
        The paths, one a name, and the faults: missing images, strays, then notes.

    Raises:
        FileNotFoundError: there is no such folder.
        DatasetError: a name fits several files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it must hold the {len(names)} images listed in {source}")
    by_parent: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        parent, _, base = name.rpartition("/")
        by_parent.setdefault(parent, []).append(base)
    paths: dict[str, str] = {}
    missing: list[str] = []
    strays, notes = [], []
    hint = ""
    for parent, bases in by_parent.items():
        inside = f"{parent}/" if parent else ""
        place = _on_disk(folder, parent)
        if place is None:
            missing += [inside + base for base in bases]
            hint = hint or _hint_of_place(folder, parent)
            continue
        left = _files(place)
        found = _match(bases, left, place, source.name)
        left.difference_update(found.values())
        lossy: set[str] = set()
        if len(found) < len(bases):
            copies, lossy = _copies([base for base in bases if base not in found], left)
            found |= copies
            left.difference_update(copies.values(), lossy)
        for base in bases:
            if (file := found.get(base)) is None:
                missing.append(inside + base)
                continue
            paths[inside + base] = f"{place}{os.sep}{file}"
            if file != base:
                kind = "case" if file.casefold() == base.casefold() else "format"
                notes.append(FileFault(kind, f"{place}{os.sep}{file}", f"is called {inside + base} in {source}"))
        if lossy:
            suffixes = ", ".join(sorted({PurePosixPath(file).suffix for file in lossy}))
            hint = (
                f"{place} holds {len(lossy)} of them as {suffixes}, which are not the images that were rated: that "
                "format loses some of what they show"
            )
        strays += [
            FileFault("stray", str(place / file), f"has no label in {source}")
            for file in sorted(filter(_is_image, left))
            if unrated is None or not unrated.fullmatch(inside + file)
        ]
    for name in missing:
        paths[name] = str(folder / name)
    lacking = [FileFault("missing", paths[name], f"is listed in {source}, but not there") for name in missing]
    return ResolvedImages(
        [paths[name] for name in names], (*lacking, *strays, *notes), folder, source, len(set(names)), hint
    )


def _copies(bases: Sequence[str], left: set[str]) -> tuple[dict[str, str], set[str]]:
    """Return the copies in other formats of images that are not there: those without loss by name, and the others."""
    by_stem: dict[str, list[str]] = {}
    for file in filter(_is_image, left):
        by_stem.setdefault(PurePosixPath(file).stem.casefold(), []).append(file)
    copies: dict[str, str] = {}
    lossy: set[str] = set()
    for base in bases:
        wanted = PurePosixPath(base)
        for file in sorted(by_stem.get(wanted.stem.casefold(), ())):
            suffix, suffixes = PurePosixPath(file).suffix.lower(), {PurePosixPath(file).suffix.lower()}
            if suffix in _LOSSLESS or {*suffixes, wanted.suffix.lower()} in _SAME_FORMAT:
                copies[base] = file
                break
        else:
            lossy.update(by_stem.get(wanted.stem.casefold(), ()))
    return copies, lossy


def _hint_of_place(folder: Path, parent: str) -> str:
    """Return where a folder that is not in its place seems to be: one level above, or in one of its own name."""
    name = parent.rpartition("/")[2]
    for base in (folder.parent, *_folders(folder)):
        if (place := _on_disk(base, name)) is not None and base != folder and any(map(_is_image, _files(place))):
            return f"there is {place}, but it must be {folder / parent}"
    return ""


def _is_image(file: str) -> bool:
    return PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES


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
