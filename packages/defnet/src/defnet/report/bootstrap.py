"""How far figures would move with other photographs of the same kind: percentile intervals of a bootstrap."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.agreement import srcc

_RESAMPLES = 2000
_SEED = 0


def srcc_intervals(
    scores: Sequence[NDArray[np.float64]], ratings: NDArray[np.float64], *, level: float = 0.95
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Percentile intervals of the SRCC of several models on the same images, and of each one's gain over the first.

    Images are drawn with replacement, the same for all models, so that a gain's interval is that of the paired
    difference. Reference: B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.

    Args:
        scores: each model's scores of n images, (n,).
        ratings: their ratings, (n,).
        level: the probability.

    Returns:
        An interval for each model, and one for each model's difference from the first; NaN for fewer than three
        images, or where nothing varies.
    """
    generator = np.random.default_rng(_SEED)
    found: list[list[float]] = []
    for _ in range(_RESAMPLES if len(ratings) > 2 else 0):
        rows = generator.integers(len(ratings), size=len(ratings))
        drawn = [srcc(one[rows], ratings[rows]) for one in scores]
        if all(value == value for value in drawn):
            found.append(drawn)
    if not found:
        nothing = [(float("nan"), float("nan"))] * len(scores)
        return nothing, nothing
    values = np.asarray(found)
    return _percentiles(values, level), _percentiles(values - values[:, :1], level)


def _percentiles(values: NDArray[np.float64], level: float) -> list[tuple[float, float]]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
