"""Whether one model is better than another over sessions that share images, and many such questions at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from defnet.errors import DataError


@dataclass(frozen=True)
class PairedTest:
    """What differences over sessions say of the true difference.

    Attributes:
        n: number of sessions.
        mean: mean difference, in units of the figure.
        standard_error: standard deviation of that mean, with the correction.
        statistic: mean over standard error, Student t with n − 1 degrees of freedom where there is no difference.
        p_value: two-sided.
        low: lower bound of the confidence interval of the true difference.
        high: its upper bound.
    """

    n: int
    mean: float
    standard_error: float
    statistic: float
    p_value: float
    low: float
    high: float


def corrected_paired_t(differences: ArrayLike, *, test_share: float, level: float = 0.95) -> PairedTest:
    """The corrected resampled t-test: differences of two models over random splits of the same images.

    Such splits share most of their images, so their differences are not independent, and the plain test finds too many.
    The variance of their mean is estimated as (1/n + n_test/n_train) s² in place of s²/n. It does not go to zero with
    more sessions, as more splits of the same images do not say more and more of other images.

    Args:
        differences: one for each of n sessions, of the same figure of both models on the same test part. Of several
            seeds give the mean within each session: seeds are not sessions.
        test_share: images that are tested on over images that are trained on, n_test / n_train: 2 / 7 for sessions of
            70, 10 and 20 %. 0 gives the plain paired t-test, for sessions that share no image.
        level: of the confidence interval.

    Returns:
        The test. Differences that are all the same have a standard error of 0: p is then 0, or 1 where they are 0.

    Raises:
        DataError: there are fewer than two differences, one is not finite, or the share is negative.

    Source: Nadeau and Bengio, "Inference for the generalization error", 2003, Section 3.3.
    """
    values = np.asarray(differences, float)
    if values.ndim != 1 or len(values) < 2:
        raise DataError(f"a paired test needs the differences of two sessions or more, got the shape {values.shape}")
    if not np.isfinite(values).all():
        raise DataError("a paired test needs finite differences: a figure could not be computed in some session")
    if not (math.isfinite(test_share) and test_share >= 0):
        raise DataError(f"test_share is test images over training images, 0 or more, got {test_share}")
    n = len(values)
    mean = float(values.mean())
    # Equal values may have a mean that is off by a rounding, and then a deviation that is none.
    deviation = 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))
    error = deviation * math.sqrt(1 / n + test_share)
    without_error = math.copysign(math.inf, mean) if mean else 0.0
    statistic = mean / error if error > 0 else without_error
    reach = float(special.stdtrit(n - 1, 0.5 + level / 2)) * error
    return PairedTest(
        n=n,
        mean=mean,
        standard_error=error,
        statistic=statistic,
        p_value=min(1.0, 2 * float(special.stdtr(n - 1, -abs(statistic)))),
        low=mean - reach,
        high=mean + reach,
    )


def benjamini_hochberg(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values adjusted for the number of questions asked, by Benjamini and Hochberg's step-up method.

    Of those at or below α, at most a share of α is expected to be true by chance alone, where the tests are independent
    or go together. It finds more than `holm`, and promises less.

    Args:
        p_values: of m tests.

    Returns:
        The adjusted values in the same order, (m,): of the k-th smallest, the smallest of m p_j / j for j ≥ k.

    Raises:
        DataError: one is not between 0 and 1.

    Source: Benjamini and Hochberg, "Controlling the false discovery rate", 1995.
    """
    p = _p_values(p_values)
    order = np.argsort(p, kind="stable")
    lowered = np.minimum.accumulate((p[order] * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, lowered)
    return adjusted


def _p_values(given: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    p = np.asarray(given, float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise DataError("p-values are a list of numbers between 0 and 1")
    return p


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values adjusted for the number of questions asked, by Holm's step-down method.

    Those at or below α are true at once with a probability of at least 1 − α, however the tests depend on each other.

    Args:
        p_values: of m tests.

    Returns:
        The adjusted values in the same order, (m,): of the k-th smallest, the largest of (m − j + 1) p_j for j ≤ k, at
        most 1.

    Raises:
        DataError: one is not between 0 and 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    p = _p_values(p_values)
    order = np.argsort(p, kind="stable")
    raised = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(p)
    adjusted[order] = raised
    return adjusted
