"""A map of predicted to observed probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from evidential_nig.arguments import check_tensor, check_whole_number
from evidential_nig.calibration.probabilities import pit
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.recalibration.location_scale import Predictive, in_double, location_scale
from evidential_nig.recalibration.recalibrated import RecalibratedDistribution, interpolate

_FEWEST_TARGETS = 10
_MOST_SEGMENTS = 100
# Predicted probabilities are taken apart no finer than this. One that close to 0 or 1 says that the scale is off and
# not the shape: it is where a normal distribution has left 6 standard deviations behind.
_RESOLUTION = 1e-9


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
        >>> from torch.distributions import Normal
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
            check_tensor(name, getattr(self, name))
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
        probability = pit(in_double(location_scale(predictive)), target).flatten()
        n = len(probability)
        if n < _FEWEST_TARGETS:
            raise ValueError(f"target must hold at least {_FEWEST_TARGETS} values to fit quantiles, but holds {n}")
        if segments is None:
            segments = min(round(math.sqrt(n)), _MOST_SEGMENTS)
        check_whole_number("segments", segments, at_least=1, at_most=n + 1)

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
        predicted = torch.cat((start, interpolate(observed[1:-1], share, known), end))
        return cls(predicted, observed)

    def apply(self, predictive: NormalInverseGamma | Predictive) -> RecalibratedDistribution:
        """Recalibrate predictions.

        Raises:
            TypeError: If `predictive` is none of the three.
        """
        base = location_scale(predictive)
        return RecalibratedDistribution(base, self.predicted.to(base.loc.device), self.observed.to(base.loc.device))

    def state_dict(self) -> dict[str, Tensor]:
        """The two tensors, under their names."""
        return {"predicted": self.predicted, "observed": self.observed}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Self:
        """What `state_dict` was taken from."""
        return cls(**state)
