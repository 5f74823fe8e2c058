"""Whether an uncertainty tells large errors from small ones: sparsification, AUSE, rank correlation, ENCE."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from evidential_nig.arguments import check_choice, check_whole_number, refuse
from evidential_nig.calibration.pairs import check_ranking

ErrorMetric: TypeAlias = Literal["rmse", "mae"]


class SparsificationCurve(NamedTuple):
    """What `sparsification_curve` returns: three tensors of shape (n,) for n predictions.

    `fraction` is the share removed, 0, 1/n, …, (n − 1)/n; `error` and `oracle` are in the units of the error.
    """

    fraction: Tensor
    error: Tensor
    oracle: Tensor


@torch.no_grad()
def sparsification_curve(uncertainty: Tensor, error: Tensor, *, metric: ErrorMetric = "rmse") -> SparsificationCurve:
    """Error that is left after the most uncertain predictions are removed, one after the other.

    Beside it the oracle, which removes by the errors themselves and which no uncertainty can be better than. Equal
    uncertainties are removed in no particular order: each counts with the mean (squared) error of its equals, so that
    the curve does not depend on the order of the data, and a constant uncertainty gives a level curve.

    Args:
        uncertainty: Any monotone measure of it (variance and standard deviation give the same), any shape (...); inf
            is allowed.
        error: Target minus prediction, shape exactly (...); its sign is ignored.
        metric: "rmse", or "mae" for the mean absolute error.

    Returns:
        The shares removed and the two curves.

    Raises:
        ValueError: If the shapes differ, are empty, `uncertainty` holds NaN or `error` is not finite, or `metric` is
            neither of the two.

    Example:
        >>> curve = sparsification_curve(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 2.0, -3.0]), metric="mae")
        >>> curve.error, curve.oracle
        (tensor([2., 2., 1.], dtype=torch.float64), tensor([2.0000, 1.5000, 1.0000], dtype=torch.float64))

    Source: Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow", 2018, Section 5.
    """
    check_choice("metric", metric, ("rmse", "mae"))
    uncertainty, error = check_ranking(uncertainty, error)
    # Relative to the largest, so that squares neither overflow nor vanish.
    largest = error.max()
    scaled = error / torch.where(largest > 0, largest, 1)
    power = 2 if metric == "rmse" else 1
    loss = scaled.pow(power)

    count = torch.arange(1, len(loss) + 1, dtype=torch.float64, device=loss.device)

    def left(kept_first: Tensor) -> Tensor:
        """The curve for losses in the order in which they are kept, the first longest."""
        return largest * (kept_first.cumsum(0) / count).pow(1 / power).flip(0)

    values, group, size = torch.unique(uncertainty, return_inverse=True, return_counts=True)
    group_mean = torch.zeros_like(values).index_add_(0, group, loss) / size
    by_uncertainty = group_mean.repeat_interleave(size)
    return SparsificationCurve((count - 1) / len(loss), left(by_uncertainty), left(loss.sort().values))


def ause(uncertainty: Tensor, error: Tensor, *, metric: ErrorMetric = "rmse", normalized: bool = True) -> Tensor:
    """Area between the `sparsification_curve` and its oracle: how far the uncertainty is from ranking the errors.

    Both curves are steps of width 1/n, so the area is the mean of their difference.

    Args:
        uncertainty: See `sparsification_curve`.
        error: See `sparsification_curve`.
        metric: See `sparsification_curve`.
        normalized: Whether to divide both curves by the error before anything is removed, as Ilg et al. do; else the
            area is in units of the error.

    Returns:
        A tensor of shape (), 0 for a perfect ranking (and where every error is 0).

    Raises:
        ValueError: See `sparsification_curve`.

    Example:
        >>> ause(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 2.0, -3.0]), metric="mae").round(decimals=4)
        tensor(0.0833, dtype=torch.float64)

    Source: Ilg et al., "Uncertainty estimates and multi-hypotheses networks for optical flow", 2018, Section 5.
    """
    curve = sparsification_curve(uncertainty, error, metric=metric)
    area = (curve.error - curve.oracle).mean()
    total = curve.error[0]
    return area / torch.where(total > 0, total, 1) if normalized else area


@torch.no_grad()
def error_uncertainty_correlation(uncertainty: Tensor, error: Tensor) -> Tensor:
    """Spearman's rank correlation of uncertainty and absolute error, with average ranks for ties.

    Args:
        uncertainty: See `sparsification_curve`.
        error: See `sparsification_curve`.

    Returns:
        A tensor of shape (), in [−1, 1]. Even the true variances stay well below 1, since each error is one random
        draw: compare models by it and do not expect 1. NaN where all uncertainties or all absolute errors are equal,
        for then there is no ranking to compare.

    Raises:
        ValueError: See `sparsification_curve`.

    Example:
        >>> error_uncertainty_correlation(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 2.0, -3.0]))
        tensor(0.5000, dtype=torch.float64)
    """
    first, second = (_centred_ranks(value) for value in check_ranking(uncertainty, error))
    return ((first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()).clamp(-1, 1)


@torch.no_grad()
def expected_normalized_calibration_error(variance: Tensor, error: Tensor, *, bins: int = 10) -> Tensor:
    """ENCE: how far predicted standard deviations are from the errors that they are made for, bin by bin.

    The predictions in the order of their variance are cut into bins of equal number (sizes differ by one where n is no
    multiple). In each, with RMV the root of the mean variance and RMSE the root of the mean squared error,
    |RMV − RMSE|/RMV; the ENCE is the mean over the bins. Unlike coverage it tells whether the uncertainties are right
    at every size. Equal variances count with the mean squared error of their equals, so that nothing depends on the
    order of the data.

    Args:
        variance: Predictive variances, any shape (...), finite and above 0.
        error: Target minus prediction, shape exactly (...).
        bins: Number of bins, from 1 to n. Sampling alone makes the ENCE about 0.56 √(bins/n) for errors that are normal
            with the predicted variances, and more for errors of heavier tails; compare models on one n and one number.

    Returns:
        A tensor of shape (), at least 0; 0 is best.

    Raises:
        TypeError: If one of the two is no tensor, or `bins` no whole number.
        ValueError: If the shapes differ, are empty, a variance is not finite and above 0 (a Student t has none for df
            up to 2), an error is not finite, or `bins` is not from 1 to n.

    Example:
        >>> variance, error = torch.tensor([4.0, 1.0, 1.0, 4.0]), torch.tensor([3.0, -1.0, 1.0, -3.0])
        >>> expected_normalized_calibration_error(variance, error, bins=2)
        tensor(0.2500, dtype=torch.float64)

    Source: Levi, Gispan, Giladi and Fetaya, "Evaluating and calibrating uncertainty prediction in regression tasks",
    2022, Eq. 8.
    """
    variance, error = check_ranking(variance, error)
    refuse(~(variance.isfinite() & (variance > 0)), "variance must be finite and above 0")
    check_whole_number("bins", bins, at_least=1, at_most=len(error))
    largest = error.max()
    squared = (error / torch.where(largest > 0, largest, 1)).square()
    values, group, size = torch.unique(variance, return_inverse=True, return_counts=True)
    group_mean = torch.zeros_like(values).index_add_(0, group, squared) / size
    of_each = (values.repeat_interleave(size), group_mean.repeat_interleave(size))
    ratios = [
        largest * (part.mean() / predicted.mean()).sqrt()
        for predicted, part in zip(*(sorted_.tensor_split(bins) for sorted_ in of_each), strict=True)
    ]
    return (1 - torch.stack(ratios)).abs().mean()


def _centred_ranks(values: Tensor) -> Tensor:
    """Average ranks around their mean, in units of n."""
    _, group, size = torch.unique(values, return_inverse=True, return_counts=True)
    centred: Tensor = size.cumsum(0).double() - (size.double() + len(values)) / 2
    return centred[group] / len(values)
