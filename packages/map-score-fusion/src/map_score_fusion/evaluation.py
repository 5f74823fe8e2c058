"""Agreement of scores with human ratings, and its differences, with intervals over images or over their references.

The figures are those of `iqa_datasets.agreement`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from iqa_datasets.agreement import FEWEST_FOR_LOGISTIC, LogisticFit, fit_logistic, krcc, srcc
from map_score_fusion.bootstrap import FloatArray, Resampling, correlation_draws
from map_score_fusion.errors import ScoreTableError

Interval = tuple[float, float]

FIGURES = ("srcc", "plcc", "krcc")


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with ratings, and on which images that was found.

    Attributes:
        images: Images with both a score and a rating, on which every figure here rests.
        left_out: Images that lack a score or a rating.
        groups: Groups that these images belong to, and that the intervals resample; None where each stands alone.
        srcc: Spearman's rank correlation, mid-ranks for ties.
        plcc: Pearson's correlation after the four-parameter logistic of VQEG, with the sign of its slope: negative
            where ratings fall as scores rise. (Many papers print its absolute value.)
        krcc: Kendall's τ-b.
        srcc_interval: Bootstrap interval, None where none was asked for; likewise the next two.
        plcc_interval: See above.
        krcc_interval: See above.
        note: Why a figure is NaN, or what is unusual about it, in a sentence; empty where nothing is.
    """

    images: int
    left_out: int
    srcc: float
    plcc: float
    krcc: float
    srcc_interval: Interval | None = None
    plcc_interval: Interval | None = None
    krcc_interval: Interval | None = None
    note: str = ""
    groups: int | None = None


@dataclass(frozen=True)
class AgreementDifference:
    """How much better one score agrees with ratings than another, on the images that have both and a rating.

    Attributes:
        images: Images that every figure here rests on.
        srcc: SRCC of the first less that of the second; likewise the next two. They are as in `Agreement`.
        plcc: See above.
        krcc: See above.
        srcc_interval: Bootstrap interval of the difference, both scores in the same resamples; likewise the next two.
        plcc_interval: See above.
        krcc_interval: See above.
        groups: Groups that were resampled; None where each image stands alone.
        note: Why the figures are NaN, in a sentence; empty where they are not.
    """

    images: int
    srcc: float
    plcc: float
    krcc: float
    srcc_interval: Interval
    plcc_interval: Interval
    krcc_interval: Interval
    groups: int | None = None
    note: str = ""


