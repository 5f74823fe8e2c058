"""What a model knows of its limits: how familiar an image is, and how far off its score may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor

from defnet.errors import CheckpointError
from defnet.reliability.deviation import Deviation
from defnet.reliability.familiarity import UNFAMILIAR, Familiarity
from evidential_nig import NormalInverseGamma
from evidential_nig.conformal import SplitConformal

UNLIKE: Final = "unlike the photographs this model was trained on; the interval is wide because of that"
"""Warning of a score whose image has a familiarity below `UNFAMILIAR`."""

_FAMILIARITY, _SCORES = "familiarity.", "scores"


@dataclass(frozen=True, eq=False)
class Reliability:
    """Familiarity, and intervals whose width knows it, from images that were left out of training.

    A fold's model predicts the rated training images that it was not trained on. Each has a nonconformity score
    |rating − score| / h(s, w, d), with s the deviation that the fold model's evidence predicts, w the spread of its
    quality levels and d the distance to its training images. The interval of level c around the score of the model of
    all images reaches q · h(s, w, d) to both sides, where q is the k-th smallest of the n scores, k = ⌈(n + 1) c⌉.

    This is the cross-conformal quantile with the final model, and not CV+ (Barber, Candès, Ramdas and Tibshirani,
    "Predictive inference with the jackknife+", 2021), which needs what every fold's model says of a new image and
    promises a coverage of 1 − 2 (1 − c) for it. Whatever the network does, this promises nothing; where images are
    exchangeable and the model of all images is about as good as one of a fold fewer, coverage is about c (simulated in
    the tests), and rather above, since the final model has seen more. Neither holds for images of another kind: there
    widths are what the fit of h to left-out contents and left-out distortions makes of them.

    Attributes:
        familiarity: distances to the training images.
        deviation: h, the standard deviation of a rating around a score.
        scores: nonconformity scores of the rated training images, ascending, (n,). `float64`.
    """

    familiarity: Familiarity
    deviation: Deviation
    scores: Tensor

    def reach(self, level: float) -> float:
        """How many h an interval of a level reaches to either side of the score; infinite for too high a level."""
        return float(SplitConformal(self.scores).quantile(level))

    def interval(
        self, evidence: NormalInverseGamma, spread: Tensor, distance: Tensor, level: float
    ) -> tuple[Tensor, Tensor]:
        """Both ends of the interval of a level, (B,).

        Args:
            evidence: the network's evidence of quality, before any variance scale, (B,).
            spread: the spread of its quality levels, (B,); see `defnet.model.predictive.quality_spread`.
            distance: distances to the training images, (B,).
            level: above 0 and below 1.
        """
        width = self.reach(level) * self.deviation.total(own_deviation(evidence), spread, distance)
        return evidence.loc.double() - width, evidence.loc.double() + width

    def calibrated(self, evidence: NormalInverseGamma, spread: Tensor, distance: Tensor) -> NormalInverseGamma:
        """Evidence with the same means whose aleatoric and epistemic variances are those of h.

        Its predictive Student t has the variance h² and the fitted degrees of freedom, for scores of whole
        distributions (NLL, CRPS); intervals have `interval`.

        Args:
            evidence: the network's evidence of quality, before any variance scale, (B,).
            spread: the spread of its quality levels, (B,).
            distance: distances to the training images, (B,).
        """
        aleatoric = self.deviation.aleatoric(own_deviation(evidence), spread).square()
        epistemic = self.deviation.epistemic(distance).square().to(aleatoric)
        alpha_minus_one = torch.full_like(aleatoric, self.deviation.degrees_of_freedom / 2 - 1)
        return NormalInverseGamma.from_alpha_minus_one(
            evidence.loc.double(), aleatoric / epistemic, alpha_minus_one, aleatoric * alpha_minus_one
        )

    def warnings(self, familiarity: float) -> tuple[str, ...]:
        """What a reader of a score should know."""
        return (UNLIKE,) if familiarity < UNFAMILIAR else ()

    def tensors(self) -> dict[str, Tensor]:
        """What a model file holds beside the numbers of `deviation`."""
        named = {f"{_FAMILIARITY}{name}": tensor for name, tensor in self.familiarity.tensors().items()}
        return named | {_SCORES: self.scores}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], deviation: Deviation) -> Self:
        """What `tensors` gave.

        Raises:
            CheckpointError: one is missing, or they do not fit each other.
        """
        familiar = {
            name.removeprefix(_FAMILIARITY): tensor for name, tensor in tensors.items() if name.startswith(_FAMILIARITY)
        }
        familiarity = Familiarity.from_tensors(familiar)
        scores = tensors.get(_SCORES)
        if scores is None or scores.ndim != 1 or not len(scores) or not bool((scores >= 0).all()):
            raise CheckpointError("reliability: there are no nonconformity scores, or some are negative or NaN")
        return cls(familiarity, deviation, scores.double())


def own_deviation(evidence: NormalInverseGamma) -> Tensor:
    """The deviation that the network's evidence predicts: the root of its predictive variance, (B,)."""
    return evidence.predictive_variance.double().sqrt()
