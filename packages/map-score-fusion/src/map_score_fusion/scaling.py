"""Two monotone maps of each metric's scores to [0, 1], learnt on a training table and applied unchanged to new images.

`RobustScaling` keeps the shape of the scores' distribution (score fusion), `EmpiricalDistribution` replaces it by ranks
(rank fusion). Both treat every column and every value on its own, so that an image's scaled scores do not depend on
the other images it comes with. Missing scores (NaN) stay missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from map_score_fusion.methods.base import FloatArray

TAIL = 0.05
"""Share of the training scores, and of the scale [0, 1], in each tail of `RobustScaling`."""

SLOPE = (1.0 - 2.0 * TAIL) / TAIL
"""Slope of the straight part, in units of the tail's share: what makes the slope continuous where the tail begins."""

CHUNK = 100_000
"""Rows that are mapped at a time, so that what lies between takes little memory."""


@dataclass(frozen=True)
class RobustScaling:
    """A strictly increasing map of each metric to [0, 1]: straight between two quantiles, flattening beyond them.

    The 5 % quantile of the training scores goes to 0.05 and the 95 % quantile to 0.95, on a straight line. Beyond, the
    map bends (its slope is continuous) and nears 0 or 1 without reaching it, so that outliers neither set the scale nor
    tie. Where the two quantiles are one value, the smallest and the largest score take their place. A column that was
    constant in training has no scale, and all its scores become 0.5.

    Attributes:
        low: The score that goes to 0.05, shape (M,).
        high: The score that goes to 0.95, shape (M,).
        minimum: Smallest training score, shape (M,).
        maximum: Largest training score, shape (M,).
    """

    low: FloatArray
    high: FloatArray
    minimum: FloatArray
    maximum: FloatArray

    @classmethod
    def fit(cls, scores: FloatArray) -> Self:
        """Learn the maps from a table (N, M), in whose every column at least one score is finite, the rest NaN."""
        minimum, maximum = np.nanmin(scores, axis=0), np.nanmax(scores, axis=0)
        # Halved, since the interpolation between two of the largest floats would overflow.
        low, high = 2.0 * np.nanquantile(scores / 2.0, [TAIL, 1.0 - TAIL], axis=0)
        tied = high / 2.0 - low / 2.0 <= 0.0
        return cls(np.where(tied, minimum, low), np.where(tied, maximum, high), minimum, maximum)

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Map scores (N, M), NaN where missing, to [0, 1]."""
        half_width = self.high / 2.0 - self.low / 2.0  # halves throughout: the largest floats have no sum
        half_middle = self.low / 4.0 + self.high / 4.0
        divisor = np.where(half_width > 0.0, half_width, np.inf)
        scaled = np.empty(scores.shape)
        for rows in _chunks(len(scores)):
            with np.errstate(over="ignore"):  # a position of infinity is the end of the scale, as it should be
                position = (scores[rows] / 2.0 - half_middle) / divisor
                distance = np.abs(position)
                beyond = TAIL - TAIL / (1.0 + SLOPE * np.maximum(distance - 0.5, 0.0))
            offset = (1.0 - 2.0 * TAIL) * np.minimum(distance, 0.5) + beyond
            scaled[rows] = 0.5 + np.copysign(offset, position)
        return scaled

    def inverse(self, scaled: FloatArray) -> FloatArray:
        """Return the scores (..., M) that go to values (..., M), the training range's end where none within it does."""
        offset = np.minimum(np.abs(scaled - 0.5), 0.5)
        with np.errstate(divide="ignore"):
            beyond = (TAIL / np.maximum(0.5 - offset, 0.0) - 1.0) / SLOPE
        distance = np.where(offset > 0.5 - TAIL, 0.5 + beyond, offset / (1.0 - 2.0 * TAIL))
        half_width = self.high / 2.0 - self.low / 2.0
        with np.errstate(over="ignore", invalid="ignore"):  # infinity times no width, for a constant column
            half_scores = self.low / 4.0 + self.high / 4.0 + np.copysign(distance, scaled - 0.5) * half_width
            scores = np.clip(half_scores, self.minimum / 2.0, self.maximum / 2.0) * 2.0
        return np.where((half_width <= 0.0) & ~np.isnan(scaled), self.minimum, scores)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that ``from_state`` makes this map from."""
        return {
            "scaling.low": self.low,
            "scaling.high": self.high,
            "scaling.minimum": self.minimum,
            "scaling.maximum": self.maximum,
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the map again from what ``state`` returned; other arrays are ignored."""
        return cls(*(arrays[f"scaling.{name}"] for name in ("low", "high", "minimum", "maximum")))


