"""How a made-up data set is planned and written: one `Layout` a data set, in the module named like its loader."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class FakeImage:
    """One image of a made-up data set, as its label files describe it.

    Attributes:
        file: official path relative to the official folder, with forward slashes.
        reference: official path of its pristine image, if it has one.
        score: as the label files print it; a string only where a test writes what is not a number. None: no score.
        std: standard deviation of the ratings, where published.
        ratings: number of ratings, where published.
        distortion: name of the distortion as published, where known without LIQE's files.
        level: step of severity, where published.
        damage: one of `DISTORTIONS`: what is done to the drawn picture.
        severity: how badly, 0 to 1.
        scene: one of `photographs.DRAWINGS`: what is drawn.
        part: its part in the official split, where there is one.
    """

    file: str
    reference: str | None
    score: float | str | None
    std: float | None
    ratings: int | None
    distortion: str | None
    level: int | None
    damage: str
    severity: float
    scene: str
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the fake of one data set is made.

    Attributes:
        plan: from the number of images asked for and a generator to the images in official order. Data sets of
            references × distortions × levels round the number to what their names allow, at least two references.
        write_labels: write (or write again, over what is there) the official label files for these images, in their
            real formats. Rows may be damaged by tests: repeated, without a score that is a number, out of range.
        write_more: write what else lies in the official folder, such as pictures that belong to no row.
    """

    plan: Callable[[int, np.random.Generator], list[FakeImage]]
    write_labels: Callable[[Path, Sequence[FakeImage]], None]
    write_more: Callable[[Path, np.random.Generator], None] | None = None
