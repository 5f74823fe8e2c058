"""Figures of a predictive distribution against observations: calibration, sharpness, scores and the ranking of errors.

`predictive` is a `torch.distributions.Distribution` of single numbers with a `cdf`: `NormalInverseGamma.predictive()`,
`torch.distributions.Normal`, or a `MixtureSameFamily` for an ensemble. Its batch shape and the shape of the targets
must be the same, dimension by dimension; all elements count alike.

These are figures and not losses: they are computed in `float64` without recording gradients, and returned as tensors on
the device of their input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, Normal

from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.losses import Reduction, _reduce
from evidential_nig.student_t import _gauss_legendre

__all__ = [
    "CalibrationCurve",
    "CalibrationSummary",
    "SparsificationCurve",
    "ause",
    "calibration_curve",
    "crps",
    "error_uncertainty_correlation",
    "interval_coverage",
    "nll",
    "pit",
    "quantile_calibration_error",
    "sharpness",
    "sparsification_curve",
    "summarize",
]

_RULE = _gauss_legendre(16)

Levels: TypeAlias = float | Sequence[float] | Tensor
ErrorMetric: TypeAlias = Literal["rmse", "mae"]


class CalibrationCurve(NamedTuple):
    """What `calibration_curve` returns: two tensors of shape (levels,), both of probabilities in [0, 1]."""

    expected: Tensor
    observed: Tensor


class SparsificationCurve(NamedTuple):
    """What `sparsification_curve` returns: three tensors of shape (n,) for n predictions.

    `fraction` is the share removed, 0, 1/n, …, (n − 1)/n; `error` and `oracle` are in the units of the error.
    """

    fraction: Tensor
    error: Tensor
    oracle: Tensor


@dataclass(frozen=True)
class CalibrationSummary:
    """What `summarize` returns. Every field is a plain number; `print` shows a table.

    Attributes:
        n: Number of observations.
        rmse: Root mean squared error of the predictive mean, in units of the target.
        mae: Mean absolute error of the predictive mean, in units of the target.
        nll: See `nll`. Nats.
        crps: See `crps`. Units of the target.
        sharpness: See `sharpness`. Units of the target.
        quantile_calibration_error: See `quantile_calibration_error`; the mean absolute one, in [0, ½].
        coverage: Share of targets inside each central interval, as pairs (level, share).
        ause: See `ause`; of the RMSE, normalised.
        error_uncertainty_correlation: See `error_uncertainty_correlation`; NaN if the uncertainty or the error is
            constant.
    """

    n: int
    rmse: float
    mae: float
    nll: float
    crps: float
    sharpness: float
    quantile_calibration_error: float
    coverage: tuple[tuple[float, float], ...]
    ause: float
    error_uncertainty_correlation: float

    def as_dict(self) -> dict[str, float]:
        """One flat dictionary, for a logger or a table; coverage is under "coverage_0.95" and so on."""
        numbers = {name: value for name, value in vars(self).items() if name != "coverage"}
        return numbers | {f"coverage_{level:g}": share for level, share in self.coverage}

    def __str__(self) -> str:
        rows = [
            ("observations", f"{self.n:,}"),
            ("RMSE", f"{self.rmse:.4g}"),
            ("MAE", f"{self.mae:.4g}"),
            ("NLL", f"{self.nll:.4g}"),
            ("CRPS", f"{self.crps:.4g}"),
            ("sharpness", f"{self.sharpness:.4g}"),
            ("quantile calibration error", f"{self.quantile_calibration_error:.4f}"),
            *(
                (f"coverage of the {100 * level:g} % interval", f"{100 * share:.1f} %")
                for level, share in self.coverage
            ),
            ("AUSE (RMSE, normalised)", f"{self.ause:.4f}"),
            ("error-uncertainty correlation", f"{self.error_uncertainty_correlation:.4f}"),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value:>9}" for label, value in rows)


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
    target = _check_pair(predictive, target)
    try:
        probability = predictive.cdf(target)
    except NotImplementedError as error:
        raise TypeError(f"predictive must have a cdf, but {_name(predictive)} has none{_hint(predictive)}") from error
    _check_finite("the cdf of predictive at the target", probability)
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
    return _share_at_most((2 * probability - 1).abs(), _check_levels(levels, probability.device))


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
    if levels is None:
        expected = torch.arange(1, 100, dtype=torch.float64, device=probability.device) / 100
    else:
        expected = _check_levels(levels, probability.device).reshape(-1)
    return CalibrationCurve(expected, _share_at_most(probability, expected))


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
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, got {order!r}")
    curve = calibration_curve(predictive, target, levels)
    return (curve.observed - curve.expected).abs().pow(order).mean()


@torch.no_grad()
def nll(predictive: Distribution, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Negative log likelihood of the targets.

    Args:
        predictive: See `pit`.
        target: See `pit`.
        reduction: "none" keeps one value a target, "sum" adds them up, "mean" divides that by their number.

    Returns:
        A tensor of shape (), or (...) with "none", in nats; smaller is better. It depends on the units of the target:
        in units c times as small it is larger by log c.

    Raises:
        TypeError: See `pit`.
        ValueError: If the shapes differ, there is no target, a target is not finite, its log likelihood is NaN, or
            `reduction` is not one of the three.

    Example:
        >>> from torch.distributions import Normal
        >>> nll(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0])).round(decimals=4)
        tensor(1.1689, dtype=torch.float64)
    """
    _check_reduction(reduction)
    target = _check_pair(predictive, target)
    score = -predictive.log_prob(target).double()
    _refuse(score.isnan(), "the log_prob of predictive at the target must be a number")
    return _reduce(score, reduction, None)


