"""Ground truth of a batch of images as tensors."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from defnet.config.fields import Task


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch of B images.

    Attributes:
        quality: y_q in [1, 5], higher = better, (B,).
        scenes: 1 for every scene that the image shows, else 0, (B, 9); a row of zeros where scenes are not known.
        distortion: one-hot, (B, 11); a row of zeros where the distortion is not known.
        dataset: index of the image's data set, (B,).
        group: number of the images of its data set that an image is compared with (Eq. 7), (B,); None for all of them.
        quality_std: deviation of the error of y_q, on its scale; 0 where y_q counts as certain, (B,); None for 0.
        pair_weight: weight of its data set's pairs, (B,), the same for all images of one; None for 1.
        quality_evidence: weight of the image in the evidential losses of quality, (B,); None for 1.
    """

    quality: Tensor
    scenes: Tensor
    distortion: Tensor
    dataset: Tensor
    group: Tensor | None = None
    quality_std: Tensor | None = None
    pair_weight: Tensor | None = None
    quality_evidence: Tensor | None = None

    def of(self, task: Task) -> tuple[Tensor, Tensor]:
        """The evidential loss's target y_t, (B, K), and which images have one, (B,)."""
        if task == "quality":
            return self.quality[:, None], torch.ones_like(self.quality, dtype=torch.bool)
        label = self.scenes if task == "scene" else self.distortion
        return label, label.any(-1)

    def labelled(self, task: Task) -> bool:
        """Whether any image of the batch has a label of this task."""
        return bool(self.of(task)[1].any())

    def to(self, device: torch.device | str) -> "Targets":
        """The same on another device."""
        tensors: list[Any] = [getattr(self, field.name) for field in fields(self)]
        moved: list[Any] = [None if tensor is None else tensor.to(device) for tensor in tensors]
        return Targets(*moved)
