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
        ties: label of two images that were rated the same (Eq. 7): `half`; `one`, as q(x₁) ≥ q(x₂) is printed; or
            `none`, which leaves such pairs out.
        pair_reduction: average pairs within each data set and then over data sets, or over all pairs.
        class_reduction: over the 9 or 11 outputs of a class task, the evidential loss's `mean` or `sum`.
        fusion_reduction: over the images of a batch, the local-global loss's `mean` (Eq. 26) or `sum` (Algorithm 1).
        weighting: weights of the three tasks in Eq. 13: by dynamic weight average, or all equal to one.
        weighting_temperature: T of the dynamic weight average.
    """

    cross: bool = True
    fusion: bool = True
    lambda1: NonNegative = 0.1
    lambda2: NonNegative = 0.1
    tau: NonNegative = 0.05
    thurstone: Literal["sqrt2", "unit"] = "sqrt2"
    ties: Literal["half", "one", "none"] = "half"
    pair_reduction: Literal["dataset", "pairs"] = "dataset"
    class_reduction: Literal["mean", "sum"] = "mean"
    fusion_reduction: Literal["mean", "sum"] = "mean"
    weighting: Literal["dynamic", "equal"] = "dynamic"
    weighting_temperature: Positive = 2.0

    @property
    def teaches_cross(self) -> bool:
        """Whether the cross sub-region loss (Eq. 22) has a part in what is minimised."""
        return self.cross and self.lambda1 > 0

    @property
    def teaches_fusion(self) -> bool:
        """Whether the local-global loss (Eq. 27) has a part in what is minimised."""
        return self.fusion and self.lambda2 > 0
