"""Predictions whose cumulative probabilities go through a piecewise linear map, exactly."""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, constraints

from evidential_nig.arguments import check_not_nan, check_probability
from evidential_nig.recalibration.location_scale import Predictive, in_double
from evidential_nig.student_t import StudentT


class RecalibratedDistribution(Distribution):
    """A `Normal` or `StudentT` whose cumulative probabilities go through a piecewise linear map.

    What `IsotonicQuantiles.apply` returns. With the map R and the prediction's F, the cumulative distribution is
    R(F(x)) and the density R'(F(x))·f(x). Everything, moments and `crps` too, is exact and computed in `float64`.

    Args:
        base: The prediction, batch shape (...).
        predicted: See `IsotonicQuantiles`.
        observed: See `IsotonicQuantiles`.

    Example:
        >>> from evidential_nig.recalibration import IsotonicQuantiles
        >>> knots = torch.tensor([0.0, 0.25, 0.75, 1.0]), torch.tensor([0.0, 0.1, 0.9, 1.0])
        >>> narrower = IsotonicQuantiles(*knots).apply(Normal(0.0, 1.0))
        >>> narrower.icdf(torch.tensor(0.9)).round(decimals=4), narrower.variance.round(decimals=4)
        (tensor(0.6745, dtype=torch.float64), tensor(0.4856, dtype=torch.float64))
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real

    def __init__(self, base: Predictive, predicted: Tensor, observed: Tensor) -> None:
        self.base = in_double(base)
        predicted, observed = predicted.double(), observed.double()
        # A knot at ½ bends nothing, and each half of the map has its integrals.
        half = predicted.new_full((1,), 0.5)
        below, above = predicted < 0.5, predicted > 0.5
        middle = interpolate(half, predicted, observed)
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
        check_not_nan("value", value)
        return torch.as_tensor(value, dtype=torch.float64, device=self._predicted.device)

    def _probabilities(self, name: str, value: Tensor | float) -> Tensor:
        check_probability(name, value, validate=True)
        return self._tensor(value)

    def _quantile(self, probability: Tensor) -> Tensor:
        # The last line ends at 1 to rounding only.
        mapped = interpolate(probability, self._observed, self._predicted).clamp(max=1)
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
        zero, one = torch.zeros_like(self.base.loc), torch.ones_like(self.base.loc)
        return self.base._with(self.base.df, self.base.excess_df, zero, one)

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
            variance = torch.where(self.base.excess_df > 0, variance, math.inf)
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
            second = df / standard.excess_df * (probability - z * widened)
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


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The piecewise linear function through (x, y), x rising from 0 to 1, at points in [0, 1]."""
    segment = torch.searchsorted(x[1:-1], at.contiguous(), right=True)
    result: Tensor = y[segment] + (at - x[segment]) * (y.diff() / x.diff())[segment]
    return result
