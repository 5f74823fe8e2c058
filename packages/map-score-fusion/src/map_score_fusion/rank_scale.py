"""The fused rank of an image among the training images, and its standard deviation, calibrated without ratings.

What a method says of the uncertainty of its fused score is turned into that of the score's rank, and calibrated on a
table that is drawn to look like the training table but of which the true quality is known. So every method's deviation
means the same: within two of them lies the rank that the image would have by its true quality, for 95 % of the images,
**as far as the metrics' errors are what their disagreement shows**. Errors that all metrics share cannot be seen, so
that on real tables less is held; `real_tables.REAL_TABLES` says how much less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import norm, rankdata

from map_score_fusion.methods.base import FloatArray, FusionMethod
from map_score_fusion.metric_errors import ANGULAR_VARIANCE, angular, mean_square_differences, shared_errors
from map_score_fusion.rank_correlation import correlation_of_pairs
from map_score_fusion.scaling import EmpiricalDistribution

UNKNOWN_RANK_STD: Final = float(np.sqrt(1.0 / 12.0))
"""Deviation of a rank of which nothing is known: that of a uniform distribution on [0, 1]."""

DRAWN_IMAGES: Final = 4000
"""Images of the table that the calibration draws: 95 % of them is known to within 0.3 %."""

TWO_DEVIATIONS: Final = 0.95
"""Share of the errors that two standard deviations are to hold."""

DEGREES_OF_FREEDOM: Final = 6.0
"""Of the t distribution that errors are drawn from: between the normal one and the heavy tails of 4 degrees."""

LARGEST_LOADING: Final = 0.9975
"""Of a metric on quality; a loading of 1 would be a metric without error, which no table shows."""

_SHARES: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 100.0)
_STEPS = 500


@dataclass(frozen=True)
class RankScale:
    """Where fused scores rank among those of the training images, and how sure that is.

    Attributes:
        reference: The training images' fused scores, sorted, (N,).
        offset: Smallest standard deviation of a rank, as a share of the training images.
        slope: What the rank's share of the score's own standard deviation is multiplied by.
    """

    reference: FloatArray
    offset: float
    slope: float

    @classmethod
    def fit(cls, method: FusionMethod, scores: FloatArray, fused: FloatArray, generator: np.random.Generator) -> Self:
        """Calibrate the deviations of a fitted method.

        A table of `DRAWN_IMAGES` is drawn (`drawn_table`) and fused. A deviation is ``offset + slope × d``, with d the
        rank's share of the score's own deviation (`_shares_within`). For each of some ratios of offset to slope, the
        scale is the one at which two deviations hold `TWO_DEVIATIONS` of the errors of the drawn ranks; of these ratios
        the one with the smallest interval score is taken, that is, narrow intervals with small misses (T. Gneiting and
        A. E. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA 102, 2007, section 6.2).

        Args:
            method: The fitted method.
            scores: Oriented training scores (N, M).
            fused: What the method made of them, (N,).
            generator: Where the drawn table comes from.
        """
        reference = np.sort(fused)
        if scores.shape[1] == 1:
            return cls(reference, UNKNOWN_RANK_STD, 0.0)
        drawn, quality = drawn_table(scores, generator)
        score, deviation = method.predict_std(drawn)
        of_drawn = np.sort(score)
        spread = _shares_within(of_drawn, score, deviation)
        error = np.abs(_shares_below(of_drawn, score) - (rankdata(quality) - 0.5) / len(quality))
        mean = max(float(spread.mean()), 1e-6)
        best = (np.inf, 0.0, 0.0)
        for share in _SHARES:
            shape = share * mean + spread + 1e-9
            scale = float(np.quantile(error / (2.0 * shape), TWO_DEVIATIONS))
            missed = np.maximum(error - 2.0 * scale * shape, 0.0)
            interval_score = float(np.mean(2.0 * scale * shape + missed / (1.0 - TWO_DEVIATIONS)))
            if interval_score < best[0]:
                best = (interval_score, scale * share * mean, scale)
        return cls(reference, best[1], best[2])

    def ranks(self, fused: FloatArray) -> FloatArray:
        """Return the share of the training images (N,) that fused scores (N,) are above, those equal counting half."""
        return _shares_below(self.reference, fused)

    def deviations(self, fused: FloatArray, std: FloatArray) -> FloatArray:
        """Return the ranks' standard deviations (N,) for fused scores (N,) with these standard deviations (N,)."""
        return self.offset + self.slope * _shares_within(self.reference, fused, std)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that ``from_state`` makes this scale from."""
        return {"ranks.reference": self.reference, "ranks.line": np.array([self.offset, self.slope])}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Make the scale again from what ``state`` returned; other arrays are ignored."""
        offset, slope = map(float, arrays["ranks.line"])
        return cls(arrays["ranks.reference"], offset, slope)


