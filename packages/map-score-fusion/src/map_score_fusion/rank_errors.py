"""Whether predicted deviations of the fused ranks agree with the errors that ratings show."""

from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from map_score_fusion.bootstrap import FloatArray
from map_score_fusion.errors import ScoreTableError
from map_score_fusion.evaluation import paired, why_undefined


@dataclass(frozen=True)
class UncertaintyAgreement:
    """Whether predicted standard deviations of ranks hold the ranks' errors, and whether larger ones mean more error.

    The error of an image is the absolute difference between its rank among the fused scores and its rank among the
    ratings of the same table, as a share of the number of images.

    Attributes:
        images: Images with a rank, a deviation and a rating.
        coverage: Share of the images whose error is at most two deviations; 0.95 where the deviations are right.
        spearman: Spearman's correlation between deviation and error; above 0 where uncertain images are ranked worse.
        quarter_errors: Mean error in each quarter of the images, from the least to the most uncertain, (4,).
    """

    images: int
    coverage: float
    spearman: float
    quarter_errors: tuple[float, ...]


def rank_deviations(ranks: ArrayLike, deviations: ArrayLike) -> FloatArray:
    """Return the standard deviations of the images' ranks in a table of their own.

    `ScoreFusion.ranks` ranks images among the training images. In another table images may lie closer together there,
    so that the same uncertainty moves an image past more of them: the deviation is half the share of the table's images
    within one deviation of an image's own (those at the very edge count half). No ratings are needed.

    Args:
        ranks: Ranks among the training images, or any scores, (N,), NaN where missing.
        deviations: Their standard deviations, on the same scale, (N,), at least 0, NaN where missing.

    Returns:
        (N,), in [0, 0.5]; NaN where either is missing.

    Raises:
        ScoreTableError: The two are not vectors of one length, or a deviation is negative.

    Example:
        >>> rank_deviations([0.1, 0.50, 0.51, 0.52, 0.9], [0.1, 0.1, 0.1, 0.1, 0.1]).round(1).tolist()
        [0.1, 0.3, 0.3, 0.3, 0.1]
    """
    centre, spread = np.asarray(ranks, dtype=np.float64), np.asarray(deviations, dtype=np.float64)
    if centre.ndim != 1 or centre.shape != spread.shape:
        raise ScoreTableError(
            f"ranks and deviations must be two vectors of one length, got shapes {centre.shape} and {spread.shape}"
        )
    if (spread < 0).any():
        row = int(np.flatnonzero(spread < 0)[0])
        raise ScoreTableError(f"the deviation of row {row} is {spread[row]:.6g}; deviations are at least 0")
    ordered = np.sort(centre[~np.isnan(centre)])

    def share_below(values: FloatArray) -> FloatArray:
        return np.asarray(
            (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right"))
            / max(2 * len(ordered), 1)
        )

    found: FloatArray = (share_below(centre + spread) - share_below(centre - spread)) / 2
    return np.where(np.isnan(centre) | np.isnan(spread), np.nan, found)


def uncertainty_agreement(ranks: ArrayLike, deviations: ArrayLike, ratings: ArrayLike) -> UncertaintyAgreement:
    """Compare the predicted standard deviations of ranks with the ranks' errors.

    Args:
        ranks: Ranks among the training images, (N,), NaN where missing: the first that `ScoreFusion.ranks` returns.
        deviations: Their standard deviations, (N,), NaN where missing: the second. They are brought to the ranks of
            this table by `rank_deviations`.
        ratings: (N,), higher = better, NaN where missing.

    Returns:
        The figures; NaN where fewer than 6 images have all three, or (the correlation) all have one deviation.

    Raises:
        ScoreTableError: The shapes differ, a rating is infinite, or a deviation is negative.
    """
    x, y = paired(ranks, ratings)
    deviation, _ = paired(deviations, ratings)
    known = ~(np.isnan(x) | np.isnan(y) | np.isnan(deviation))
    x, y, deviation = x[known], y[known], deviation[known]
    nan = float("nan")
    if why_undefined(x, y):
        return UncertaintyAgreement(len(x), nan, nan, (nan,) * 4)
    error = np.abs(scipy.stats.rankdata(x) - scipy.stats.rankdata(y)) / len(x)
    here = rank_deviations(x, deviation)
    quarters = np.array_split(np.argsort(here, kind="stable"), 4)
    return UncertaintyAgreement(
        len(x),
        float(np.mean(error <= 2 * here)),
        nan if why_undefined(here, y) else float(scipy.stats.spearmanr(here, error).statistic),
        tuple(float(error[part].mean()) for part in quarters),
    )
