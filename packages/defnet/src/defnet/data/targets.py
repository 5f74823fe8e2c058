"""Ground truth of a batch of images as tensors."""

from dataclasses import dataclass

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
    """

    quality: Tensor
    scenes: Tensor
    distortion: Tensor
    dataset: Tensor

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
        return Targets(
            self.quality.to(device), self.scenes.to(device), self.distortion.to(device), self.dataset.to(device)
        )
