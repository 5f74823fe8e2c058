"""How a made-up data set is planned and written: one `Layout` a data set, in the module named like its loader."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import scipy.io

from iqa_datasets.cards import QualityScale
from iqa_datasets.testing.photographs import DRAWINGS


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
        damage: one of `DISTORTIONS`: what is done to the drawn picture, and the class that its loader gives.
        severity: how badly, 0 to 1.
        scene: one of `photographs.DRAWINGS`: what is drawn; the same for all images of one reference.
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
            references × distortions × levels round the number to what their names allow, at least three references.
        write_labels: write (or write again, over what is there) the official label files for these images, in their
            real formats. Rows may be damaged by tests: repeated, without a score that is a number, out of range.
            What it writes follows from the rows alone.
        write_more: write what else lies in the official folder, such as pictures that belong to no row, given the
            images planned, whose pictures and references are written by then.
        twins: two files with the same picture, which LIQE's first session puts on both sides.
    """

    plan: Callable[[int, np.random.Generator], list[FakeImage]]
    write_labels: Callable[[Path, Sequence[FakeImage]], None]
    write_more: Callable[[Path, Sequence[FakeImage], np.random.Generator], None] | None = None
    twins: tuple[str, str] | None = None


class Cell(NamedTuple):
    """One image of a grid of references × distortions × levels.

    Attributes:
        reference: position of the reference.
        distortion: position of the distortion.
        level: 1 to the number of levels.
        scene: what the reference shows.
        severity: rises with the level, to 1.
        quality: on [1, 5], falls with the severity, with a little noise.
    """

    reference: int
    distortion: int
    level: int
    scene: str
    severity: float
    quality: float


def plan_grid(images: int, rng: np.random.Generator, *, references: int, distortions: int, levels: int) -> list[Cell]:
    """Choose so many cells of a grid, in the order of reference, distortion and level, of three references or more.

    Args:
        images: how many are asked for; never more than the grid has.
        references: how many references the data set has at most.
        distortions: how many types of distortion.
        levels: how many levels of each.
        rng: draws scenes and the noise of the scores.
    """
    each = distortions * levels
    used = min(max(3, -(-images // each)), references)
    chosen = []
    for number in range(min(images, used * each)):
        reference, turn = number % used, number // used
        distortion, round_ = turn % distortions, turn // distortions
        chosen.append((reference, distortion, (round_ + distortion + reference) % levels + 1))
    scenes = [list(DRAWINGS)[number % len(DRAWINGS)] for number in rng.permutation(used)]
    cells = []
    for reference, distortion, level in sorted(chosen):
        severity = level / levels
        cells.append(Cell(reference, distortion, level, scenes[reference], severity, _quality(severity, rng)))
    return cells


def plan_shots(images: int, rng: np.random.Generator) -> list[tuple[str, str, float, float]]:
    """Return the fault in capture (a class of `DISTORTIONS`), scene, severity and quality of so many photographs."""
    faults = [list(AUTHENTIC)[row % len(AUTHENTIC)] for row in range(images)]
    scenes = [list(DRAWINGS)[number % len(DRAWINGS)] for number in rng.permutation(images)]
    # Severities are spread evenly within each fault, so that none is only mild or only bad.
    severities = np.empty(images)
    for fault in AUTHENTIC:
        rows = [row for row in range(images) if faults[row] == fault]
        severities[rows] = rng.permutation(np.linspace(0.08, 1.0, len(rows)))
        if fault == "others":
            severities[rows] *= 0.15
    return [
        (fault, scene, float(severity), _quality(float(severity), rng))
        for fault, scene, severity in zip(faults, scenes, severities, strict=True)
    ]


def _quality(severity: float, rng: np.random.Generator) -> float:
    return float(np.clip(4.6 - 3.3 * severity + rng.normal(0, 0.08), 1.05, 4.95))


def score_on(scale: QualityScale | None, quality: float, decimals: int) -> float:
    """Return a quality on [1, 5] as a published score, rounded as its label files print it."""
    if scale is None:
        raise ValueError("a data set without a scale has no scores")
    return round(scale.to_score(quality).item(), decimals)


AUTHENTIC: Final = {
    "blur": "realistic blur",
    "noise": "realistic noise",
    "under-exposure": "underexposure",
    "over-exposure": "overexposure",
    "contrast": "realistic contrast change",
    "others": "other realistic",
}
"""The faults of photographs by their class, in the words of LIQE's label files."""


def write_mat(path: Path, **variables: object) -> None:
    """Write MATLAB variables; the same arguments give the same bytes.

    A list of strings becomes a cell column; a list of numbers a row, but a cell row where one of them is a string.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: _matlab(value) if isinstance(value, list) else value for name, value in variables.items()}
    scipy.io.savemat(path, arrays, do_compression=True)
    with path.open("r+b") as file:
        # scipy writes the time into the text of the header; without it the same seed gives the same bytes.
        file.write(b"MATLAB 5.0 MAT-file, written by iqa_datasets.testing".ljust(116))


def _matlab(values: list[object]) -> object:
    if values and all(isinstance(value, str) for value in values):
        column = np.empty((len(values), 1), dtype=object)
        column[:, 0] = values
        return column
    if any(isinstance(value, str) for value in values):
        row = np.empty((1, len(values)), dtype=object)
        row[0, :] = values
        return row
    return np.asarray(values, dtype=np.float64)[None, :]


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Write a text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
