"""The overall loss and each of its terms (DEFNet, Eqs. 13, 21, 22 and 26 to 28)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from defnet.config import ObjectiveConfig, Task
from defnet.fidelity import distortion_fidelity, quality_fidelity, scene_fidelity
from defnet.model import Prediction
from evidential_nig import NormalInverseGamma, evidential_loss


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

    def to(self, device: torch.device | str) -> "Targets":
        """The same on another device."""
        return Targets(
            self.quality.to(device), self.scenes.to(device), self.distortion.to(device), self.dataset.to(device)
        )


def _labelled_mean(loss: Tensor, known: Tensor) -> Tensor:
    """Mean over the images that have a label; 0 where none has."""
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp_min(1)


def task_losses(prediction: Prediction, targets: Targets, config: ObjectiveConfig) -> dict[Task, Tensor]:
    """The three tasks' losses of a batch, each before its weight (the sums of DEFNet, Eq. 13)."""
    losses: dict[Task, Tensor] = {}
    for task, probability in prediction.probabilities.items():
        if task == "quality":
            losses[task] = quality_fidelity(
                prediction.quality_eq5,
                targets.quality,
                targets.dataset,
                variant=config.thurstone,
                reduction=config.pair_reduction,
            )
        else:
            label, known = targets.of(task)
            fidelity = scene_fidelity if task == "scene" else distortion_fidelity
            losses[task] = _labelled_mean(fidelity(probability, label), known)
    return losses


def evidential_task_losses(
    evidence: Mapping[Task, NormalInverseGamma], targets: Targets, tau: float
) -> dict[Task, Tensor]:
    """The evidential loss of each task (DEFNet, Eq. 21 for cross-region evidence, Eq. 26 for local-global evidence).

    Mean over a task's outputs and over the images that have its label.
    """
    losses: dict[Task, Tensor] = {}
    for task, nig in evidence.items():
        label, known = targets.of(task)
        losses[task] = _labelled_mean(
            evidential_loss(nig, label.to(nig.loc.dtype), tau, reduction="none").mean(-1), known
        )
    return losses


def overall_loss(
    prediction: Prediction, targets: Targets, config: ObjectiveConfig, weights: Mapping[Task, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss that training minimises (DEFNet, Eq. 28) and its parts.

    Args:
        prediction: the network's output for B images.
        targets: their ground truth.
        config: which terms count, and how much.
        weights: λ_q, λ_s and λ_d of Eq. 13.

    Returns:
        The scalar loss, and every term by name: `fidelity_<task>` (unweighted), `multitask` (Eq. 13),
        `cross_<task>` (Eq. 21), `cross` (Eq. 22), `fusion_<task>` (Eq. 26), `fusion` (Eq. 27), `total` (Eq. 28). A term
        that is switched off is absent.
    """
    fidelity = task_losses(prediction, targets, config)
    terms = {f"fidelity_{task}": loss for task, loss in fidelity.items()}
    terms["multitask"] = total = torch.stack([weights[task] * loss for task, loss in fidelity.items()]).sum()
    for name, active, weight, evidence in (
        ("cross", config.cross, config.lambda1, prediction.cross),
        ("fusion", config.fusion, config.lambda2, prediction.fusion),
    ):
        if active:
            losses = evidential_task_losses(evidence, targets, config.tau)
            terms |= {f"{name}_{task}": loss for task, loss in losses.items()}
            terms[name] = torch.stack(list(losses.values())).sum()
            total = total + weight * terms[name]
    terms["total"] = total
    return total, terms