def drawn_table(scores: FloatArray, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Draw a table that looks like a training table, and of which the quality is known.

    Quality is uniform. Each metric's value is its loading times the quality on the angular scale plus an error, the
    errors of two metrics correlated by what their loadings do not explain of their correlation (`loadings`), and drawn
    from a t distribution. So the drawn metrics are correlated as the given ones are. Ranks become scores by each
    metric's own distribution, and scores are missing as in rows of the given table.

    Args:
        scores: Oriented scores (N, M), M at least 2, NaN where missing, every column with one at least.
        generator: What it is drawn from.

    Returns:
        Scores (D, M), no row without any, and the qualities (D,), D at most `DRAWN_IMAGES`.
    """
    distribution = EmpiricalDistribution.fit(scores)
    positions = angular(distribution(scores))
    correlation = correlation_of_pairs(positions)
    loading = loadings(correlation, mean_square_differences(positions)[1])
    unexplained = np.sqrt(1.0 - loading**2)
    of_errors = (correlation - np.outer(loading, loading)) / np.outer(unexplained, unexplained)
    of_errors = np.clip(of_errors, -1.0, 1.0)
    np.fill_diagonal(of_errors, 1.0)
    # Correlations of pairs need not be those of any table: eigenvalues below 0 are left out.
    values, vectors = np.linalg.eigh(of_errors)
    mixing = vectors * np.sqrt(np.maximum(values, 0.0))
    mixing /= np.sqrt((mixing**2).sum(axis=1, keepdims=True))

    quality = generator.uniform(size=DRAWN_IMAGES)
    standard = (angular(quality) - 0.5) / np.sqrt(ANGULAR_VARIANCE)
    normal = generator.normal(size=(DRAWN_IMAGES, len(loading))) @ mixing.T
    errors = stdtrit(DEGREES_OF_FREEDOM, norm.cdf(normal)) / np.sqrt(DEGREES_OF_FREEDOM / (DEGREES_OF_FREEDOM - 2.0))
    values = standard[:, None] * loading + errors * unexplained
    drawn = distribution.inverse((rankdata(values, axis=0) - 0.5) / DRAWN_IMAGES)
    drawn[np.isnan(scores)[generator.integers(len(scores), size=DRAWN_IMAGES)]] = np.nan
    held = ~np.isnan(drawn).all(axis=1)
    return drawn[held], quality[held]


def loadings(correlation: FloatArray, common: NDArray[np.int64]) -> FloatArray:
    """Return each metric's correlation with quality, (M,), from the metrics' correlations with each other.

    Where the errors of two metrics are independent, their correlation is the product of their loadings (C. Spearman,
    "General Intelligence", American Journal of Psychology 15, 1904). The loadings minimise the squared differences from
    that over the pairs, each pair weighted by what is not in common of their errors (`metric_errors.shared_errors`),
    with a little weight, the less the more images there are, on all loadings being equal. Of two metrics, and of
    groups of duplicates, nobody can say which one errs: they get equal loadings.

    Args:
        correlation: Of the metrics' angular ranks, (M, M). Negative ones count as 0.
        common: On how many images each correlation rests, (M, M).
    """
    shared = shared_errors(correlation, common)
    independence = shared.independence
    weight = np.outer(independence, independence) * (1.0 - shared.likeness)
    np.fill_diagonal(weight, 0.0)
    positive = np.clip(correlation, 0.0, 1.0)
    total = weight.sum()
    if total < 1e-9:  # all are one metric under several names
        return np.full(len(correlation), np.sqrt(0.5))
    usual = float(np.sqrt((weight * positive).sum() / total))
    prior = independence / np.sqrt(max(float(common.max()), 1.0))
    found = np.full(len(correlation), min(usual, LARGEST_LOADING))
    for _ in range(_STEPS):
        least_squares = ((weight * positive) @ found + prior * usual) / (weight @ found**2 + prior)
        after = 0.5 * (found + np.clip(least_squares, 0.0, LARGEST_LOADING))
        moved, found = np.abs(after - found).max(), after
        if moved < 1e-9:
            break
    return found


def _shares_below(ordered: FloatArray, values: FloatArray) -> FloatArray:
    """Return the share of sorted scores that lie below each value, (N,), those equal counting half."""
    return np.asarray(
        (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (2 * len(ordered))
    )


def _shares_within(ordered: FloatArray, values: FloatArray, widths: FloatArray) -> FloatArray:
    """Return half the share of sorted scores that lie within a width of each value, (N,)."""
    return (_shares_below(ordered, values + widths) - _shares_below(ordered, values - widths)) / 2
