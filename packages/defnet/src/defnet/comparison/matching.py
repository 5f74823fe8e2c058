"""Which image of one side is which of the other, by their names."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Final


def names_below(paths: Sequence[str], root: str | None = None) -> list[str]:
    """What each path is called from the folder that holds all of them, with forward slashes.

    Args:
        paths: files.
        root: that folder; by default the deepest that holds all.
    """
    if root is None:
        try:
            root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""  # noqa: PTH120
        except ValueError:  # absolute and relative ones, or several drives
            root = ""
    return [_below(path, root).replace("\\", "/") for path in paths]


def _below(path: str, root: str) -> str:
    if not root:
        return os.path.normpath(path)
    found = os.path.relpath(path, root)
    return os.path.normpath(path) if found.startswith("..") else found


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


KEYS: Final[tuple[Callable[[str], str], ...]] = (
    str,
    _without_suffix,
    lambda name: PurePosixPath(name).name,
    lambda name: PurePosixPath(name).stem,
)
"""What two names are compared by, one after the other: whole, without the suffix (an export to another format), and
the same of the file's name alone (an export into one folder)."""


def match(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """Pair names, by the first of `KEYS` that tells them apart on both sides.

    A key that two names of a side share pairs neither of them: which is which would be a guess. One image on either
    side is a pair, whatever the two are called.

    Returns:
        Positions in both, in the order of the first.
    """
    if len(first) == len(second) == 1:
        return [(0, 0)]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for key in KEYS:
        left = [(key(name), place) for place, name in enumerate(first) if place not in pairs]
        right = [(key(name), place) for place, name in enumerate(second) if place not in taken]
        once = [
            {name for name, times in Counter(name for name, _ in side).items() if times == 1} for side in (left, right)
        ]
        there = {name: place for name, place in right if name in once[1]}
        for name, place in left:
            if name in once[0] and name in there:
                pairs[place] = there[name]
                taken.add(there[name])
    return sorted(pairs.items())