def agreement(
    scores: ArrayLike,
    ratings: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Compare scores with human ratings of the same images.

    The intervals are from resamples of the images, drawn with replacement (`bootstrap.Resampling.interval`). **Images
    of one reference are not independent**: in a table of 25 references with 120 distorted images each, intervals over
    images are far too narrow for what other references would give. Say by ``groups`` which images have one reference,
    and whole references are drawn.

    The same seed and number of images or groups give the same resamples, so that several scores of one table are
    compared on the same draws; `agreement_difference` does that.

    Args:
        scores: (N,), NaN where missing. Infinite scores count as the best or worst.
        ratings: (N,), NaN where missing.
        groups: What tells the groups apart, such as the name of each image's reference, (N,); None where every image
            stands alone.
        resamples: Number of resamples; 0 for no intervals. 1,000 is usual.
        confidence: Probability that the intervals are for.
        seed: Seed of the resamples.

    Returns:
        The figures. Where fewer than 6 images have both, or either is the same for all, they are NaN, and
        ``note`` says so. With one group there are no intervals.

    Raises:
        ScoreTableError: The shapes differ, a rating is infinite, a group is missing, or an argument is out of its
            range.

    Example:
        >>> found = agreement([0.1, 0.4, 0.35, 0.8, 0.7, 0.9], [1, 2, 3, 4, 5, 6])
        >>> round(found.srcc, 3), found.images
        (0.886, 6)
    """
    x, y = paired(scores, ratings)
    _check_resampling(resamples, confidence)
    places = _places(groups, len(x))
    both = ~(np.isnan(x) | np.isnan(y))
    left_out, x, y = int((~both).sum()), x[both], y[both]
    many = None if places is None else len(np.unique(places[both]))
    nan = float("nan")
    why = why_undefined(x, y)
    if why:
        return Agreement(len(x), left_out, nan, nan, nan, note=why, groups=many)
    fit = fit_logistic(x, y)
    figures = _figures(x, y, fit)
    note = "the best logistic is a step: PLCC tells two levels apart" if fit.limit == "step" else ""
    if not resamples:
        return Agreement(len(x), left_out, *figures, note=note, groups=many)
    if many == 1:
        note = "; ".join(filter(None, [note, "all images are of one group, so there are no intervals"]))
        return Agreement(len(x), left_out, *figures, note=note, groups=many)
    resampling = _resampling(places, both, resamples, seed)
    draws = correlation_draws(x, y, _curve(x, fit), resampling)
    of_srcc, of_plcc, of_krcc = (
        resampling.interval(figure, of_figure, confidence) for figure, of_figure in zip(figures, draws, strict=True)
    )
    return Agreement(len(x), left_out, *figures, of_srcc, of_plcc, of_krcc, note, many)


def agreement_difference(
    first: ArrayLike,
    second: ArrayLike,
    ratings: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> AgreementDifference:
    """Compare how well two scores of the same images agree with ratings.

    Two scores of the same images err alike, so that intervals of each that overlap say little of their difference. Here
    both are judged on the same images in each resample: those that have both scores and a rating.

    Args:
        first: (N,), NaN where missing.
        second: (N,), NaN where missing.
        ratings: (N,), NaN where missing.
        groups: As for `agreement`.
        resamples: Number of resamples, at least 1.
        confidence: Probability that the intervals are for.
        seed: Seed of the resamples.

    Raises:
        ScoreTableError: As `agreement`.

    Example:
        >>> found = agreement_difference([1, 2, 3, 4, 6, 5], [3, 1, 2, 6, 5, 4], [1, 2, 3, 4, 5, 6])
        >>> round(found.srcc, 3)
        0.343
    """
    a, y = paired(first, ratings)
    b, _ = paired(second, ratings)
    _check_resampling(resamples, confidence)
    if not resamples:
        raise ScoreTableError("resamples is 0; an interval of a difference needs at least 1")
    places = _places(groups, len(y))
    known = ~(np.isnan(a) | np.isnan(b) | np.isnan(y))
    a, b, y = a[known], b[known], y[known]
    many = None if places is None else len(np.unique(places[known]))
    nan = float("nan")
    nothing = (nan, nan)
    why = why_undefined(a, y) or why_undefined(b, y)
    if not why and many == 1:
        why = "all images are of one group"
    if why:
        return AgreementDifference(len(y), nan, nan, nan, nothing, nothing, nothing, many, why)
    resampling = _resampling(places, known, resamples, seed)
    fits = fit_logistic(a, y), fit_logistic(b, y)
    first_found, second_found = _figures(a, y, fits[0]), _figures(b, y, fits[1])
    found = [one - other for one, other in zip(first_found, second_found, strict=True)]
    draws = correlation_draws(a, y, _curve(a, fits[0]), resampling)
    draws -= correlation_draws(b, y, _curve(b, fits[1]), resampling)
    of_srcc, of_plcc, of_krcc = (
        resampling.interval_of_difference(figure, of_figure, confidence)
        for figure, of_figure in zip(found, draws, strict=True)
    )
    srcc_found, plcc_found, krcc_found = found
    return AgreementDifference(len(y), srcc_found, plcc_found, krcc_found, of_srcc, of_plcc, of_krcc, many)


def size_weighted(values: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the mean of a figure over several tables, weighted by their numbers of images, as in the paper's Table 1.

    A figure that is NaN makes the mean NaN: a mean over fewer tables would not compare with the others.

    Raises:
        ScoreTableError: There is not one size for each value, a size is negative or not finite, or all are 0.
    """
    if len(values) != len(sizes) or not len(values):
        raise ScoreTableError(f"one size for each value is needed, got {len(values)} values and {len(sizes)} sizes")
    weights = np.asarray(sizes, dtype=np.float64)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ScoreTableError(f"sizes must be finite, at least 0 and not all 0, got {list(sizes)}")
    return float(np.average(np.asarray(values, dtype=np.float64), weights=weights))


def paired(scores: ArrayLike, ratings: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return both as float64 vectors of one length (N,), or raise the error that says why they are not."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ScoreTableError(
            f"scores and ratings must be two vectors of one length, got shapes {x.shape} and {y.shape}"
        )
    if np.isinf(y).any():
        raise ScoreTableError(
            f"the rating of row {int(np.flatnonzero(np.isinf(y))[0])} is infinite; ratings are finite"
        )
    return x, y


def why_undefined(x: FloatArray, y: FloatArray) -> str:
    """Return why figures of scores and ratings (N,) are not defined, in a clause; empty where they are."""
    if len(x) < FEWEST_FOR_LOGISTIC:
        return f"{len(x)} images have both a score and a rating; {FEWEST_FOR_LOGISTIC} are the fewest"
    if x.min() == x.max():
        return f"all {len(x):,} images have the same score"
    if y.min() == y.max():
        return f"all {len(x):,} images have the same rating"
    return ""


def _check_resampling(resamples: int, confidence: float) -> None:
    if resamples < 0 or not 0 < confidence < 1:
        raise ScoreTableError(
            f"resamples must be 0 or more and confidence between 0 and 1, got {resamples} and {confidence}"
        )


def _places(groups: ArrayLike | None, images: int) -> NDArray[np.intp] | None:
    """Return the group of each image as a number, (N,)."""
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (images,):
        raise ScoreTableError(f"groups must have one entry for each of the {images} images, got shape {labels.shape}")
    missing = np.flatnonzero([label is None or label != label for label in labels.tolist()])
    if len(missing):
        raise ScoreTableError(f"the group of row {int(missing[0])} is missing; every image belongs to one")
    _, places = np.unique(labels.astype(str), return_inverse=True)
    return places


def _resampling(places: NDArray[np.intp] | None, known: NDArray[np.bool_], resamples: int, seed: int) -> Resampling:
    """Return the resampling of the images that are known, or of the groups that they belong to."""
    if places is None:
        return Resampling(np.arange(int(known.sum())), resamples, seed)
    return Resampling(np.unique(places[known], return_inverse=True)[1], resamples, seed)


def _figures(x: FloatArray, y: FloatArray, fit: LogisticFit) -> tuple[float, float, float]:
    """Return SRCC, PLCC and KRCC, as `FIGURES` orders them."""
    return srcc(x, y), fit.correlation, krcc(x, y)


def _curve(x: FloatArray, fit: LogisticFit) -> FloatArray:
    _, _, middle, width = fit.parameters
    return np.asarray(scipy.special.expit((x - middle) / width))
