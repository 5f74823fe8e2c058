"""What `defnet score` is asked to score: files, folders, globs, archives, lists of paths, and what arrives."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from iqa_datasets.terminal import Terminal

if TYPE_CHECKING:
    from defnet.scoring.seen import FileState
    from iqa_datasets.image_archives import ArchivedImage
    from iqa_datasets.image_paths import FoundImages

_BETWEEN_LOOKS: Final = 1.0
"""Seconds between two looks at a folder in which images arrive."""


@dataclass(frozen=True)
class Inputs:
    """The images to score.

    Attributes:
        found: their paths, and what was asked for and names none.
        archived: those that lie in archives, by their paths.
    """

    found: "FoundImages"
    archived: "Mapping[str, ArchivedImage]" = field(default_factory=dict)

    def sources(self, paths: Sequence[str]) -> "list[str | ArchivedImage]":
        """What to read for each of these paths."""
        return [self.archived.get(path, path) for path in paths]

    def state(self, path: str) -> "FileState | None":
        """By what an image is known to be the one that was scored."""
        from defnet.scoring.seen import FileState, file_state

        inside = self.archived.get(path)
        return file_state(path) if inside is None else FileState(inside.size, inside.modified)


def one_line(message: str) -> str:
    """A message about a file whose name may hold line feeds: none of them begins a line that we did not write."""
    return message.replace("\n", "?")


def listed_paths(source: str, null: bool, terminal: Terminal) -> list[str]:
    """The paths that a list names.

    Args:
        source: the list's file; `-` is standard input.
        null: whether each ends with a zero byte, and not with its line.
        terminal: where to say what is wrong with it.
    """
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        terminal.fail(f"{source}: the list of paths cannot be read ({error.strerror})")
    if b"\0" in content and not null:
        terminal.fail(f"{source}: its paths end with zero bytes: say -0")
    parts = content.split(b"\0") if null else content.splitlines()
    # As the system gives names to Python, so that one that is no UTF-8 is found.
    paths = [part.decode("utf-8", "surrogateescape") for part in parts if part]
    if not paths:
        terminal.fail(f"{source}: the list names no path")
    return paths


def find(arguments: Sequence[str], terminal: Terminal, *, may_be_empty: bool = False) -> Inputs:
    """Resolve the arguments, say what is wrong with them, and stop if nothing is left.

    Args:
        arguments: files, folders, globs and archives; `-` is standard input.
        terminal: where to say it.
        may_be_empty: go on with nothing, since more will come.
    """
    from iqa_datasets.image_archives import ARCHIVE_SUFFIXES, ArchiveError, archived_images
    from iqa_datasets.image_paths import FoundImages, find_images

    archived: dict[str, ArchivedImage] = {}
    missing: list[tuple[str, str]] = []
    ignored: Counter[str] = Counter()
    plain = []
    for argument in arguments:
        compressed = argument.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))
        if not (compressed or Path(argument).suffix.lower() in ARCHIVE_SUFFIXES) or not Path(argument).is_file():
            plain.append(argument)
            continue
        try:
            images, others = archived_images(argument)
        except ArchiveError as error:
            missing.append((argument, str(error).removeprefix(f"{argument}: ")))
            continue
        archived |= {image.path: image for image in images}
        ignored.update(others)
        if not images:
            missing.append((argument, "holds no image file"))
    found = find_images([argument for argument in plain if argument != "-"])
    missing += found.missing
    ignored.update(found.ignored)
    if may_be_empty:
        missing = [(argument, reason) for argument, reason in missing if reason != "holds no image file"]
    for argument, reason in missing:
        terminal.say(one_line(f"{argument}: {reason}"))
    paths = ("-",) * ("-" in arguments) + tuple(archived) + found.paths
    found = FoundImages(tuple(dict.fromkeys(paths)), tuple(missing), dict(ignored))
    if ignored:
        terminal.say(f"left out, no images by their names: {found.ignored_in_words()}")
    if not found.paths and not may_be_empty:
        terminal.fail("nothing to score")
    return Inputs(found, archived)


def check_parquet(paths: Sequence[str], out: Path, terminal: Terminal) -> None:
    """Stop before the work if its result could not be written."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        terminal.fail(f"{out}: Parquet needs pyarrow; pip install 'defnet[parquet]', or write .csv")
    for path in paths:
        if any("\ud800" <= char <= "\udfff" for char in path):
            name = one_line(path)
            terminal.fail(f"{out}: Parquet holds only text, and the name {name} is not UTF-8; write .csv or .jsonl")


def check_follow(arguments: Sequence[str], terminal: Terminal) -> None:
    """Stop where there is something else to watch than folders."""
    for argument in arguments:
        if not Path(argument).is_dir():
            terminal.fail(f"--follow: {one_line(argument)} is no folder; only folders can be watched")


def arriving(arguments: Sequence[str], known: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Images as they arrive in folders, several at a time, for ever.

    Args:
        arguments: the folders.
        known: images that are not given, since they have been scored.
    """
    import time

    from iqa_datasets.arriving_images import ArrivingImages

    watched = ArrivingImages(arguments, known=known)
    while True:
        if whole := watched.look():
            yield whole
        time.sleep(_BETWEEN_LOOKS)
