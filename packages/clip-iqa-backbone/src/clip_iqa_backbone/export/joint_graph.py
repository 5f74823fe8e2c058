"""What is exported: from the bytes of views to probabilities, the text already features."""

from __future__ import annotations

import copy
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils import parametrize

from clip_iqa_backbone.export.tower_graphs import TrunkOfViews
from clip_iqa_backbone.joint import JointProbability
from clip_iqa_backbone.marginals import distortion_marginal, joint_log_softmax, quality_marginal, scene_marginal
from clip_iqa_backbone.towers.lite import LiteImageTower

ExportPrecision = Literal["fp32", "fp16"]

INPUT = "views"
OUTPUTS = ("log_probability", "quality", "scene", "distortion", "embedding")


class _Wider(nn.Module):
    """A half-precision weight, given the precision that it is computed in where it is used."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, weight: Tensor) -> Tensor:
        return weight.to(self.dtype)


class JointGraph(nn.Module):
    """The image tower, the text features, the softmax and the marginals of a model, for inference alone.

    A copy: the model stays as it is. The trunk computes in single precision, all after it in double: beside the trunk
    it is nothing to compute, and free of rounding in which runtimes differ.

    Args:
        model: The model.
        precision: What the weights of the image tower are kept in. With "fp16" they take half the room, and become
            wider again where they are used: what is computed is the same on any processor.
        fused: Fold the batch normalisations of ``lite`` into its convolutions, for a runtime that does not.

    Example:
        >>> from clip_iqa_backbone import LiteConfig, create_backbone
        >>> graph = JointGraph(create_backbone("lite", lite=LiteConfig(stages=(0, 1))))
        >>> log_p, quality, *_ = graph(torch.zeros(2, 3, 224, 224, dtype=torch.uint8))
        >>> quality.shape
        torch.Size([2, 5])
    """

    text: Tensor

    def __init__(self, model: JointProbability, precision: ExportPrecision = "fp32", *, fused: bool = False) -> None:
        super().__init__()
        model = copy.deepcopy(model).cpu().float().eval().requires_grad_(False)
        model.precision = "fp32"
        self.shape = model.vocabulary.shape
        self.scale = float(model.logit_scale.double().exp())
        with torch.no_grad():
            self.register_buffer("text", model.text_embeddings().clone())
        tower = model.image
        if fused and isinstance(tower, LiteImageTower):
            tower.fuse_for_inference()
        self.after = copy.deepcopy(tower).double()
        for name in tower.trunk_children:
            setattr(self.after, name, nn.Identity())
        self.trunk = TrunkOfViews(tower)
        if precision == "fp16":
            for part, dtype in ((self.trunk, torch.float32), (self.after, torch.float64)):
                _keep_half(part, dtype)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What is said of views.

        Args:
            views: uint8 (N, 3, S, S).

        Returns:
            Joint log-probabilities (N, 5, 9, 11), the probabilities of the quality levels (N, 5), of the scenes (N, 9)
            and of the distortions (N, 11), and embeddings (N, D) of length one; all fp32.
        """
        embedding = F.normalize(self.after.project(self.trunk(views)), dim=-1)
        logits = self.scale * (embedding @ self.text.double().T)
        log_p = joint_log_softmax(logits.view(-1, *self.shape))
        said = (log_p, quality_marginal(log_p), scene_marginal(log_p), distortion_marginal(log_p), embedding)
        log_p, quality, scene, distortion, embedding = (values.float() for values in said)
        return log_p, quality, scene, distortion, embedding


def _keep_half(part: nn.Module, dtype: torch.dtype) -> None:
    for module in list(part.modules()):
        for name, weight in list(module.named_parameters(recurse=False)):
            if weight.ndim > 1:  # biases and norms are small, and matter more
                weight.data = weight.data.half()
                parametrize.register_parametrization(module, name, _Wider(dtype), unsafe=True)
