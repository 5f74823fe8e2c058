"""Finding the files that a data set's labels name in the folder that a person has on disk."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


_IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def official_folder(root: str | os.PathLike[str], card: DatasetCard) -> Path:
    """Return the absolute path of a data set's official folder after a look at what is there.

    Raises:
        FileNotFoundError: there is no such folder, or it is another one; the message says what belongs there.
    """
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 - links are not resolved, .. is
    holds = f"the official folder of {card.title} (usually named {card.folder})"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; root must be {holds}, see {card.home_page}")
    tops = {file.split("/")[0] for file in card.files}
    missing = sorted(top for top in tops if "*" not in top and not (folder / top).exists())
    if missing:
        inner = folder / card.folder
        hint = f"did you mean {inner}?" if inner.is_dir() else f"root must be {holds}, see {card.home_page}"
        raise FileNotFoundError(f"{folder} holds no {' and no '.join(missing)}; {hint}")
    return folder


def find_images(folder: Path, names: Sequence[str], source: Path) -> list[str]:
    """Return the path on disk of every named image, in order, after checking that none is missing or left over.

    A name that differs from the file's only in case is taken for it, since copying between file systems changes case.
    Hidden files and files that are not images are passed over.

    Args:
        folder: the folder of the images.
        names: file names as the labels have them.
        source: the label file, for messages.

    Raises:
        FileNotFoundError: an image is not there.
        DatasetError: an image has no label, or a name fits several files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it must hold the {len(names)} images listed in {source}")
    with os.scandir(folder) as entries:
        left = {entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()}
    found = {name: name for name in names if name in left}
    left -= found.keys()
    if len(found) < len(set(names)):
        by_case: dict[str, list[str]] = {}
        for file in sorted(left):
            by_case.setdefault(file.casefold(), []).append(file)
        for name in names:
            if name not in found and name.casefold() in by_case:
                files = by_case[name.casefold()]
                if len(files) > 1:
                    raise DatasetError(f"{folder}: {name} of {source.name} could be {' or '.join(files)}; keep one")
                found[name] = files[0]
                left.discard(files[0])
    collected = _collected.get()
    missing = [name for name in names if name not in found]
    strays = sorted(file for file in left if os.path.splitext(file)[1].lower() in _IMAGE_SUFFIXES)  # noqa: PTH122
    if collected is not None:
        for name in missing:
            collected.append(FileFault("missing", f"{folder}{os.sep}{name}", f"is listed in {source}, but not there"))
        for name in strays:
            collected.append(FileFault("stray", f"{folder}{os.sep}{name}", f"has no label in {source}"))
        for name, file in found.items():
            if name != file:
                collected.append(FileFault("case", f"{folder}{os.sep}{file}", f"is called {name} in {source}"))
        return [f"{folder}{os.sep}{found.get(name, name)}" for name in names]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks {_listed(missing)} of the {len(names)} images in {source}; unpack the data set again"
        )
    if strays:
        raise DatasetError(f"{folder} holds {_listed(strays)} without a label in {source}; move them elsewhere")
    return [f"{folder}{os.sep}{found[name]}" for name in names]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
