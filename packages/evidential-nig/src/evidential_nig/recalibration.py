"""Recalibration of predictive distributions: fit on validation data, apply to test data.

`VarianceScale` widens or narrows every prediction by one factor and keeps its kind; `IsotonicQuantiles` bends the
predicted probabilities to those observed, whatever shape that gives. Fit either on data that the network was not
trained on, and judge it on data that it was not fitted on.

Both work on `NormalInverseGamma`, on its predictive `StudentT` and on `torch.distributions.Normal`; a state is a
dictionary of numbers or tensors that `torch.load(..., weights_only=True)` reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, overload

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from evidential_nig.calibration import pit
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.student_t import StudentT

__all__ = ["IsotonicQuantiles", "RecalibratedDistribution", "VarianceScale"]

Predictive: TypeAlias = Normal | StudentT

_FEWEST_TARGETS = 10
_MOST_SEGMENTS = 100
# Predicted probabilities are taken apart no finer than this. One that close to 0 or 1 says that the scale is off and
# not the shape: it is where a normal distribution has left 6 standard deviations behind.
_RESOLUTION = 1e-9


@dataclass(frozen=True)
class VarianceScale:
    """One factor on the scale of every prediction.

    With the factor s, the scale of a `Normal` or `StudentT` becomes s times as large and the β of a
    `NormalInverseGamma` s² times: its aleatoric and its epistemic variance both grow by s², their ratio stays, and so
    does every ranking by uncertainty (AUSE and rank correlations do not change).

    Attributes:
        factor: s > 0; a tensor of one value becomes a number.

    Raises:
        ValueError: If `factor` is not a finite number above 0.

    Example:
        >>> nig = NormalInverseGamma(torch.zeros(4), 1.0, 5.0, 4.0)
        >>> scale = VarianceScale.fit(nig, torch.tensor([-6.0, 2.0, 4.0, -3.0]))
        >>> wider = scale.apply(nig)
        >>> round(scale.factor, 3), wider.aleatoric[0] / nig.aleatoric[0]
        (3.105, tensor(9.6398))

    Source: Levi, Gispan, Giladi and Fetaya, "Evaluating and calibrating uncertainty prediction in regression tasks",
    2022, Section 3.2, for the normal distribution; the same likelihood here for the Student t.
    """

    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", float(self.factor))
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise ValueError(f"factor must be a finite number above 0, got {self.factor}")

    @classmethod
    def fit(cls, predictive: NormalInverseGamma | Predictive, target: Tensor) -> Self:
        """The factor of largest likelihood.

        In closed form for a `Normal`, by Newton's method in log s between two bounds for a `StudentT`, whose degrees of
        freedom are kept; there is exactly one maximum.

        Args:
            predictive: Predictions on validation data, batch shape (...).
            target: Observations, shape exactly (...).

        Returns:
            The fitted scale.

        Raises:
            TypeError: If `predictive` is none of the three.
            ValueError: See `calibration.pit`; or if so many targets equal their prediction that the likelihood grows
                without bound as the scale goes to 0.
        """
        base = _in_double(_location_scale(predictive))
        pit(base, target)  # for its checks of shapes and values
        with torch.no_grad():
            residual = ((target.double() - base.loc) / base.scale).flatten()
            largest = residual.abs().max().item()
            if largest == 0:
                raise ValueError("target must differ from its prediction somewhere, but all are equal: the scale is 0")
            squared = (residual / largest).square()
            if isinstance(base, Normal):
                return cls(largest * squared.mean().sqrt().item())
            return cls(largest * math.exp(0.5 * _fit_log_square(squared, base.df.flatten())))

    @overload
    def apply(self, predictive: NormalInverseGamma) -> NormalInverseGamma: ...

    @overload
    def apply(self, predictive: StudentT) -> StudentT: ...

    @overload
    def apply(self, predictive: Normal) -> Normal: ...

    def apply(self, predictive: NormalInverseGamma | Predictive) -> NormalInverseGamma | Predictive:
        """The predictions with their scale multiplied: the same class, batch shape and dtype.

        Raises:
            TypeError: If `predictive` is none of the three.
        """
        if isinstance(predictive, NormalInverseGamma):
            return type(predictive).from_alpha_minus_one(
                predictive.loc,
                predictive.nu,
                predictive.alpha_minus_one,
                predictive.beta * self.factor**2,
                validate_args=False,
            )
        base = _location_scale(predictive)
        scale = base.scale * self.factor
        if isinstance(base, Normal):
            return Normal(base.loc, scale, validate_args=False)
        return StudentT(base.df, base.loc, scale, validate_args=False)

    def state_dict(self) -> dict[str, float]:
        """The factor, under its name."""
        return {"factor": self.factor}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, float]) -> Self:
        """What `state_dict` was taken from."""
        return cls(**state)


@dataclass(frozen=True, eq=False)
class IsotonicQuantiles:
    """A map of predicted to observed probabilities, rising and piecewise linear.

    Kuleshov et al. regress the share of targets below each predicted probability on that probability, isotonically.
    These shares never fall, so the regression goes through all its points (there is nothing to pool), and a cumulative
    distribution bent by it has no useful density: its slopes are those of single gaps between neighbouring targets.
    Here the i-th smallest of n values F(y) is given the probability i/(n + 1), equal ones the mean of theirs, and the
    curve through them is kept at `segments` + 1 points only, 1/`segments` of the targets apart, with straight lines
    between. With n + 1 segments that is the isotonic regression itself.

    The map leaves 0 at 0 and 1 at 1 and every line rises, so that the recalibrated distribution has a density
    everywhere: that of the prediction times the slope of its line. Beyond the outermost of those quantiles the tails
    are those of the prediction times a constant.

    Attributes:
        predicted: Predicted probabilities, shape (segments + 1,), rising from 0 to 1. `float64`.
        observed: What they become, same shape, rising from 0 to 1. `float64`.

    Raises:
        ValueError: If the two do not have one length, or do not rise strictly from 0 to 1.

    Example:
        >>> from evidential_nig.calibration import interval_coverage
        >>> target = torch.linspace(-1, 1, 101)
        >>> too_wide = Normal(torch.zeros(101), 2.0)
        >>> isotonic = IsotonicQuantiles.fit(too_wide, target)
        >>> interval_coverage(too_wide, target, 0.5), interval_coverage(isotonic.apply(too_wide), target, 0.5)
        (tensor(1., dtype=torch.float64), tensor(0.5050, dtype=torch.float64))

    Source: Kuleshov, Fenner and Ermon, "Accurate uncertainties for deep learning using calibrated regression", 2018,
    Algorithm 1.
    """

    predicted: Tensor
    observed: Tensor

    def __post_init__(self) -> None:
        for name in ("predicted", "observed"):
            knots = getattr(self, name)
            if knots.dim() != 1 or len(knots) < 2 or len(knots) != len(self.predicted):
                raise ValueError(
                    "predicted and observed must be vectors of one length of at least 2, but have shapes "
                    f"{tuple(self.predicted.shape)} and {tuple(self.observed.shape)}"
                )
            if knots[0] != 0 or knots[-1] != 1 or not bool((knots.diff() > 0).all()):
                raise ValueError(f"{name} must rise strictly from 0 to 1, got {knots.tolist()}")

    @classmethod
    def fit(cls, predictive: NormalInverseGamma | Predictive, target: Tensor, *, segments: int | None = None) -> Self:
        """Fit the map to validation data.

        Args:
            predictive: Predictions on validation data, batch shape (...).
            target: Observations, shape exactly (...), at least 10.
            segments: Number of straight lines, from 1 to n + 1; by default √n, rounded, at most 100. More follow the
                data more closely, but each adds about 1/(2n) to the NLL of new data where there is nothing to mend.

        Returns:
            The fitted map.

        Raises:
            TypeError: If `predictive` is none of the three.
            ValueError: See `calibration.pit`; or if there are fewer than 10 targets, `segments` is out of range, or so
                many targets lie so far out that their predicted probability is practically 0 or 1, where no map of
                probabilities can help; use `VarianceScale` before.
        """
        probability = pit(_in_double(_location_scale(predictive)), target).flatten()
        n = len(probability)
        if n < _FEWEST_TARGETS:
            raise ValueError(f"target must hold at least {_FEWEST_TARGETS} values to fit quantiles, but holds {n}")
        if segments is None:
            segments = min(round(math.sqrt(n)), _MOST_SEGMENTS)
        if not (isinstance(segments, int) and 1 <= segments <= n + 1):
            raise ValueError(f"segments must be a whole number from 1 to one more than the {n} targets, got {segments}")

        # Targets whose probabilities differ by rounding alone are ties.
        values, size = torch.unique((probability / _RESOLUTION).round() * _RESOLUTION, return_counts=True)
        inside = (values > 0) & (values < 1)
        outside = max(int(size[values <= 0].sum()), int(size[values >= 1].sum()))
        if outside > max(1.0, n / segments):
            raise ValueError(
                f"target lies beyond the predicted quantile {_RESOLUTION:g} or its opposite in {outside} of {n} cases, "
                "where no map of probabilities can help; fit and apply a VarianceScale before"
            )
        mean_rank = size.cumsum(0).double() - (size.double() - 1) / 2
        start, end = probability.new_zeros(1), probability.new_ones(1)
        known = torch.cat((start, values[inside], end))
        share = torch.cat((start, mean_rank[inside] / (n + 1), end))
        observed = torch.arange(segments + 1, dtype=torch.float64, device=known.device) / segments
        predicted = torch.cat((start, _interpolate(observed[1:-1], share, known), end))
        return cls(predicted, observed)

    def apply(self, predictive: NormalInverseGamma | Predictive) -> RecalibratedDistribution:
        """Recalibrate predictions.

        Raises:
            TypeError: If `predictive` is none of the three.
        """
        base = _location_scale(predictive)
        return RecalibratedDistribution(base, self.predicted.to(base.loc.device), self.observed.to(base.loc.device))

    def state_dict(self) -> dict[str, Tensor]:
        """The two tensors, under their names."""
        return {"predicted": self.predicted, "observed": self.observed}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Self:
        """What `state_dict` was taken from."""
        return cls(**state)


class RecalibratedDistribution(Distribution):
    """A `Normal` or `StudentT` whose cumulative probabilities go through a piecewise linear map.

    What `IsotonicQuantiles.apply` returns. With the map R and the prediction's F, the cumulative distribution is
    R(F(x)) and the density R'(F(x))·f(x). Everything, moments and `crps` too, is exact and computed in `float64`.

    Args:
        base: The prediction, batch shape (...).
        predicted: See `IsotonicQuantiles`.
        observed: See `IsotonicQuantiles`.

    Example:
        >>> knots = torch.tensor([0.0, 0.25, 0.75, 1.0]), torch.tensor([0.0, 0.1, 0.9, 1.0])
        >>> narrower = IsotonicQuantiles(*knots).apply(Normal(0.0, 1.0))
        >>> narrower.icdf(torch.tensor(0.9)).round(decimals=4), narrower.variance.round(decimals=4)
        (tensor(0.6745, dtype=torch.float64), tensor(0.4856, dtype=torch.float64))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real

    def __init__(self, base: Predictive, predicted: Tensor, observed: Tensor) -> None:
        self.base = _in_double(base)
        predicted, observed = predicted.double(), observed.double()
        # A knot at ½ bends nothing, and each half of the map has its integrals.
        half = predicted.new_full((1,), 0.5)
        below, above = predicted < 0.5, predicted > 0.5
        middle = _interpolate(half, predicted, observed)
        self._predicted = torch.cat((predicted[below], half, predicted[above]))
        self._observed = torch.cat((observed[below], middle, observed[above]))
        self._slope = self._observed.diff() / self._predicted.diff()
        super().__init__(base.batch_shape, validate_args=False)

    def cdf(self, value: Tensor | float) -> Tensor:
        """R(F(x)), shape of `value` broadcast against the batch shape."""
        value = self._tensor(value)
        probability = _cdf(self.base, value)
        return self._map(probability, self._segment(probability))

    def icdf(self, value: Tensor | float) -> Tensor:
        """The quantile of a probability in [0, 1], shape of `value` broadcast against the batch shape.

        Raises:
            ValueError: If a probability is NaN or outside [0, 1].
        """
        return self._quantile(self._probabilities("value", value))

    def interval(self, level: float | Tensor) -> tuple[Tensor, Tensor]:
        """Lower and upper bound of the central interval of probability `level`, between its quantiles (1 ± level)/2.

        Level 0 gives the median twice, 1 the ends of the line.

        Raises:
            ValueError: If a level is NaN or outside [0, 1].
        """
        level = self._probabilities("level", level)
        return self._quantile((1 - level) / 2), self._quantile((1 + level) / 2)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Logarithm of the density; at a knot that of the line above it."""
        value = self._tensor(value)
        log_prob: Tensor = self.base.log_prob(value)
        return log_prob + self._slope.log()[self._segment(_cdf(self.base, value))]

    def crps(self, value: Tensor | float) -> Tensor:
        """Continuous ranked probability score of an observation, in its units; see `calibration.crps`."""
        value = self._tensor(value)
        standard, z = self._standard, (value - self.base.loc) / self.base.scale
        probability = _cdf(self.base, value)
        segment = self._segment(probability)
        parts = self._parts
        # ∫ t dG up to z, from the segments before that of z and from its own.
        rows = segment.reshape(-1, *self.batch_shape)
        offset = parts.offset.expand(-1, *self.batch_shape).gather(0, rows).reshape(segment.shape)
        below = offset + self._slope[segment] * _first_moment(standard, z)
        distance = z * (2 * self._map(probability, segment) - 1) + parts.mean - 2 * below
        return self.base.scale * (distance - parts.half_gini)

    @property
    def mean(self) -> Tensor:
        """Batch shape, units of the target."""
        return self.base.loc + self.base.scale * self._parts.mean

    @property
    def variance(self) -> Tensor:
        """Batch shape, squared units of the target; infinite where that of the prediction is."""
        return self.base.scale.square() * self._parts.variance

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Draws of shape `sample_shape` + (...)."""
        with torch.no_grad():
            shape = torch.Size(sample_shape) + self.batch_shape
            uniform = torch.rand(shape, dtype=torch.float64, device=self.base.loc.device)
            return self._quantile(uniform.clamp_min(torch.finfo(torch.float64).eps))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({type(self.base).__name__}, batch_shape={tuple(self.batch_shape)})"

    def _tensor(self, value: Tensor | float) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64, device=self._predicted.device)

    def _probabilities(self, name: str, value: Tensor | float) -> Tensor:
        value = self._tensor(value)
        if not bool(((value >= 0) & (value <= 1)).all()):
            raise ValueError(f"{name} must be a probability in [0, 1], got {value.tolist()}")
        return value

    def _quantile(self, probability: Tensor) -> Tensor:
        # The last line ends at 1 to rounding only.
        mapped = _interpolate(probability, self._observed, self._predicted).clamp(max=1)
        return _icdf(self.base, torch.where(probability < 1, mapped, 1))

    def _segment(self, probability: Tensor) -> Tensor:
        index: Tensor = torch.searchsorted(self._predicted[1:-1], probability.detach().contiguous(), right=True)
        return index

    def _map(self, probability: Tensor, segment: Tensor) -> Tensor:
        return self._observed[segment] + self._slope[segment] * (probability - self._predicted[segment])

    @property
    def _standard(self) -> Predictive:
        if isinstance(self.base, Normal):
            return Normal(self.base.loc.new_zeros(()), self.base.loc.new_ones(()), validate_args=False)
        return StudentT(self.base.df, 0.0, 1.0, validate_args=False)

    def _column(self, values: Tensor) -> Tensor:
        """One value a segment or knot for all rows: a first dimension before those of the batch."""
        return values.reshape(-1, *(1 for _ in self.batch_shape))

    @cached_property
    def _parts(self) -> _Parts:
        integrals = self._lower_integrals()
        slope = self._column(self._slope)
        steps = (slope[:-1] - slope[1:]) * integrals[0][1:-1]
        offset = torch.cat((torch.zeros_like(steps[:1]), steps)).cumsum(0)
        mean = offset[-1]
        # The upper half is the lower one of the mirror image, whose probabilities have all their digits.
        mirrored = tuple(integral.flip(0) for integral in integrals)
        lower_square, lower_gini = self._half(self._predicted, self._observed, integrals)
        upper_square, upper_gini = self._half(1 - self._predicted.flip(0), 1 - self._observed.flip(0), mirrored)
        variance = lower_square + upper_square - mean.square()
        if isinstance(self.base, StudentT):
            variance = torch.where(self.base.df > 2, variance, math.inf)
        return _Parts(offset, mean, variance, lower_gini + upper_gini)

    def _lower_integrals(self) -> tuple[Tensor, ...]:
        """∫ t dF, ∫ tF dF and ∫ t² dF from −∞ to each knot below the median, to the mirror image of each above it."""
        standard = self._standard
        probability = self._column(torch.minimum(self._predicted, 1 - self._predicted)[1:-1])
        z = _icdf(standard, probability)
        density = standard.log_prob(z).exp()
        if isinstance(standard, Normal):
            first = -density
            product = probability * first + _cdf(standard, math.sqrt(2) * z) / (2 * math.sqrt(math.pi))
            second = probability - z * density
        else:
            df = standard.df
            widened = density * (1 + z.square() / df)
            first = -df / (df - 1) * widened
            # (1 + t²/df) f(t)² is proportional to the density of a Student t with 2·df − 1 degrees of freedom.
            other = StudentT(2 * df - 1, standard.loc, standard.scale, validate_args=False)
            stretch = (other.df / df).sqrt()
            ratio = (2 * standard.log_prob(standard.loc) - other.log_prob(standard.loc)).exp() / stretch
            product = probability * first + df / (df - 1) * ratio * other.cdf(z * stretch)
            second = df / (df - 2) * (probability - z * widened)
        nothing = torch.zeros_like(first[:1])
        return tuple(torch.cat((nothing, part, nothing)) for part in (first, product, second))

    def _half(self, predicted: Tensor, observed: Tensor, integrals: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """∫ t² dG and ∫ t(2G − 1) dG over t < 0, where G = intercept + slope·F between knots."""
        knots = int((predicted < 0.5).sum()) + 1
        predicted, observed = predicted[:knots], observed[:knots]
        rise = observed.diff() / predicted.diff()
        slope, intercept = self._column(rise), self._column(observed[:-1] - rise * predicted[:-1])
        first, product, second = (integral[:knots].diff(dim=0) for integral in integrals)
        return (
            (slope * second).sum(0),
            (slope * ((2 * intercept - 1) * first + 2 * slope * product)).sum(0),
        )


class _Parts(NamedTuple):
    """Integrals over a recalibrated distribution G at location 0 and scale 1, each but the first of one value a row."""

    offset: Tensor  # a row each segment: ∫ t dG up to a point in it is this plus slope × `_first_moment`
    mean: Tensor
    variance: Tensor
    half_gini: Tensor  # half the mean distance of two draws, ∫ G(1 − G) dt


def _first_moment(standard: Predictive, z: Tensor) -> Tensor:
    """∫ t f(t) dt from −∞ to z, for a density of location 0 and scale 1; 0 again at +∞."""
    density = standard.log_prob(z).exp()
    if isinstance(standard, Normal):
        return -density
    return -density * (standard.df + z.square()) / (standard.df - 1)


def _cdf(base: Predictive, value: Tensor) -> Tensor:
    # torch's Normal goes through erf, which has no digits left in the lower tail.
    if isinstance(base, Normal):
        return 0.5 * torch.erfc((base.loc - value) / (base.scale * math.sqrt(2)))
    return base.cdf(value)


def _icdf(base: Predictive, probability: Tensor) -> Tensor:
    if isinstance(base, Normal):
        quantile: Tensor = base.loc + base.scale * torch.special.ndtri(probability)
        return quantile
    return base.icdf(probability)


def _interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through (x, y), x rising from 0 to 1, at points in [0, 1]."""
    segment = torch.searchsorted(x[1:-1], at.contiguous(), right=True)
    result: Tensor = y[segment] + (at - x[segment]) * (y.diff() / x.diff())[segment]
    return result


def _location_scale(predictive: Any) -> Predictive:
    if isinstance(predictive, NormalInverseGamma):
        return predictive.predictive()
    if isinstance(predictive, Normal | StudentT):
        return predictive
    raise TypeError(
        "predictive must be a NormalInverseGamma, an evidential_nig.StudentT or a torch.distributions.Normal, but is "
        f"{type(predictive).__module__}.{type(predictive).__name__}"
    )


def _in_double(base: Predictive) -> Predictive:
    loc, scale = base.loc.double(), base.scale.double()
    if isinstance(base, Normal):
        return Normal(loc, scale, validate_args=False)
    return StudentT(base.df.double(), loc, scale, validate_args=False)


def _fit_log_square(squared: Tensor, df: Tensor) -> float:
    """The λ = log s² of largest likelihood for squared standardised residuals r, Student t.

    It is where Σ (df + 1) r/(df·s² + r) = n. The sum falls from Σ (df + 1) over r > 0 to 0 as s grows, so there is at
    most one such λ.
    """
    n = len(squared)
    apart = squared > 0
    squared, df = squared[apart], df[apart]
    if not (df + 1).sum().item() > n:
        raise ValueError(
            f"target equals its prediction in {n - len(squared)} of {n} cases, "
            "too many to fit a scale: the likelihood grows without bound as it goes to 0"
        )

    def excess(at: float) -> tuple[float, float]:
        """Sum minus n, over n, and its derivative by λ."""
        spread = df * math.exp(at)
        share = squared / (spread + squared)
        weight = (df + 1) * share
        return weight.sum().item() / n - 1, -(weight * (1 - share)).sum().item() / n

    # (df + 1) r/(df·s² + r) ≤ (df + 1)/df · r/s², so the root lies at or below this.
    high = math.log(((df + 1) / df * squared).sum().item() / n)
    low = high - 1
    while excess(low)[0] < 0:
        low -= 2 * (high - low)
    at = high
    for _ in range(200):
        value, slope = excess(at)
        if value > 0:
            low = at
        else:
            high = at
        step = at - value / slope if slope < 0 else math.nan
        following = step if low < step < high else (low + high) / 2
        if abs(following - at) <= 1e-14 * max(1.0, abs(at)):
            break
        at = following
    return at