@torch.no_grad()
def crps(predictive: Distribution, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Continuous ranked probability score, ∫ (F(x) − 1{x ≥ y})² dx.

    By the distribution's own `crps` method where it has one (`evidential_nig.StudentT` has), in closed form for a
    `Normal` and a `MixtureSameFamily` of them, and else by quadrature of its `cdf`: 16 nodes of Gauss and Legendre
    between neighbours of the target, the ends of the support, and points around the mean in steps that grow fourfold
    from 1/64 to 1e9 standard deviations, around those of each component in a mixture. That is good to about 1e-6 of the
    score; but a step of `cdf` much narrower than the standard deviation, away from the mean, may be missed unless it
    is a component of a `MixtureSameFamily`.

    Args:
        predictive: See `pit`; without a known score, it or its components must have a finite `mean`, and a finite
            `stddev` or a `scale`. One whose `cdf` refuses values in the far tails, as torch's Gumbel does, must be made
            with `validate_args=False`.
        target: See `pit`.
        reduction: See `nll`.

    Returns:
        A tensor of shape (), or (...) with "none", in units of the target; 0 is best. For a distribution that is sure
        of one value it is the absolute error.

    Raises:
        TypeError: See `pit`.
        ValueError: If the shapes differ, there is no target, a target is not finite, its score is NaN, there is no mean
            to integrate around, or `reduction` is not one of the three.

    Example:
        >>> from torch.distributions import Normal
        >>> crps(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0])).round(decimals=4)
        tensor(0.4181, dtype=torch.float64)

    Source: Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007, Eqs. 20 and 21;
    Grimit, Gneiting, Berrocal and Johnson, "The continuous ranked probability score for circular variables and its
    application to mesoscale forecast ensemble verification", 2006, Eq. 5, for mixtures of normals.
    """
    _check_reduction(reduction)
    target = _check_pair(predictive, target)
    score: Tensor
    if hasattr(predictive, "crps"):
        score = predictive.crps(target)
    elif isinstance(predictive, Normal):
        score = _normal_crps(predictive, target)
    elif isinstance(predictive, MixtureSameFamily) and isinstance(predictive.component_distribution, Normal):
        score = _normal_mixture_crps(predictive, target)
    else:
        pit(predictive, target)  # for its checks of the cdf
        score = _integrated_crps(predictive, target)
    _refuse(score.isnan(), "the crps of predictive at the target must be a number")
    return _reduce(score.double(), reduction, None)


@torch.no_grad()
def sharpness(predictive: Distribution) -> Tensor:
    """Root of the mean predictive variance: how narrow the predictions are, whatever was observed.

    Of two calibrated distributions the sharper is the better one; alone it says nothing of quality. It is infinite
    where a variance is.

    Args:
        predictive: Predictions with a `variance`, any batch shape but an empty one.

    Returns:
        A tensor of shape (), in units of the target.

    Raises:
        TypeError: If `predictive` is no distribution of single numbers.
        ValueError: If it is empty.

    Example:
        >>> from torch.distributions import Normal
        >>> sharpness(Normal(torch.zeros(2), torch.tensor([3.0, 4.0]))).round(decimals=4)
        tensor(3.5355, dtype=torch.float64)

    Source: Gneiting, Balabdaoui and Raftery, "Probabilistic forecasts, calibration and sharpness", 2007, for the
    notion.
    """
    _check_predictive(predictive)
    if predictive.batch_shape.numel() == 0:
        raise ValueError(f"predictive must not be empty, but has batch shape {tuple(predictive.batch_shape)}")
    return predictive.variance.double().mean().sqrt()


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
    if metric not in ("rmse", "mae"):
        raise ValueError(f'metric must be "rmse" or "mae", got {metric!r}')
    uncertainty, error = _check_ranking(uncertainty, error)
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
    first, second = (_centred_ranks(value) for value in _check_ranking(uncertainty, error))
    return ((first * second).sum() / (first.square().sum() * second.square().sum()).sqrt()).clamp(-1, 1)


@torch.no_grad()
def summarize(
    predictive: Distribution,
    target: Tensor,
    uncertainty: Tensor | None = None,
    levels: Levels = (0.5, 0.8, 0.95),
) -> CalibrationSummary:
    """All figures of this module at once.

    Args:
        predictive: See `pit`; it must have a finite `mean`, a `variance` and a `log_prob` besides.
        target: See `pit`.
        uncertainty: What `ause` and `error_uncertainty_correlation` rank the errors by, shape exactly that of `target`;
            the predictive variance by default. `NormalInverseGamma.epistemic` shows what that alone is worth.
        levels: One or several levels of the central intervals, no two alike to six digits.

    Returns:
        Plain numbers; `print` it, or take `as_dict()`.

    Raises:
        TypeError: See `pit` and `crps`.
        ValueError: See `interval_coverage`, `crps` and `sparsification_curve`; or if there is no predictive mean, or
            two levels are alike.

    Example:
        >>> from torch.distributions import Normal
        >>> target = torch.tensor([-1.5, -0.5, 0.25, 0.5, 3.0])
        >>> summary = summarize(Normal(torch.zeros(5), torch.tensor([1.0, 1.0, 0.5, 1.0, 2.0])), target)
        >>> print(summary)
        observations                           5
        RMSE                               1.537
        MAE                                 1.15
        NLL                                1.444
        CRPS                              0.7624
        sharpness                          1.204
        quantile calibration error        0.0822
        coverage of the 50 % interval     60.0 %
        coverage of the 80 % interval     60.0 %
        coverage of the 95 % interval    100.0 %
        AUSE (RMSE, normalised)           0.0867
        error-uncertainty correlation     0.9177
        >>> round(summary.as_dict()["coverage_0.8"], 4)
        0.6
    """
    target = _check_pair(predictive, target)
    ordered = _check_levels(levels, target.device).reshape(-1).tolist()
    if len({f"{level:g}" for level in ordered}) < len(ordered):
        raise ValueError(f"levels must differ from each other in their first six digits, got {levels}")
    coverage = interval_coverage(predictive, target, ordered).tolist()
    mean = _mean(predictive)
    error = target - mean
    variance = predictive.variance if uncertainty is None else uncertainty
    return CalibrationSummary(
        n=target.numel(),
        rmse=error.square().mean().sqrt().item(),
        mae=error.abs().mean().item(),
        nll=nll(predictive, target).item(),
        crps=crps(predictive, target).item(),
        sharpness=sharpness(predictive).item(),
        quantile_calibration_error=quantile_calibration_error(predictive, target).item(),
        coverage=tuple(zip(ordered, coverage, strict=True)),
        ause=ause(variance, error).item(),
        error_uncertainty_correlation=error_uncertainty_correlation(variance, error).item(),
    )


def _check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f'reduction must be "none", "mean" or "sum", got {reduction!r}')


def _mean(predictive: Distribution) -> Tensor:
    mean = predictive.mean.double()
    _refuse(~mean.isfinite(), "the mean of predictive must exist and be finite (a Student t has none for df up to 1)")
    return mean


def _name(value: object) -> str:
    return f"{type(value).__module__.split('.')[0]}'s {type(value).__name__}"


def _hint(predictive: Distribution) -> str:
    is_torch_student = isinstance(predictive, torch.distributions.StudentT)
    return "; evidential_nig.StudentT takes the same arguments and has one" if is_torch_student else ""


def _check_predictive(predictive: Any) -> None:
    if isinstance(predictive, NormalInverseGamma):
        raise TypeError(
            "predictive must be a distribution of observations, but is a NormalInverseGamma, one of their mean and "
            "variance; call its .predictive()"
        )
    if not isinstance(predictive, Distribution):
        raise TypeError(f"predictive must be a torch.distributions.Distribution, but is {_name(predictive)}")
    if predictive.event_shape:
        raise TypeError(
            f"predictive must be a distribution of single numbers, but {_name(predictive)} has event shape "
            f"{tuple(predictive.event_shape)}; of an Independent take the .base_dist"
        )


def _check_pair(predictive: Any, target: Tensor) -> Tensor:
    _check_predictive(predictive)
    if target.shape != predictive.batch_shape:
        raise ValueError(
            "target must have exactly the batch shape of the distribution, "
            f"{tuple(predictive.batch_shape)}, but has {tuple(target.shape)}"
        )
    if target.numel() == 0:
        raise ValueError(f"target must hold at least one value, but has shape {tuple(target.shape)}")
    target = target.detach().double()
    _check_finite("target", target)
    return target


def _check_finite(name: str, value: Tensor) -> None:
    _refuse(~value.isfinite(), f"{name} must be finite")


def _refuse(wrong: Tensor, demand: str) -> None:
    count = int(wrong.sum())
    if count:
        first = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(f"{demand}, but {count} of {wrong.numel()} values are not, the first at index {first}")


def _check_levels(levels: Levels, device: torch.device) -> Tensor:
    result = torch.as_tensor(levels, dtype=torch.float64, device=device)
    if not bool(((result > 0) & (result < 1)).all()) or result.numel() == 0:
        raise ValueError(f"levels must be one or more probabilities above 0 and below 1, got {levels}")
    return result


def _check_ranking(uncertainty: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    if uncertainty.shape != error.shape:
        raise ValueError(
            f"uncertainty must have exactly the shape of error, {tuple(error.shape)}, "
            f"but has {tuple(uncertainty.shape)}"
        )
    if error.numel() == 0:
        raise ValueError(f"error must hold at least one value, but has shape {tuple(error.shape)}")
    _check_finite("error", error)
    _refuse(uncertainty.isnan(), "uncertainty must be finite or inf")
    return uncertainty.detach().double().flatten(), error.detach().double().abs().flatten()


def _share_at_most(values: Tensor, levels: Tensor) -> Tensor:
    """Share of the values that are at most each level, without a table of values × levels."""
    ordered = values.flatten().sort().values
    share: Tensor = torch.searchsorted(ordered, levels, right=True).double() / len(ordered)
    return share


def _centred_ranks(values: Tensor) -> Tensor:
    """Average ranks around their mean, in units of n."""
    _, group, size = torch.unique(values, return_inverse=True, return_counts=True)
    centred: Tensor = size.cumsum(0).double() - (size.double() + len(values)) / 2
    return centred[group] / len(values)


def _expected_distance(offset: Tensor, variance: Tensor) -> Tensor:
    """E|X − a| for X ~ Normal(m, variance) and offset = m − a."""
    z_squared = offset.square() / (2 * variance)
    return (2 * variance / math.pi).sqrt() * (-z_squared).exp() + offset * torch.erf(offset / (2 * variance).sqrt())


def _normal_crps(predictive: Normal, target: Tensor) -> Tensor:
    # CRPS = E|X − y| − ½ E|X − X'|, and X − X' of two normals is normal.
    scale = predictive.scale.double()
    return _expected_distance(predictive.loc.double() - target, scale.square()) - scale / math.sqrt(math.pi)


def _normal_mixture_crps(predictive: MixtureSameFamily, target: Tensor) -> Tensor:
    weight = predictive.mixture_distribution.probs.double()
    component = cast("Normal", predictive.component_distribution)
    loc, variance = component.loc.double(), component.scale.double().square()
    # One component against all at a time, to use memory for n × components and not their square.
    spread = sum(
        weight[..., i]
        * (weight * _expected_distance(loc - loc[..., i : i + 1], variance + variance[..., i : i + 1])).sum(-1)
        for i in range(weight.shape[-1])
    )
    return (weight * _expected_distance(loc - target.unsqueeze(-1), variance)).sum(-1) - 0.5 * spread


def _integrated_crps(predictive: Distribution, target: Tensor) -> Tensor:
    mixed = isinstance(predictive, MixtureSameFamily)
    component = cast("MixtureSameFamily", predictive).component_distribution if mixed else predictive
    # One column a component, before the batch.
    loc, scale = _mean(component), _spread(component)
    if mixed:
        loc, scale = loc.movedim(-1, 0), scale.movedim(-1, 0)
    else:
        loc, scale = loc.unsqueeze(0), scale.unsqueeze(0)
    center, reach = loc.mean(0), scale.amax(0) + (loc.amax(0) - loc.amin(0))

    knots = [target.unsqueeze(0), loc, center.unsqueeze(0)]
    for step in range(-3, 4):
        knots += [loc - 4.0**step * scale, loc + 4.0**step * scale]
    for step in range(16):
        knots += [(center - 4.0**step * reach).unsqueeze(0), (center + 4.0**step * reach).unsqueeze(0)]
    ordered = torch.cat(knots)
    support = component.support
    for name in ("lower_bound", "upper_bound"):
        bound = getattr(support, name, None)
        if bound is not None:
            bound = torch.as_tensor(bound, dtype=target.dtype, device=target.device)
            if mixed and bound.dim() > 0:
                bound = bound.amin(-1) if name == "lower_bound" else bound.amax(-1)
            ordered = torch.cat((ordered, bound.expand_as(target).unsqueeze(0)))
            ordered = ordered.clamp(min=bound) if name == "lower_bound" else ordered.clamp(max=bound)
    ordered = ordered.sort(dim=0).values

    score = torch.zeros_like(target)
    for start, end in pairwise(ordered):
        width = end - start
        above = (start >= target).double()
        for node, weight in _RULE:
            score += weight * width * (predictive.cdf(start + node * width).double() - above).square()
    return score


def _spread(component: Distribution) -> Tensor:
    """The standard deviation, or what has its place where that is infinite."""
    spread = component.stddev.double()
    if hasattr(component, "scale"):
        spread = torch.where(spread.isfinite(), spread, torch.as_tensor(component.scale).double())
    _refuse(~(spread.isfinite() & (spread > 0)), "the stddev of predictive must be finite and above 0")
    return spread
