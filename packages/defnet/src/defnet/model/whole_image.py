"""What looks at the whole image beside the sub-images' towers (DEFNet, section 3.1): readings of "frozen"."""

import copy

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clip_iqa_backbone import FrozenTextFeatures, JointProbability
from clip_iqa_backbone.single_precision import at_least_single


class FrozenCopy(nn.Module):
    """An image-text model as it is now, which never learns: the CLIP that training starts from.

    The sentences are kept as their features. Its weights want no gradient, and it stays in evaluation mode, so that
    neither batch statistics nor dropout move.

    Args:
        backbone: what is copied.
    """

    def __init__(self, backbone: JointProbability) -> None:
        super().__init__()
        self.backbone = JointProbability(
            copy.deepcopy(backbone.image),
            FrozenTextFeatures.of(backbone.text),
            backbone.vocabulary,
            logit_scale=backbone.logit_scale.item(),
            precision=backbone.precision,
        )
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenCopy":  # noqa: ARG002
        """Stay in evaluation mode."""
        return super().train(False)


class OwnProjection(nn.Module):
    """The whole image's own way into the joint space: a matrix on what the towers' embedding is, the identity at first.

    Args:
        embed_dim: width D of the embedding.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.eye(embed_dim))

    def forward(self, embedding: Tensor) -> Tensor:
        """Unit vectors (..., D) of unit vectors (..., D)."""
        return F.normalize(embedding @ self.weight.T, dim=-1)

    def logits(self, embedding: Tensor, backbone: JointProbability, text: Tensor) -> Tensor:
        """Those of `JointProbability.logits`, with gradients of the embedding alone.

        Sentences and temperature learn from sub-images only.
        """
        with torch.autocast(embedding.device.type, enabled=False):
            similarities = embedding @ at_least_single(text.detach()).T
            scaled = backbone.logit_scale.detach().exp() * similarities
            return scaled.view(*embedding.shape[:-1], *backbone.vocabulary.shape)
