"""Evidence of the three tasks: what heads see, how they start, and fusing over views (DEFNet, Eqs. 14 to 25)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from clip_iqa_backbone.single_precision import at_least_single
from defnet.config.fields import ScoreSource, Task
from defnet.config.model import ModelConfig
from evidential_nig import NIGHead, NormalInverseGamma, fuse


@dataclass(frozen=True)
class Prediction:
    """What the network says of a batch of B images, each seen as N sub-images and one global view.

    Attributes:
        probabilities: for each task its marginal probabilities averaged over the sub-images, (B, K) with K = 5 quality
            levels, 9 scenes or 11 distortions in the paper's order (Eq. 6 and its likes for Eqs. 9 and 11).
        expected_quality: q̂ of Eq. 5 in [1, 5], (B,).
        local: for each task the evidence of each sub-image, batch shape (B, N, K') with K' = 1, 9 or 11 (Eq. 17).
            Empty, as the three below, for a network without heads of evidence.
        global_view: for each task the evidence of the global view, (B, K') (Eq. 23).
        cross: for each task the evidence fused across sub-images, (B, K') (Eqs. 18 to 20).
        fusion: for each task the local-global evidence, (B, K') (Eqs. 24 and 25).
        score_from: which of these the score is.
        distance: distance of each image to the training images, (B,); None unless a scorer filled it in, whose model
            knows them (`defnet calibrate`).
    """

    probabilities: dict[Task, Tensor]
    expected_quality: Tensor
    local: dict[Task, NormalInverseGamma]
    global_view: dict[Task, NormalInverseGamma]
    cross: dict[Task, NormalInverseGamma]
    fusion: dict[Task, NormalInverseGamma]
    score_from: ScoreSource
    distance: Tensor | None = None

    @property
    def score_evidence(self) -> NormalInverseGamma | None:
        """The evidence whose mean is the score, (B,); None where the score is q̂, which has none.

        Evidence that nothing taught is not given: what its variances say means nothing.
        """
        if self.score_from == "expected":
            return None
        return (self.fusion if self.score_from == "fusion" else self.cross)["quality"][..., 0]

    @property
    def quality(self) -> Tensor:
        """The score, (B,): δ of `score_evidence`, or q̂ of Eq. 5 where there is none."""
        evidence = self.score_evidence
        return self.expected_quality if evidence is None else evidence.loc


def cross_region(local: NormalInverseGamma, full_evidence: int) -> NormalInverseGamma:
    """Fuse the evidence of N sub-images (DEFNet, Eqs. 18 to 20), tempered where there are more than count in full.

    Args:
        local: evidence of batch shape (B, N, K).
        full_evidence: the number of sub-images that count in full; each expert weighs min(1, full_evidence / N).

    Returns:
        Evidence of batch shape (B, K).
    """
    count = local.loc.shape[1]
    # In tensors, so that a traced network takes any number.
    weight = (local.loc.new_full((1, count, 1), full_evidence) / count).clamp(max=1.0)
    # The weights sum to at least 1, which always leaves a distribution; checking would wait for the device.
    return fuse(local, dim=1, weight=weight, validate_args=False)


def head_features(marginal: Tensor, embedding: Tensor, features: Literal["marginals", "embedding"]) -> Tensor:
    """What a task's evidence head sees of a view (DEFNet, Eqs. 14 to 16; the same of the global view for Eq. 23).

    Args:
        marginal: the task's marginal probabilities, (..., K).
        embedding: the view's image embedding, (..., E).
        features: `marginals`, or `embedding` for the marginals and the embedding side by side.

    Returns:
        (..., K) or (..., K + E).
    """
    return marginal if features == "marginals" else torch.cat([marginal, at_least_single(embedding)], -1)


def head_evidence(head: nn.Module, features: Tensor, delta: Literal["raw", "softplus"]) -> NormalInverseGamma:
    """The evidence that a head finds in what it sees (DEFNet, Eq. 17).

    Args:
        head: a `NIGHead`, which gives ν, α − 1 and β through softplus, and δ as it is.
        features: what it sees, (..., F).
        delta: whether δ goes through softplus too, as Eqs. 14 to 16 are printed.

    Returns:
        Evidence of batch shape (..., K).
    """
    nig: NormalInverseGamma = head(features)
    if delta == "raw":
        return nig
    return NormalInverseGamma.from_alpha_minus_one(
        softplus(nig.loc), nig.nu, nig.alpha_minus_one, nig.beta, validate_args=False
    )


def softplus_again(nig: NormalInverseGamma) -> NormalInverseGamma:
    """All four parameters of fused evidence through softplus (DEFNet, Eqs. 21 and 26 as printed).

    softplus(α) > 1 wherever α > 1. No δ below 0 comes out of it, and of a δ that has been through it before, none below
    ln 2: a class probability of 0 cannot be met then.
    """
    return NormalInverseGamma.from_alpha_minus_one(
        softplus(nig.loc),
        softplus(nig.nu),
        softplus(nig.alpha_minus_one + 1) - 1,
        softplus(nig.beta),
        validate_args=False,
    )


def evidence_heads(config: ModelConfig, shape: tuple[int, int, int], embed_dim: int) -> nn.ModuleDict:
    """One head a task (DEFNet, Eq. 17), whose δ starts as the expected quality or as the class probability.

    Args:
        config: which tasks, what the heads see, and where they start.
        shape: numbers of quality levels, scenes and distortions.
        embed_dim: width of the image embedding.
    """
    levels, scenes, distortions = shape
    loc_rows = {
        "quality": torch.arange(1.0, levels + 1)[None],
        "scene": torch.eye(scenes),
        "distortion": torch.eye(distortions),
    }
    heads = nn.ModuleDict()
    for task in config.tasks:
        rows = nn.functional.pad(loc_rows[task], (0, embed_dim if config.features == "embedding" else 0))
        std = config.initial_std if task == "quality" else config.initial_probability_std
        heads[task] = NIGHead(
            rows.shape[1],
            rows.shape[0],
            loc_weight=rows,
            nu=config.initial_nu,
            alpha=config.initial_alpha,
            beta=std**2 * (config.initial_alpha - 1),
        )
    return heads
