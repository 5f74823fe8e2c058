"""Tiny made-up data sets in the official layouts, for the tests of whoever reads image quality data sets."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iqa_datasets.errors import DatasetError
from iqa_datasets.testing import live_challenge
from iqa_datasets.vocabulary import suggestion

__all__ = ["FakeDataset", "make_fake"]

_WRITERS: Final[dict[str, Callable[[Path, Path, int, int], None]]] = {"live-challenge": live_challenge.write}
_FOLDERS: Final = {"live-challenge": live_challenge.FOLDER}


@dataclass(frozen=True, slots=True)
class FakeDataset:
    """Where a made-up data set lies: ``load(fake.name, fake.root, labels=fake.labels)`` reads it.

    Attributes:
        name: the id that `iqa_datasets.load` takes.
        root: the official folder.
        labels: the folder of its label files in LIQE's layout.
    """

    name: str
    root: Path
    labels: Path


def make_fake(name: str, folder: str | os.PathLike[str], *, images: int = 24, seed: int = 0) -> FakeDataset:
    """Write a tiny data set in the official layout, with label files in their real formats.

    The images are drawn, not photographed: landscapes, streets, plants and nights of about 256 pixels, each blurred,
    made noisy, exposed wrongly or robbed of contrast by a known amount that its score falls with, so that quality,
    distortion and scene can be learnt from the pixels. The same arguments give the same labels and pixels.

    Args:
        name: an id of `iqa_datasets.available`.
        folder: where to write: the official folder (named as its authors do) and ``liqe-labels/`` are made in it.
        images: number of scored images, from 10 on.
        seed: another seed gives other images, scores and sessions.

    Raises:
        DatasetError: there is no such data set, or ``images`` is below 10.
        FileExistsError: the official folder is already there; nothing is written over.

    Example:
        >>> import tempfile
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp(), images=12)
        >>> fake.root.name, len(list((fake.root / "Images").glob("*.*")))
        ('ChallengeDB_release', 12)
    """
    if name not in _WRITERS:
        raise DatasetError(f"unknown data set {name!r}{suggestion(name, _WRITERS)}")
    if images < 10:
        raise DatasetError(f"images must be 10 or more, so that each part of a session has one, got {images}")
    root = Path(folder) / _FOLDERS[name]
    labels = Path(folder) / "liqe-labels"
    root.mkdir(parents=True)
    _WRITERS[name](root, labels, images, seed)
    return FakeDataset(name, root, labels)
