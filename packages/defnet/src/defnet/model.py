"""The network: from views of an image to fused evidence (DEFNet, Eqs. 4 to 6, 9, 11 and 14 to 25)."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clip_iqa_backbone import (
    DISTORTIONS,
    SCENES,
    JointProbability,
    distortion_marginal,
    expected_quality,
    quality_marginal,
    scene_marginal,
)
from defnet.config import ModelConfig, Task
from evidential_nig import NIGHead, NormalInverseGamma, fuse, fuse_local_global

_MARGINAL = {"quality": quality_marginal, "scene": scene_marginal, "distortion": distortion_marginal}


@dataclass(frozen=True)
class Prediction:
    """What the network says of a batch of B images, each seen as N sub-images and one global view.

    Attributes:
        probabilities: for each task its marginal probabilities averaged over the sub-images, (B, K) with K = 5 quality
            levels, 9 scenes or 11 distortions in the paper's order (Eq. 6 and its likes for Eqs. 9 and 11).
        quality_eq5: q̂ of Eq. 5 in [1, 5], (B,).
        local: for each task the evidence of each sub-image, batch shape (B, N, K') with K' = 1, 9 or 11 (Eq. 17).
        global_view: for each task the evidence of the global view, (B, K') (Eq. 23).
        cross: for each task the evidence fused across sub-images, (B, K') (Eqs. 18 to 20).
        fusion: for each task the local-global evidence, (B, K') (Eqs. 24 and 25). The predictive mean of its quality
            is the score.
    """

    probabilities: dict[Task, Tensor]
    quality_eq5: Tensor
    local: dict[Task, NormalInverseGamma]
    global_view: dict[Task, NormalInverseGamma]
    cross: dict[Task, NormalInverseGamma]
    fusion: dict[Task, NormalInverseGamma]


def cross_region(local: NormalInverseGamma, train_crops: int) -> NormalInverseGamma:
    """Fuse the evidence of N sub-images (DEFNet, Eqs. 18 to 20), tempered where there are more than in training.

    Args:
        local: evidence of batch shape (B, N, K).
        train_crops: the number of sub-images in training; each expert weighs min(1, train_crops / N).

    Returns:
        Evidence of batch shape (B, K).
    """
    count = local.loc.shape[1]
    weight = local.loc.new_full((1, count, 1), min(1.0, train_crops / count))
    # The weights sum to at least 1, which always leaves a distribution; checking would wait for the device.
    return fuse(local, dim=1, weight=weight, validate_args=False)


class DEFNet(nn.Module):
    """Heads of evidence over an image-text joint probability.

    Args:
        backbone: gives log p̂(c, s, d | x) of a view (Eq. 4).
        config: how probabilities become evidence.
    """

    def __init__(self, backbone: JointProbability, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self.backbone = backbone
        words = backbone.vocabulary
        self._class_order: dict[Task, list[int]] = {
            "quality": list(range(len(words.qualities))),
            "scene": [words.scene_classes.index(name) for name in SCENES],
            "distortion": [words.distortion_classes.index(name) for name in DISTORTIONS],
        }
        self.heads = self._make_heads()
        self.global_heads = self._make_heads() if self.config.global_head == "separate" else None

    def _marginal(self, task: Task, log_p: Tensor) -> Tensor:
        """A task's probabilities, its classes in the paper's order whatever order the vocabulary has."""
        probabilities = _MARGINAL[task](log_p)
        order = self._class_order[task]
        return probabilities if order == sorted(order) else probabilities[..., order]

    def _make_heads(self) -> nn.ModuleDict:
        """One head a task, whose δ starts as the expected quality or as the class probability."""
        config = self.config
        levels, scenes, distortions = self.backbone.vocabulary.shape
        loc_rows = {
            "quality": torch.arange(1.0, levels + 1)[None],
            "scene": torch.eye(scenes),
            "distortion": torch.eye(distortions),
        }
        embedding = self.backbone.image.embed_dim if config.features == "embedding" else 0
        heads = nn.ModuleDict()
        for task in config.tasks:
            rows = nn.functional.pad(loc_rows[task], (0, embedding))
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

    def evidence_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the evidence heads, each once."""
        yield from self.heads.parameters()
        if self.global_heads is not None:
            yield from self.global_heads.parameters()

    def forward(self, local: Tensor, global_view: Tensor) -> Prediction:
        """Predict from pixels.

        Args:
            local: sub-images, (B, N, 3, S, S), uint8 in [0, 255] or normalised float.
            global_view: whole images squashed to the same size, (B, 3, S, S).
        """
        backbone = self.backbone
        with torch.no_grad():
            global_features = backbone.image_features(global_view)
        return self.predict_from_features(backbone.image_features(local), global_features)

    def predict_from_features(self, local: Tensor, global_view: Tensor) -> Prediction:
        """Predict from what the image tower's trunk made of the views.

        Args:
            local: (B, N, F) features of the sub-images.
            global_view: (B, F) features of the global views. The tower sees the global view under no-grad, with its
                current weights (section 3.1); only the evidence heads learn from it.
        """
        config, backbone = self.config, self.backbone
        local_embedding = backbone.embed(local)
        text = backbone.text_embeddings()
        local_logits = backbone.logits(local_embedding, text)
        local_joint = backbone.log_probabilities(local_logits)
        with torch.no_grad():
            global_embedding = backbone.embed(global_view)
            global_joint = backbone.log_probabilities(backbone.logits(global_embedding, text))
        averaged_joint = backbone.log_probabilities(local_logits.mean(1)) if config.averaging == "logits" else None
        global_heads = self.heads if self.global_heads is None else self.global_heads
        probabilities, local_nig, global_nig, cross, fusion = {}, {}, {}, {}, {}
        for task in config.tasks:
            local_marginal, global_marginal = self._marginal(task, local_joint), self._marginal(task, global_joint)
            averaged = local_marginal.mean(1) if averaged_joint is None else self._marginal(task, averaged_joint)
            probabilities[task] = averaged
            if config.features == "embedding":
                local_marginal = torch.cat([local_marginal, local_embedding.float()], -1)
                global_marginal = torch.cat([global_marginal, global_embedding.float()], -1)
            local_nig[task] = self.heads[task](local_marginal)
            global_nig[task] = global_heads[task](global_marginal)
            cross[task] = cross_region(local_nig[task], config.train_crops)
            fusion[task] = fuse_local_global(local_nig[task], global_nig[task], dim=1)
        return Prediction(
            probabilities=probabilities,
            quality_eq5=expected_quality(probabilities["quality"]),
            local=local_nig,
            global_view=global_nig,
            cross=cross,
            fusion=fusion,
        )