@dataclass(frozen=True)
class EmpiricalDistribution:
    """The empirical distribution function of each metric's training scores, ties at the middle of their ranks.

    A score x becomes (the number of training scores below x + half the number equal to x) / N, in [0, 1]: the
    normalised rank of the paper's section 3.4, moved by half a rank so that ties, and the table as a whole, are in the
    middle. N counts the column's own training scores, without the missing ones.

    Attributes:
        sorted_scores: The sorted training scores of each metric; M arrays, each as long as the metric has scores.
    """

    sorted_scores: tuple[FloatArray, ...]

    @classmethod
    def fit(cls, scores: FloatArray) -> Self:
        """Learn the functions from a table (N, M), in whose every column at least one score is finite, the rest NaN."""
        return cls(tuple(np.sort(column[~np.isnan(column)]) for column in scores.T))

    def __call__(self, scores: FloatArray) -> FloatArray:
        """Map scores (N, M), NaN where missing, to normalised ranks in [0, 1]."""
        ranks = np.empty(scores.shape)
        for column, reference in enumerate(self.sorted_scores):
            for rows in _chunks(len(scores)):
                ranks[rows, column] = _mid_ranks(reference, scores[rows, column])
        return ranks

    def inverse(self, ranks: FloatArray) -> FloatArray:
        """Return the training score (..., M) at each normalised rank (..., M), interpolated between neighbours."""
        scores = np.empty(ranks.shape)
        for column, reference in enumerate(self.sorted_scores):
            middles = (np.arange(reference.size) + 0.5) / reference.size
            scores[..., column] = np.interp(ranks[..., column], middles, reference)
        return scores

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that ``from_state`` makes this map from."""
        return {
            "scaling.sorted_scores": np.concatenate(self.sorted_scores),
            "scaling.counts": np.array([column.size for column in self.sorted_scores], dtype=np.int64),
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the map again from what ``state`` returned; other arrays are ignored."""
        ends = np.cumsum(arrays["scaling.counts"])
        return cls(tuple(np.split(arrays["scaling.sorted_scores"], ends[:-1])))


def _chunks(rows: int) -> Iterator[slice]:
    """Slices that cover so many rows, `CHUNK` at a time."""
    return (slice(start, start + CHUNK) for start in range(0, rows, CHUNK))


def _mid_ranks(reference: FloatArray, column: FloatArray) -> FloatArray:
    """Normalised mid-ranks (N,) of a column's values among sorted reference values; NaN stays NaN."""
    twice_counts: NDArray[np.int64] = np.empty(column.size, dtype=np.int64)
    if column.size <= reference.size:
        np.add(np.searchsorted(reference, column), np.searchsorted(reference, column, side="right"), out=twice_counts)
    else:
        # The same counts by searching the other way round: with many values, sorting them and finding the few
        # references among them takes a third of the time of a search with each value.
        order = np.argsort(column)
        ordered = column[order]
        first_beyond = np.concatenate([np.searchsorted(ordered, reference, side) for side in ("left", "right")])
        twice_counts[order] = np.cumsum(np.bincount(first_beyond, minlength=column.size + 1)[:-1])
    ranks: FloatArray = twice_counts / (2.0 * reference.size)
    ranks[np.isnan(column)] = np.nan
    return ranks
