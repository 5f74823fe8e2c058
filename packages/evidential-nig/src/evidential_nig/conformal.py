"""Split-conformal prediction intervals: coverage that is guaranteed, whatever the network and the distribution.

An interval of `nig.predictive()` is a claim of the network. Held against data that training has not seen, its width can
be corrected so that the coverage follows from counting alone, with no assumption but that the new observation and those
of the calibration set could have come in any order. What this costs is said by the intervals themselves: with too few
calibration data for a level they are the whole line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import torch
from torch import Tensor

from evidential_nig.arguments import check_batch, check_finite, check_number, check_tensor
from evidential_nig.calibration.pairs import check_pair
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.recalibration.location_scale import Predictive, in_double, location_scale

__all__ = ["SplitConformal"]


@dataclass(frozen=True, eq=False)
class SplitConformal:
    """Intervals around the predicted location that hold a new observation with a guaranteed probability.

    `fit` gives each of n calibration observations, which training must not have seen, a score of how far it lies from
    its prediction. The interval of level c reaches as far as the k-th smallest score, k = ⌈(n + 1) c⌉.

    **The guarantee.** If the new pair of input and observation and the n calibration pairs are exchangeable (drawn
    independently from one distribution, for instance), then P(lower ≤ y ≤ upper) ≥ c, and where no two scores are equal
    it is k/(n + 1) exactly, at most c + 1/(n + 1). It holds for every n, network and distribution. It is a probability
    over the calibration set and the new pair together: given one calibration set without ties, the coverage of its
    intervals follows a Beta(k, n + 1 − k) distribution, whose standard deviation is about √(c(1 − c)/n). It does not
    hold for each input apart, nor when the data have changed since.

    **Few data.** Where k > n, which is where n < c/(1 − c), no finite interval has the guarantee, and the bounds are
    −inf and inf: the 95 % interval needs 19 calibration data.

    Three forms:

    - plain (`normalized=False`): the score is `|y − location|`, and all intervals have one width;
    - normalised, the default: `|y − location| / scale`, so that intervals are as wide as the network's scale says,
      relative to each other; a wrong scale costs width and never coverage;
    - Mondrian (`groups=`): the scores of each group apart, in either form, and so the guarantee for each group apart,
      with its own n. A group that the calibration set does not hold has infinite intervals.

    Attributes:
        scores: The scores of the calibration set, ascending, shape (n,). `float64`.
        normalized: Which form they are of.
        groups: Their groups, shape (n,), `int64`; None for one group of all.

    Raises:
        TypeError: If `scores` or `groups` is no tensor.
        ValueError: If they are no vectors of one length, a score is negative or NaN, or groups are no whole numbers.

    Example:
        >>> from torch.distributions import Normal
        >>> target = torch.arange(-9.0, 10.0)
        >>> conformal = SplitConformal.fit(Normal(torch.zeros(19), 1.0), target)
        >>> conformal.interval(Normal(torch.tensor([0.0, 5.0]), torch.tensor([1.0, 0.5])), 0.9)
        (tensor([-9.0000,  0.5000], dtype=torch.float64), tensor([9.0000, 9.5000], dtype=torch.float64))
        >>> conformal.interval(Normal(torch.zeros(1), 1.0), 0.99)
        (tensor([-inf], dtype=torch.float64), tensor([inf], dtype=torch.float64))

    Source: Papadopoulos, Proedrou, Vovk and Gammerman, "Inductive confidence machines for regression", 2002; Vovk,
    Gammerman and Shafer, "Algorithmic learning in a random world", 2005, Sections 2.3 (normalised), 4.1 and 4.5
    (Mondrian); Lei, G'Sell, Rinaldo, Tibshirani and Wasserman, "Distribution-free predictive inference for regression",
    2018, Theorem 2.2 and Section 5.2; Vovk, "Conditional validity of inductive conformal predictors", 2012, for the
    Beta distribution.
    """

    scores: Tensor
    normalized: bool = True
    groups: Tensor | None = None

    def __post_init__(self) -> None:
        check_tensor("scores", self.scores)
        if self.scores.dim() != 1 or len(self.scores) == 0:
            raise ValueError(f"scores must be a vector of at least one score, but have {tuple(self.scores.shape)}")
        scores = self.scores.detach().double()
        check_finite("scores", scores)
        if not bool((scores >= 0).all()):
            raise ValueError(f"scores must not be negative, but the smallest is {scores.min().item():g}")
        order = scores.argsort(stable=True)
        object.__setattr__(self, "scores", scores[order])
        if self.groups is not None:
            object.__setattr__(self, "groups", _labels(self.groups, scores.shape, "shape of scores")[order])

    @classmethod
    def fit(
        cls,
        predictive: NormalInverseGamma | Predictive,
        target: Tensor,
        *,
        normalized: bool = True,
        groups: Tensor | None = None,
    ) -> Self:
        """Score a calibration set.

        Args:
            predictive: Predictions for data that training has not seen, batch shape (...): a `NormalInverseGamma`,
                whose predictive Student t is taken, a `StudentT` or a `Normal`.
            target: Observations, shape exactly (...).
            normalized: Whether scores are in units of the predicted scale.
            groups: Whole numbers that name the group of each, shape exactly (...); known before the observation is.

        Raises:
            TypeError: If `predictive` is none of the three, or an argument no tensor.
            ValueError: If shapes differ, there is no target, a target, location or scale is not finite, or groups are
                no whole numbers.
        """
        base = in_double(location_scale(predictive))
        target = check_pair(base, target)
        loc, scale = _checked(base)
        distance = (target - loc.detach()).abs()
        scores = distance / scale.detach() if normalized else distance
        if groups is not None:
            groups = _labels(groups, target.shape, "shape of target").flatten()
        return cls(scores.flatten(), normalized, groups)

    def interval(
        self, predictive: NormalInverseGamma | Predictive, level: float, *, groups: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Lower and upper bound for new predictions, batch shape, `float64`; infinite where there are too few scores.

        Args:
            predictive: Predictions of the network that the calibration set was scored with, batch shape (...).
            level: c, above 0 and below 1; taken as the decimal number that it prints as.
            groups: The group of each, shape exactly (...), if and only if `fit` had groups.

        Raises:
            TypeError: If `predictive` is none of the three, or `level` no number.
            ValueError: If `level` is out of range, a location or scale is not finite, or `groups` are missing, needless
                or of another shape.
        """
        base = in_double(location_scale(predictive))
        loc, scale = _checked(base)
        reach = self.quantile(level, groups=groups)
        if groups is not None:
            check_batch("groups", groups, loc.shape)
        reach = reach.to(loc.device)
        if self.normalized:
            reach = reach * scale
        return loc - reach, loc + reach

    def quantile(self, level: float, *, groups: Tensor | None = None) -> Tensor:
        """The score that intervals of this level reach to: shape (), or that of `groups`; `float64`.

        Args:
            level: See `interval`.
            groups: Groups to look up, any shape, if and only if `fit` had groups.

        Raises:
            TypeError: If `level` is no number.
            ValueError: If `level` is out of range, or `groups` are missing or needless.
        """
        check_number("level", level, above=0, below=1)
        if (groups is None) != (self.groups is None):
            missing = "must be given, as they were to fit" if groups is None else "must not be given, as fit had none"
            raise ValueError(f"groups {missing}")
        if groups is None or self.groups is None:
            return self.scores.new_tensor(_smallest(self.scores, level))
        labels = _labels(groups, groups.shape, "shape of the batch").to(self.groups.device)
        known, place = torch.unique(labels, return_inverse=True)
        reach = [_smallest(self.scores[self.groups == group], level) for group in known]
        return self.scores.new_tensor(reach)[place]

    def state_dict(self) -> dict[str, Any]:
        """The scores, the form and the groups, for `torch.save`; `torch.load(..., weights_only=True)` reads it."""
        return {"scores": self.scores, "normalized": self.normalized, "groups": self.groups}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Self:
        """What `state_dict` was taken from."""
        return cls(**state)

    def __repr__(self) -> str:
        groups = "" if self.groups is None else f", groups={len(torch.unique(self.groups))}"
        return f"{type(self).__name__}(n={len(self.scores)}, normalized={self.normalized}{groups})"


def _smallest(scores: Tensor, level: float) -> float:
    """The k-th smallest of n ascending scores, k = ⌈(n + 1) level⌉, or infinity where there are not so many."""
    # In exact arithmetic: in floating point 20 × 0.55 is above 11, and the interval would be a rank too wide.
    k = math.ceil((len(scores) + 1) * Fraction(repr(float(level))))
    return scores[k - 1].item() if k <= len(scores) else math.inf


def _labels(groups: Any, shape: torch.Size, of: str) -> Tensor:
    check_batch("groups", groups, shape, of=of)
    if groups.is_floating_point() or groups.is_complex():
        raise ValueError(f"groups must be whole numbers, but are of dtype {groups.dtype}")
    labels: Tensor = groups.long()
    return labels


def _checked(base: Predictive) -> tuple[Tensor, Tensor]:
    loc, scale = torch.broadcast_tensors(base.loc, base.scale)  # type: ignore[no-untyped-call]
    check_finite("the location of predictive", loc)
    check_finite("the scale of predictive", scale)
    return loc, scale
