"""How far a rating may be from a score: by what the network says, and by the distance to what it has seen."""

from dataclasses import astuple, dataclass, replace
from math import isfinite
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Deviation:
    """The deviation h of a rating from a score: h² = aleatoric² + epistemic².

    aleatoric = `aleatoric_level` · s^`aleatoric_power`, with s the network's own predicted deviation, and epistemic =
    `epistemic_level` · (d / `unit`)^`epistemic_power`, with d the distance to the training images. Both powers are 0 or
    more, so that h is positive and grows with either.

    Attributes:
        aleatoric_level: the first factor.
        aleatoric_power: the power of the network's own deviation.
        epistemic_level: the epistemic part at a usual distance.
        epistemic_power: the power of the distance.
        unit: a usual distance.
        degrees_of_freedom: of the Student t that residuals divided by h follow, above 2.
    """

    aleatoric_level: float
    aleatoric_power: float
    epistemic_level: float
    epistemic_power: float
    unit: float
    degrees_of_freedom: float

    def __post_init__(self) -> None:
        values = astuple(self)
        levels = (self.aleatoric_level, self.epistemic_level, self.unit)
        powers = (self.aleatoric_power, self.epistemic_power)
        if not all(map(isfinite, values)) or min(levels) <= 0 or min(powers) < 0 or self.degrees_of_freedom <= 2:
            raise ValueError(
                f"a deviation has levels and a unit above 0, powers of at least 0 and more than 2 degrees of freedom, "
                f"got {values}"
            )

    def aleatoric(self, deviation: Tensor) -> Tensor:
        """The part that the network's own predicted deviation says."""
        return self.aleatoric_level * deviation.double() ** self.aleatoric_power

    def epistemic(self, distance: Tensor) -> Tensor:
        """The part that the distance to the training images says."""
        return self.epistemic_level * (distance.double() / self.unit) ** self.epistemic_power

    def total(self, deviation: Tensor, distance: Tensor) -> Tensor:
        """h, the standard deviation of a rating around a score."""
        return (self.aleatoric(deviation).square() + self.epistemic(distance).square()).sqrt()

    def rescaled(self, factor: float) -> Self:
        """The same with both parts times a factor."""
        return replace(
            self, aleatoric_level=self.aleatoric_level * factor, epistemic_level=self.epistemic_level * factor
        )
