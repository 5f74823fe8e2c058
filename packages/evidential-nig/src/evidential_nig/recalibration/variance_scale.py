"""One factor on the scale of every prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, overload

import torch
from torch import Tensor
from torch.distributions import Normal

from evidential_nig.arguments import check_number
from evidential_nig.calibration.probabilities import pit
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.recalibration.location_scale import Predictive, in_double, location_scale
from evidential_nig.student_t import StudentT


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
        given: Any = self.factor
        factor = given.item() if isinstance(given, Tensor) else given
        check_number("factor", factor, above=0)
        object.__setattr__(self, "factor", float(factor))

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
        base = in_double(location_scale(predictive))
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
        """The predictions with their scale multiplied: the same class, batch shape, dtype and decision on validation.

        Raises:
            TypeError: If `predictive` is none of the three.
        """
        if isinstance(predictive, NormalInverseGamma):
            beta = predictive.beta * self.factor**2
            return predictive._with(predictive.loc, predictive.nu, predictive.alpha_minus_one, beta)
        base = location_scale(predictive)
        scale = base.scale * self.factor
        if isinstance(base, StudentT):
            return base._with(base.df, base.excess_df, base.loc, scale)
        normal = Normal(base.loc, scale, validate_args=False)
        normal._validate_args = base._validate_args
        return normal

    def state_dict(self) -> dict[str, float]:
        """The factor, under its name."""
        return {"factor": self.factor}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, float]) -> Self:
        """What `state_dict` was taken from."""
        return cls(**state)


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
