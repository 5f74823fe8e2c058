"""Whether predicted probabilities come true: PIT, coverage of intervals, calibration curve and errors."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import Levels, check_choice, check_finite, check_levels, check_number
from evidential_nig.calibration.pairs import check_pair, check_predictive, hint_for, name_of


class CalibrationCurve(NamedTuple):
    """What `calibration_curve` returns: two tensors of shape (levels,), both of probabilities in [0, 1]."""

    expected: Tensor
    observed: Tensor


@torch.no_grad()
def pit(predictive: Distribution, target: Tensor) -> Tensor:
    """Probability integral transform: the predicted probability of a value no larger than the target.

    Its values are uniform on [0, 1] where the predictive distribution is calibrated. A histogram that is high at both
    ends tells of intervals that are too narrow, one that is high in the middle of intervals that are too wide.

    Args:
        predictive: Predictions, batch shape (...).
        target: Observations, shape exactly (...), in any real dtype.

    Returns:
        Probabilities in [0, 1], shape (...), `float64`.

    Raises:
        TypeError: If `predictive` is no distribution of single numbers with a `cdf`.
        ValueError: If the shapes differ, there is no target, or a target or its probability is not finite.

    Example:
        >>> from torch.distributions import Normal
        >>> pit(Normal(torch.zeros(3), 1.0), torch.tensor([-1.0, 0.0, 2.0])).round(decimals=4)
        tensor([0.1587, 0.5000, 0.9772], dtype=torch.float64)

    Source: Dawid, "Statistical theory: the prequential approach", 1984; Gneiting, Balabdaoui and Raftery,
    "Probabilistic forecasts, calibration and sharpness", 2007.
    """
    target = check_pair(predictive, target)
    try:
        probability = predictive.cdf(target)
    except NotImplementedError as error:
        raise TypeError(
            f"predictive must have a cdf, but {name_of(predictive)} has none{hint_for(predictive)}"
        ) from error
    check_finite("the cdf of predictive at the target", probability)
    # Single precision may round a probability to just above 1.
    return probability.double().clamp(0, 1)


def interval_coverage(predictive: Distribution, target: Tensor, levels: Levels) -> Tensor:
    """Share of targets inside central prediction intervals.

    The central interval of level c lies between the quantiles (1 − c)/2 and (1 + c)/2; a target is inside where
    |2F(y) − 1| ≤ c. Calibrated intervals of level c hold a share c of the targets, to within a standard error of
    √(c(1 − c)/n).

    Args:
        predictive: See `pit`.
        target: See `pit`.
        levels: One or several levels in (0, 1).

    Returns:
        Shares in [0, 1], in the shape of `levels`: () for a number, (levels,) for a sequence.

    Raises:
        TypeError: See `pit`.
        ValueError: See `pit`; or if a level is outside (0, 1).

    Example:
        >>> from torch.distributions import Normal
        >>> interval_coverage(Normal(torch.zeros(4), 1.0), torch.tensor([-3.0, -0.5, 0.1, 1.5]), [0.5, 0.9])
        tensor([0.5000, 0.7500], dtype=torch.float64)
    """
    probability = pit(predictive, target)
    return share_at_most((2 * probability - 1).abs(), check_levels(levels, probability.device))


@torch.no_grad()
def interval_width(predictive: Distribution, levels: Levels, *, bounds: tuple[float, float] | None = None) -> Tensor:
    """Mean width of central prediction intervals, which beside `interval_coverage` says what the coverage costs.

    Args:
        predictive: Predictions with an `icdf`, any batch shape but an empty one.
        levels: One or several levels in (0, 1).
        bounds: Lowest and highest value of the target, where it has some: then of each interval the part between them
            counts, since nothing beyond can be observed.

    Returns:
        Widths in units of the target, in the shape of `levels`.

    Raises:
        TypeError: If `predictive` is no distribution of single numbers with an `icdf`, or a bound no number.
        ValueError: If it is empty, a level is outside (0, 1), or `bounds` are not finite and ascending.

    Example:
        >>> from torch.distributions import Normal
        >>> interval_width(Normal(torch.zeros(2), torch.tensor([1.0, 2.0])), [0.5, 0.95]).round(decimals=4)
        tensor([2.0235, 5.8799], dtype=torch.float64)
        >>> interval_width(Normal(torch.zeros(1), 1.0), 0.95, bounds=(-1, 5)).round(decimals=4)
        tensor(2.9600, dtype=torch.float64)
    """
    check_predictive(predictive)
    if predictive.batch_shape.numel() == 0:
        raise ValueError(f"predictive must not be empty, but has batch shape {tuple(predictive.batch_shape)}")
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    if bounds is not None:
        check_number("bounds", low)
        check_number("bounds", high, above=low)
    device = predictive.mean.device
    wanted = check_levels(levels, device)
    widths = []
    for level in wanted.reshape(-1):
        tail = (0.5 * (1 - level)).expand(predictive.batch_shape)
        try:
            ends = [predictive.icdf(probability).double().clamp(low, high) for probability in (tail, 1 - tail)]
        except NotImplementedError as error:
            raise TypeError(
                f"predictive must have an icdf, but {name_of(predictive)} has none{hint_for(predictive)}"
            ) from error
        widths.append((ends[1] - ends[0]).mean())
    return torch.stack(widths).reshape(wanted.shape)


def calibration_curve(predictive: Distribution, target: Tensor, levels: Levels | None = None) -> CalibrationCurve:
    """Observed frequency of targets below predicted quantiles.

    For each level p the share of targets with F(y) ≤ p, which is p for a calibrated distribution.

    Args:
        predictive: See `pit`.
        target: See `pit`.
        levels: Levels in (0, 1), 0.01, 0.02, …, 0.99 by default.

    Returns:
        The levels and the observed shares, each of shape (levels,).

    Raises:
        TypeError: See `pit`.
        ValueError: See `pit`; or if a level is outside (0, 1).

    Example:
        >>> from torch.distributions import Normal
        >>> curve = calibration_curve(Normal(torch.zeros(4), 1.0), torch.tensor([-3.0, -0.5, 0.1, 1.5]), [0.25, 0.75])
        >>> curve.observed
        tensor([0.2500, 0.7500], dtype=torch.float64)

    Source: Kuleshov, Fenner and Ermon, "Accurate uncertainties for deep learning using calibrated regression", 2018,
    Section 3.5.
    """
    probability = pit(predictive, target)
    expected = default_percentiles(levels, probability.device)
    return CalibrationCurve(expected, share_at_most(probability, expected))


def quantile_calibration_error(
    predictive: Distribution, target: Tensor, levels: Levels | None = None, *, order: Literal[1, 2] = 1
) -> Tensor:
    """Mean distance of the `calibration_curve` from the diagonal: the expected calibration error of quantiles.

    The unweighted mean over the levels of |observed − expected|^order. With order 1, the default, it reads as a
    difference of probabilities; with order 2 it is the error of Kuleshov et al., Eq. 9, with equal weights, divided by
    the number of levels. Sampling alone makes it about 0.31/√n (order 1) for a calibrated distribution and n targets.

    Args:
        predictive: See `pit`.
        target: See `pit`.
        levels: See `calibration_curve`.
        order: 1 for absolute, 2 for squared differences.

    Returns:
        A tensor of shape (), in [0, 1], of which the default levels with order 1 reach [0, ½]; 0 is best.

    Raises:
        TypeError: See `pit`.
        ValueError: See `calibration_curve`; or if `order` is neither 1 nor 2.

    Example:
        >>> from torch.distributions import Normal
        >>> target = torch.tensor([-3.0, -0.5, 0.1, 1.5])
        >>> quantile_calibration_error(Normal(torch.zeros(4), 1.0), target, [0.25, 0.6]).round(decimals=4)
        tensor(0.0750, dtype=torch.float64)

    Source: Kuleshov, Fenner and Ermon, "Accurate uncertainties for deep learning using calibrated regression", 2018.
    """
    check_choice("order", order, (1, 2))
    curve = calibration_curve(predictive, target, levels)
    return (curve.observed - curve.expected).abs().pow(order).mean()


def miscalibration_area(predictive: Distribution, target: Tensor, levels: Levels | None = None) -> Tensor:
    """Area between the curve of observed over expected coverage and the diagonal.

    The curve goes in straight lines through the shares of targets inside the central intervals of the levels, from the
    interval of level 0 to that of level 1, which holds all. Unlike the mean over levels of
    `quantile_calibration_error` it looks at intervals, so that predictions of the right width in the wrong place show
    little; a line that crosses the diagonal counts with both its triangles. Sampling alone makes it about 0.31/√n for a
    calibrated distribution and n targets.

    Args:
        predictive: See `pit`.
        target: See `pit`.
        levels: Levels of the intervals in (0, 1), in any order; 1/99, 2/99, …, 98/99 by default.

    Returns:
        A tensor of shape (), in [0, ½]; 0 is best.

    Raises:
        TypeError: See `pit`.
        ValueError: See `pit`; or if a level is outside (0, 1).

    Example:
        >>> from torch.distributions import Normal
        >>> target = torch.tensor([-3.0, -0.5, 0.1, 1.5])
        >>> miscalibration_area(Normal(torch.zeros(4), 1.0), target).round(decimals=4)
        tensor(0.1222, dtype=torch.float64)

    Source: Chung, Char, Guo, Schneider and Neiswanger, "Uncertainty toolbox: an open-source library for assessing,
    visualizing, and improving uncertainty quantification", 2021, whose `miscalibration_area` with its default of 100
    proportions this is for a `Normal`; Tran et al., "Methods for comparing uncertainty quantifications for material
    property predictions", 2020.
    """
    probability = pit(predictive, target)
    expected = area_levels(levels, probability.device)
    return area_from_shares(expected, share_at_most((2 * probability - 1).abs(), expected))


def area_levels(levels: Levels | None, device: torch.device) -> Tensor:
    """The levels of a `miscalibration_area` in ascending order, between 0 and 1."""
    if levels is None:
        return torch.linspace(0, 1, 100, dtype=torch.float64, device=device)
    inner: Tensor = torch.unique(check_levels(levels, device))
    return torch.cat((inner.new_zeros(1), inner, inner.new_ones(1)))


def area_from_shares(expected: Tensor, observed: Tensor) -> Tensor:
    """∫ |observed − expected| of the straight lines between levels that rise from 0 to 1."""
    gap = observed - expected
    before, after = gap[:-1].abs(), gap[1:].abs()
    total = before + after
    crosses = gap[:-1] * gap[1:] < 0
    height = torch.where(crosses, (before.square() + after.square()) / torch.where(total > 0, total, 1), total)
    return (0.5 * height * expected.diff()).sum()


def default_percentiles(levels: Levels | None, device: torch.device) -> Tensor:
    """The levels of a `calibration_curve`: 0.01, 0.02, …, 0.99 by default."""
    if levels is None:
        return torch.arange(1, 100, dtype=torch.float64, device=device) / 100
    return check_levels(levels, device).reshape(-1)


def share_at_most(values: Tensor, levels: Tensor) -> Tensor:
    """Share of the values that are at most each level, in the shape of the levels."""
    return count_at_most(values, levels) / values.numel()


def count_at_most(values: Tensor, levels: Tensor) -> Tensor:
    """How many values are at most each level, in double precision, without a table of values × levels."""
    ordered = values.flatten().sort().values
    count: Tensor = torch.searchsorted(ordered, levels, right=True).double()
    return count
