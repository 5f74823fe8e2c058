"""Tiny made-up data sets in the official layouts, for the tests of whoever reads image quality data sets."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from iqa_datasets.errors import DatasetError
from iqa_datasets.liqe import SESSIONS
from iqa_datasets.loader_registry import loader_of
from iqa_datasets.loaders import LiqeFiles
from iqa_datasets.testing.layouts import AUTHENTIC, FakeImage, Layout
from iqa_datasets.testing.photographs import Pixels, damage, draw, save_picture
from iqa_datasets.vocabulary import PARTS

__all__ = ["FakeDataset", "FakeImage", "make_fake"]

# (width, height) where a data set has no size of its own; one is smaller than the 224 pixels that most models crop.
_SIZES: Final = ((256, 256), (320, 240), (240, 320), (288, 224), (200, 160), (300, 300), (224, 288))
# Larger pictures are drawn smaller, at most this wide or high, and enlarged: a test waits for the drawing.
_DRAWN: Final = 320


@dataclass(frozen=True, slots=True)
class FakeDataset:
    """Where a made-up data set lies: ``load(fake.name, fake.root, labels=fake.labels)`` reads it.

    Attributes:
        name: the id that `iqa_datasets.load` takes.
        root: the official folder.
        labels: the folder of its label files in LIQE's layout; None where LIQE has none for this data set.
        images: what its label files say about each image, in official order.
    """

    name: str
    root: Path
    labels: Path | None
    images: tuple[FakeImage, ...]


def layout_of(name: str) -> Layout:
    """Return how the fake of a data set is made, from the module of this package named like the data set."""
    module = f"{__name__}.{name.replace('-', '_')}"
    try:
        layout = import_module(module).LAYOUT
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise DatasetError(f"there is no made-up copy of {name!r}, which is none of this package's data sets") from None
    assert isinstance(layout, Layout)  # noqa: S101 - for the type checker
    return layout


def make_fake(name: str, folder: str | os.PathLike[str], *, images: int = 24, seed: int = 0) -> FakeDataset:
    """Write a tiny data set in the official layout, with label files in their real formats.

    The images are drawn, not photographed: landscapes, streets, plants and nights, each damaged in one of eleven ways
    by a known amount that its score falls with, so that quality, distortion and scene can be learnt from the pixels.
    The same arguments give the same labels and pixels.

    Args:
        name: an id of `iqa_datasets.available`.
        folder: where to write: the official folder (named as its authors do) is made in it, and ``liqe-labels/`` where
            LIQE has label files for the data set.
        images: number of scored images, from 10 on, and never more than the original has.
        seed: another seed gives other images, scores and sessions.

    Raises:
        DatasetError: there is no such data set, it is one of a plug-in, or ``images`` is below 10.
        FileExistsError: the official folder is already there; nothing is written over.

    Example:
        >>> import tempfile
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp(), images=12)
        >>> fake.root.name, len(list((fake.root / "Images").glob("*.*")))
        ('ChallengeDB_release', 12)
    """
    loader = loader_of(name)
    if images < 10:
        raise DatasetError(f"images must be 10 or more, so that each part of a session has one, got {images}")
    layout = layout_of(name)
    root = Path(folder) / loader.card.folder
    root.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    planned = layout.plan(images, rng)
    _write_pictures(root, planned, loader.card.image_sizes or _SIZES, layout.twins, rng)
    if layout.write_more is not None:
        layout.write_more(root, planned, rng)
    layout.write_labels(root, planned)
    (root / "README.txt").write_text(
        f"Not {loader.card.title}: a made-up data set in its layout,\nwritten by iqa_datasets.testing.make_fake.\n",
        encoding="utf-8",
    )
    labels = None
    if loader.liqe is not None:
        labels = Path(folder) / "liqe-labels"
        _write_liqe(labels, loader.liqe, planned, layout.twins, rng)
    return FakeDataset(name, root, labels, tuple(planned))


def _write_pictures(
    root: Path,
    images: Sequence[FakeImage],
    sizes: Sequence[tuple[int, int]],
    twins: tuple[str, str] | None,
    rng: np.random.Generator,
) -> None:
    pristine: dict[str, tuple[Pixels, tuple[int, int]]] = {}
    for row, image in enumerate(images):
        shown = image.reference or image.file
        if shown not in pristine:
            if image.reference is None:
                pristine.clear()
            width, height = size = sizes[(row if image.reference is None else len(pristine)) % len(sizes)]
            shrink = -(-max(size) // _DRAWN)
            pristine[shown] = draw(image.scene, height // shrink, width // shrink, rng), size
            if image.reference is not None:
                save_picture(pristine[shown][0], root / image.reference, size)
        pixels, size = pristine[shown]
        damaged = damage(pixels, image.damage, image.severity, rng)
        if twins is not None and image.file == twins[1]:
            (root / image.file).parent.mkdir(parents=True, exist_ok=True)
            Image.open(root / twins[0]).save(root / image.file)
        else:
            save_picture(damaged, root / image.file, size)


def _write_liqe(
    labels: Path,
    liqe: LiqeFiles,
    images: Sequence[FakeImage],
    twins: tuple[str, str] | None,
    rng: np.random.Generator,
) -> None:
    scores = liqe.score(np.array([image.score for image in images], dtype=np.float64))
    lines: dict[str, list[str]] = {}
    for image, score in zip(images, scores, strict=True):
        name = AUTHENTIC[image.damage] if image.distortion is None else liqe.names[image.distortion]
        second = "plant" if image.scene == "landscape" else "invalid"
        fields = [image.file, str(round(float(score), 6)), name, image.scene, second, "invalid"]
        lines.setdefault(image.reference or image.file, []).append("\t".join(fields) + "\n")
    # All images of one reference stand on one side.
    contents = list(lines)
    validation = max(1, round(0.1 * len(contents)))
    training = min(round(0.7 * len(contents)), len(contents) - validation - 1)
    for session in SESSIONS:
        order = rng.permutation(len(contents))
        if twins is not None and session == 1:
            first, twin = (contents.index(file) for file in twins)
            order = np.concatenate([[twin], order[(order != first) & (order != twin)], [first]])
        folder = labels / "IQA_Database" / liqe.folder / "splits2" / str(session)
        folder.mkdir(parents=True)
        for part, members in zip(PARTS, np.split(order, (training, training + validation)), strict=True):
            text = "".join(line for content in members for line in lines[contents[content]])
            (folder / f"{liqe.prefix}_{part}_clip.txt").write_text(text, encoding="utf-8", newline="\n")
