"""A table of an experiment, as data: what stands in its cells, before it is written as anything."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from defnet.config.data import Session

Occasion = tuple[Session | None, int]
"""A session and a seed: where each row of an experiment has one run."""


@dataclass(frozen=True)
class Measured:
    """A figure over sessions.

    Attributes:
        median: over the sessions, of the mean over each one's seeds.
        lower: first quartile, likewise.
        upper: third quartile.
        sessions: number of sessions.
    """

    median: float
    lower: float
    upper: float
    sessions: int


Cell = str | int | float | Measured | None
"""None is what is not there or cannot be computed."""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: its files' name, such as `table4`.
        title: what it shows.
        columns: the columns' names.
        rows: the cells of each row, as many as there are columns.
        notes: sentences below it: how its figures are defined.
        lacking: sentences that say what is not there yet.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.name}: a row has {len(row)} cells for {len(self.columns)} columns")


SPREAD_NOTE = (
    "Medians over sessions, with the first and third quartile; of a session, the mean over its seeds. Figures are "
    "those of the test parts."
)


def by_session(values: Iterable[tuple[Occasion, float | None]]) -> dict[Session | None, float]:
    """The mean over seeds of a figure, by session. A run that has no such figure (None) has no part."""
    found: dict[Session | None, list[float]] = {}
    for (session, _), value in values:
        if value is not None:
            found.setdefault(session, []).append(value)
    return {session: float(np.mean(figures)) for session, figures in found.items()}


def measured(values: Iterable[tuple[Occasion, float | None]]) -> Measured | None:
    """Median and quartiles over sessions of a figure, of each session the mean over its seeds.

    A figure that could not be computed in some session (NaN) makes all three NaN: leaving it out would flatter.

    Returns:
        None where no run has the figure.
    """
    figures = list(by_session(values).values())
    if not figures:
        return None
    lower, median, upper = (float(value) for value in np.quantile(figures, [0.25, 0.5, 0.75]))
    return Measured(median, lower, upper, len(figures))
