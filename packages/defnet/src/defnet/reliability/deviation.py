"""How far a rating may be from a score: by what the network says, and by the distance to what it has seen."""

from dataclasses import astuple, dataclass, replace
from math import isfinite
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Deviation:
    """The deviation h of a rating from a score: h² = aleatoric² + epistemic².

    aleatoric = `aleatoric_level` · s^`aleatoric_power` · w^`spread_power`, with s the deviation that the network's
    evidence predicts and w the spread of its quality levels, and epistemic = `epistemic_level` · (d /
    `unit`)^`epistemic_power`, with d the distance to the training images. All powers are 0 or more, so that h is
    positive and grows with each.

    Evidence and quality levels both say how sure the network is: s of the predictive distribution of its evidence
    (DEFNet, Eq. 25), w of p(q) of Eq. 6. Which of them knows more about errors is left to the images that were left
    out.

    Attributes:
        aleatoric_level: the first factor.
        aleatoric_power: the power of the deviation that the evidence predicts.
        spread_power: the power of the spread of the quality levels.
        epistemic_level: the epistemic part at a usual distance.
        epistemic_power: the power of the distance.
        unit: a usual distance.
        degrees_of_freedom: of the Student t that residuals divided by h follow, above 2.
    """

    aleatoric_level: float
    aleatoric_power: float
    spread_power: float
    epistemic_level: float
    epistemic_power: float
    unit: float
    degrees_of_freedom: float

    def __post_init__(self) -> None:
        values = astuple(self)
        levels = (self.aleatoric_level, self.epistemic_level, self.unit)
        powers = (self.aleatoric_power, self.spread_power, self.epistemic_power)
        if not all(map(isfinite, values)) or min(levels) <= 0 or min(powers) < 0 or self.degrees_of_freedom <= 2:
            raise ValueError(
                f"a deviation has levels and a unit above 0, powers of at least 0 and more than 2 degrees of freedom, "
                f"got {values}"
            )

    def aleatoric(self, deviation: Tensor, spread: Tensor) -> Tensor:
        """The part that the network itself says, by its evidence and by its quality levels."""
        own, levels = deviation.double() ** self.aleatoric_power, spread.double() ** self.spread_power
        return self.aleatoric_level * own * levels

    def epistemic(self, distance: Tensor) -> Tensor:
        """The part that the distance to the training images says."""
        return self.epistemic_level * (distance.double() / self.unit) ** self.epistemic_power

    def total(self, deviation: Tensor, spread: Tensor, distance: Tensor) -> Tensor:
        """h, the standard deviation of a rating around a score."""
        return (self.aleatoric(deviation, spread).square() + self.epistemic(distance).square()).sqrt()

    def rescaled(self, factor: float) -> Self:
        """The same with both parts times a factor."""
        return replace(
            self, aleatoric_level=self.aleatoric_level * factor, epistemic_level=self.epistemic_level * factor
        )
