"""Configuration of the loss that training minimises."""

from typing import Literal

from defnet.config.fields import Config, NonNegative, Positive


class ObjectiveConfig(Config):
    """The overall loss, Eq. 28.

    Attributes:
        cross: include the cross sub-region loss of Eq. 22.
        fusion: include the local-global loss of Eq. 27.
        lambda1: weight of the cross sub-region loss.
        lambda2: weight of the local-global loss.
        tau: weight of the evidence regulariser within an evidential loss (Eq. 3).
        thurstone: Eq. 8 as the paper has it, Φ(Δ/√2), or as LIQE's code does, Φ(Δ).
        pair_reduction: average pairs within each data set and then over data sets, or over all pairs.
        weighting: weights of the three tasks in Eq. 13: by dynamic weight average, or all equal to one.
        weighting_temperature: T of the dynamic weight average.
    """

    cross: bool = True
    fusion: bool = True
    lambda1: NonNegative = 0.1
    lambda2: NonNegative = 0.1
    tau: NonNegative = 0.05
    thurstone: Literal["sqrt2", "unit"] = "sqrt2"
    pair_reduction: Literal["dataset", "pairs"] = "dataset"
    weighting: Literal["dynamic", "equal"] = "dynamic"
    weighting_temperature: Positive = 2.0
