"""One module a data set: its card and how its official files become the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import ResolvedImages

SINGLE_PRECISION: Final = 2.0**-24
"""Largest relative error of a number rounded to single precision."""


def _unchanged(mos: NDArray[np.float64]) -> NDArray[np.float64]:
    return mos


@dataclass(frozen=True, slots=True)
class LiqeFiles:
    """Where LIQE's label files of a data set are, and how their score follows from the published one.

    Attributes:
        folder: the data set's folder in ``IQA_Database/``.
        prefix: how the label files' names start.
        score: from scores as published, shape (N,), to those that LIQE prints (higher = better).
        names: what LIQE calls each of the data set's own distortion names; empty where the data set names none, and
            distortions are LIQE's. Where both know them, they must agree by this map, and the data set's own stand.
        rounding: relative error of the printed scores beyond their digits, where they went through single precision.
    """

    folder: str
    prefix: str
    score: Callable[[NDArray[np.float64]], NDArray[np.float64]] = _unchanged
    names: Mapping[str, str] = field(default_factory=dict)
    rounding: float = 0.0


class Reading(NamedTuple):
    """What a loader makes of a data set's folder.

    Attributes:
        records: a table of `make_records`, in official order, whose index is the official paths of the images. Where
            the data set has an official split, its ``session_part`` is that split.
        images: what is wrong with the files that the table names, for whoever reads to refuse or to list.
    """

    records: pd.DataFrame
    images: ResolvedImages


@dataclass(frozen=True, slots=True)
class Loader:
    """How one data set is read.

    Attributes:
        card: what is known about it without its files.
        read: from the official folder (absolute, known to exist) to its table and the state of its files.
        liqe: its label files in LIQE's collection, if it has any there.
        card_of: from the folder to the card of what lies there, where that is not the same for every folder.
        also: names that mark the folder as this data set's beside those of `DatasetCard.files`, as copies by others
            have them; patterns.
        incomplete: whether copies lack images, since the authors do not give the images out: what is missing is left
            out with a warning.

    Raises:
        DatasetError: the card and ``liqe`` do not agree on whether LIQE has label files.
    """

    card: DatasetCard
    read: Callable[[Path], Reading]
    liqe: LiqeFiles | None = None
    card_of: Callable[[Path], DatasetCard] | None = None
    also: tuple[str, ...] = ()
    incomplete: bool = False

    def __post_init__(self) -> None:
        if self.card.liqe_labels != (self.liqe is not None):
            raise DatasetError(
                f"the card of {self.card.name!r} has liqe_labels={self.card.liqe_labels}, but its loader has "
                f"{'no' if self.liqe is None else 'its'} label files of LIQE's"
            )
