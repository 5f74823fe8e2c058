"""The network: from views of an image to fused evidence (DEFNet, Eqs. 4 to 6, 9, 11 and 14 to 25)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clip_iqa_backbone import (
    DISTORTIONS,
    QUALITIES,
    SCENES,
    JointProbability,
    Vocabulary,
    distortion_marginal,
    expected_quality,
    quality_marginal,
    scene_marginal,
)
from defnet.config.fields import Task
from defnet.config.model import ModelConfig
from defnet.errors import ConfigError
from defnet.model.evidence import Prediction, cross_region, evidence_heads, head_features
from evidential_nig import fuse_local_global

_MARGINAL = {"quality": quality_marginal, "scene": scene_marginal, "distortion": distortion_marginal}


def _check_classes(words: Vocabulary) -> None:
    for what, expected, found in (
        ("quality levels", QUALITIES, words.qualities),
        ("scenes", SCENES, words.scene_classes),
        ("distortions", DISTORTIONS, words.distortion_classes),
    ):
        # Levels may go by other words, as the scale is in their order; what labels are matched with may not.
        same = len(found) == len(expected) if what == "quality levels" else set(found) == set(expected)
        if not same:
            raise ConfigError(
                f"the vocabulary's {what} must be the paper's, in any order of scenes and distortions: expected "
                f"{', '.join(expected)}, got {', '.join(found)}"
            )


class DEFNet(nn.Module):
    """Heads of evidence over an image-text joint probability.

    Args:
        backbone: gives log p̂(c, s, d | x) of a view (Eq. 4).
        config: how probabilities become evidence.

    Raises:
        ConfigError: the backbone's vocabulary has not the paper's five levels, nine scenes and eleven distortions.
    """

    def __init__(self, backbone: JointProbability, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self.backbone = backbone
        words = backbone.vocabulary
        _check_classes(words)
        self._class_order: dict[Task, list[int]] = {
            "quality": list(range(len(words.qualities))),
            "scene": [words.scene_classes.index(name) for name in SCENES],
            "distortion": [words.distortion_classes.index(name) for name in DISTORTIONS],
        }
        self.heads = self._make_heads()
        self.global_heads = self._make_heads() if self.config.global_head == "separate" else None

    def _make_heads(self) -> nn.ModuleDict:
        return evidence_heads(self.config, self.backbone.vocabulary.shape, self.backbone.image.embed_dim)

    def _marginal(self, task: Task, log_p: Tensor) -> Tensor:
        """A task's probabilities, its classes in the paper's order whatever order the vocabulary has."""
        probabilities = _MARGINAL[task](log_p)
        order = self._class_order[task]
        return probabilities if order == sorted(order) else probabilities[..., order]

    def evidence_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the evidence heads, each once."""
        yield from self.heads.parameters()
        if self.global_heads is not None:
            yield from self.global_heads.parameters()

    def forward(self, local: Tensor, global_view: Tensor, *, global_gradient: bool = False) -> Prediction:
        """Predict from pixels.

        Args:
            local: sub-images, (B, N, 3, S, S), uint8 in [0, 255] or floating point in [0, 1].
            global_view: whole images squashed to the same size, (B, 3, S, S).
            global_gradient: let gradients through the tower's look at the global view too: never in training (section
                3.1), but the gradient with respect to the pixels is only whole with it.
        """
        backbone = self.backbone
        with torch.set_grad_enabled(global_gradient and torch.is_grad_enabled()):
            global_features = backbone.image_features(global_view)
        return self.predict_from_features(
            backbone.image_features(local), global_features, global_gradient=global_gradient
        )

    def predict_from_features(self, local: Tensor, global_view: Tensor, *, global_gradient: bool = False) -> Prediction:
        """Predict from what the image tower's trunk made of the views.

        Args:
            local: (B, N, F) features of the sub-images.
            global_view: (B, F) features of the global views. The tower sees the global view under no-grad, with its
                current weights (section 3.1); only the evidence heads learn from it.
            global_gradient: as for `forward`.
        """
        config, backbone = self.config, self.backbone
        local_embedding = backbone.embed(local)
        text = backbone.text_embeddings()
        local_logits = backbone.logits(local_embedding, text)
        local_joint = backbone.log_probabilities(local_logits)
        with torch.set_grad_enabled(global_gradient and torch.is_grad_enabled()):
            global_embedding = backbone.embed(global_view)
            global_joint = backbone.log_probabilities(backbone.logits(global_embedding, text))
        averaged_joint = backbone.log_probabilities(local_logits.mean(1)) if config.averaging == "logits" else None
        global_heads = self.heads if self.global_heads is None else self.global_heads
        probabilities, local_nig, global_nig, cross, fusion = {}, {}, {}, {}, {}
        for task in config.tasks:
            local_marginal, global_marginal = self._marginal(task, local_joint), self._marginal(task, global_joint)
            averaged = local_marginal.mean(1) if averaged_joint is None else self._marginal(task, averaged_joint)
            probabilities[task] = averaged
            local_nig[task] = self.heads[task](head_features(local_marginal, local_embedding, config.features))
            global_nig[task] = global_heads[task](head_features(global_marginal, global_embedding, config.features))
            cross[task] = cross_region(local_nig[task], config.full_evidence)
            fusion[task] = fuse_local_global(local_nig[task], global_nig[task], dim=1)
        return Prediction(
            probabilities=probabilities,
            expected_quality=expected_quality(probabilities["quality"]),
            local=local_nig,
            global_view=global_nig,
            cross=cross,
            fusion=fusion,
        )
