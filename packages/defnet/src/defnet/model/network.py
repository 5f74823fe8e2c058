"""The network: from views of an image to fused evidence (DEFNet, Eqs. 4 to 6, 9, 11 and 14 to 25)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from clip_iqa_backbone import (
    DISTORTIONS,
    QUALITIES,
    SCENES,
    ImageTower,
    JointProbability,
    Vocabulary,
    average_over_views,
    distortion_marginal,
    expected_quality,
    quality_marginal,
    scene_marginal,
)
from defnet.config.fields import ScoreSource, Task
from defnet.config.model import ModelConfig
from defnet.errors import ConfigError
from defnet.model.evidence import (
    Prediction,
    cross_region,
    evidence_heads,
    head_evidence,
    head_features,
    softplus_again,
)
from defnet.model.whole_image import FrozenCopy, OwnProjection
from evidential_nig import NormalInverseGamma, fuse_local_global

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
        score_from: which of its outputs the score is, where training has not taught all; see `TrainConfig.score_from`.
            None for `config.score`, or else the local-global evidence, where there is evidence.

    Raises:
        ConfigError: the backbone's vocabulary has not the paper's five levels, nine scenes and eleven distortions.
    """

    def __init__(
        self, backbone: JointProbability, config: ModelConfig | None = None, *, score_from: ScoreSource | None = None
    ) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        self.score_from: ScoreSource = (
            score_from or self.config.score or ("fusion" if self.config.evidence else "expected")
        )
        self.backbone = backbone
        words = backbone.vocabulary
        _check_classes(words)
        self._class_order: dict[Task, list[int]] = {
            "quality": list(range(len(words.qualities))),
            "scene": [words.scene_classes.index(name) for name in SCENES],
            "distortion": [words.distortion_classes.index(name) for name in DISTORTIONS],
        }
        evidence, tower = self.config.evidence, self.config.global_tower
        self.heads = self._make_heads()
        self.global_heads = self._make_heads() if evidence and self.config.global_head == "separate" else None
        self.global_tower = FrozenCopy(backbone) if evidence and tower == "pretrained" else None
        self.global_projection = OwnProjection(backbone.image.embed_dim) if evidence and tower == "learnt" else None

    def _make_heads(self) -> nn.ModuleDict:
        if not self.config.evidence:
            return nn.ModuleDict()
        return evidence_heads(self.config, self.backbone.vocabulary.shape, self.backbone.image.embed_dim)

    def _marginals(self, log_p: Tensor) -> dict[Task, Tensor]:
        """Each task's probabilities, its classes in the paper's order whatever order the vocabulary has."""
        return {task: self._by_class(_MARGINAL[task](log_p), task) for task in self.config.tasks}

    def _by_class(self, probabilities: Tensor, task: Task) -> Tensor:
        order = self._class_order[task]
        return probabilities if order == sorted(order) else probabilities[..., order]

    def image_towers(self) -> Iterator[ImageTower]:
        """The image towers, that of the sub-images first."""
        yield self.backbone.image
        if self.global_tower is not None:
            yield self.global_tower.backbone.image

    def evidence_parameters(self) -> Iterator[nn.Parameter]:
        """Parameters that only the evidential losses teach, each once: of the heads, and of what is before them."""
        for module in (self.heads, self.global_heads, self.global_projection):
            if module is not None:
                yield from module.parameters()

    def forward(self, local: Tensor, global_view: Tensor, *, global_gradient: bool = False) -> Prediction:
        """Predict from pixels.

        Args:
            local: sub-images, (B, N, 3, S, S), uint8 in [0, 255] or floating point in [0, 1].
            global_view: whole images squashed to the same size, (B, 3, S, S).
            global_gradient: let gradients through the tower's look at the global view too: never in training (section
                3.1), but the gradient with respect to the pixels is only whole with it.
        """
        local_features, global_features = self.features(local, global_view, global_gradient=global_gradient)
        return self.predict_from_features(local_features, global_features, global_gradient=global_gradient)

    def features(
        self, local: Tensor, global_view: Tensor, *, global_gradient: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """What the image tower's trunk makes of pixels, as `predict_from_features` takes it.

        Args:
            local: as for `forward`.
            global_view: as for `forward`.
            global_gradient: as for `forward`.

        Returns:
            Features of the sub-images, (B, N, F), and of the global views, (B, F): None without heads of evidence.
        """
        global_features = None
        if self.config.evidence:
            with torch.set_grad_enabled(global_gradient and torch.is_grad_enabled()):
                global_features = self._global_backbone.image_features(global_view)
        return self.backbone.image_features(local), global_features

    @property
    def _global_backbone(self) -> JointProbability:
        return self.backbone if self.global_tower is None else self.global_tower.backbone

    def predict_from_features(
        self, local: Tensor, global_view: Tensor | None, *, global_gradient: bool = False
    ) -> Prediction:
        """Predict from what the image tower's trunk made of the views.

        Args:
            local: (B, N, F) features of the sub-images.
            global_view: (B, F) features of the global views, by the trunk that looks at them (`model.global_tower`).
                The towers see the global view under no-grad (section 3.1); only the evidence heads learn from it, and a
                projection of its own where it has one. Not looked at by a network without heads of evidence.
            global_gradient: as for `forward`.
        """
        config, backbone = self.config, self.backbone
        local_embedding = backbone.embed(local)
        text = backbone.text_embeddings()
        local_logits = backbone.logits(local_embedding, text)
        local_joint = backbone.log_probabilities(local_logits)
        marginals = self._marginals(local_joint)
        probabilities = {
            task: self._by_class(average_over_views(local_logits, _MARGINAL[task], config.averaging), task)
            for task in config.tasks
        }
        local_nig: dict[Task, NormalInverseGamma] = {}
        global_nig: dict[Task, NormalInverseGamma] = {}
        if config.evidence:
            if global_view is None:
                raise ValueError("evidence needs features of the global view, got None")
            whole, joint = self._look_at_whole(global_view, text, global_gradient and torch.is_grad_enabled())
            global_heads = self.heads if self.global_heads is None else self.global_heads
            local_nig = self._evidence(self.heads, local_embedding, marginals)
            global_nig = self._evidence(global_heads, whole, self._marginals(joint))
        cross = {task: cross_region(nig, config.full_evidence) for task, nig in local_nig.items()}
        fusion = {task: fuse_local_global(nig, global_nig[task], dim=1) for task, nig in local_nig.items()}
        if config.softplus == "twice":
            cross, fusion = ({task: softplus_again(nig) for task, nig in fused.items()} for fused in (cross, fusion))
        return Prediction(
            probabilities=probabilities,
            expected_quality=expected_quality(probabilities["quality"]),
            local=local_nig,
            global_view=global_nig,
            cross=cross,
            fusion=fusion,
            score_from=self.score_from,
        )

    def _look_at_whole(self, features: Tensor, text: Tensor, gradient: bool) -> tuple[Tensor, Tensor]:
        """Embedding (B, D) and joint log-probability (B, 5, 9, 11) of the whole image."""
        backbone = self._global_backbone
        with torch.set_grad_enabled(gradient):
            embedding = backbone.embed(features)
            if self.global_projection is None:
                words = text if self.global_tower is None else backbone.text_embeddings()
                return embedding, backbone.log_probabilities(backbone.logits(embedding, words))
        embedding = self.global_projection(embedding)
        return embedding, backbone.log_probabilities(self.global_projection.logits(embedding, backbone, text))

    def _evidence(
        self, heads: nn.ModuleDict, embedding: Tensor, marginals: Mapping[Task, Tensor]
    ) -> dict[Task, NormalInverseGamma]:
        """The evidence of each task in views (Eqs. 14 to 17, 23)."""
        config = self.config
        return {
            task: head_evidence(heads[task], head_features(marginal, embedding, config.features), config.delta)
            for task, marginal in marginals.items()
        }
