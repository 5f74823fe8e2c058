"""The losses of each task on the network's output (DEFNet, the sums of Eq. 13 and Eqs. 21 and 26)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from defnet.config.fields import Task
from defnet.config.objective import ObjectiveConfig
from defnet.data.targets import Targets
from defnet.losses.fidelity import distortion_fidelity, quality_fidelity, scene_fidelity
from defnet.model.evidence import Prediction
from evidential_nig import NormalInverseGamma, evidential_loss


def _over_labelled(
    loss: Tensor, known: Tensor, reduction: Literal["mean", "sum"] = "mean", weight: Tensor | None = None
) -> Tensor:
    """Mean or sum, weighted, over the images that have a label; 0 where none has, or none that weighs anything."""
    if weight is None:
        total = torch.where(known, loss, 0.0).sum()
        return total if reduction == "sum" else total / known.sum().clamp_min(1)
    weight = torch.where(known, weight.to(loss), 0.0)
    # What weighs nothing is taken out before: 0 · ∞ would be no 0.
    total = (weight * torch.where(weight > 0, loss, 0.0)).sum()
    whole = weight.sum()
    return total if reduction == "sum" else total / torch.where(whole > 0, whole, 1.0)


def task_losses(prediction: Prediction, targets: Targets, config: ObjectiveConfig) -> dict[Task, Tensor]:
    """The three tasks' losses of a batch, each before its weight (the sums of DEFNet, Eq. 13)."""
    losses: dict[Task, Tensor] = {}
    for task, probability in prediction.probabilities.items():
        if task == "quality":
            losses[task] = quality_fidelity(
                prediction.expected_quality,
                targets.quality,
                targets.dataset,
                variant=config.thurstone,
                ties=config.ties,
                reduction=config.pair_reduction,
                groups=targets.group,
                std=targets.quality_std,
                weights=targets.pair_weight,
            )
        else:
            label, known = targets.of(task)
            fidelity = scene_fidelity if task == "scene" else distortion_fidelity
            losses[task] = _over_labelled(fidelity(probability, label), known)
    return losses


def evidential_task_losses(
    evidence: Mapping[Task, NormalInverseGamma],
    targets: Targets,
    tau: float,
    *,
    class_reduction: Literal["mean", "sum"] = "mean",
    image_reduction: Literal["mean", "sum"] = "mean",
) -> dict[Task, Tensor]:
    """The evidential loss of each task (DEFNet, Eq. 21 for cross-region evidence, Eq. 26 for local-global evidence).

    Args:
        evidence: for each task, batch shape (B, K).
        targets: ground truth of the B images. Where the ratings of quality are uncertain, the likelihood of one is that
            of the truth plus its noise: `target_std` of `evidential_nig.evidential_loss`.
        tau: weight of the evidence regulariser (Eq. 3).
        class_reduction: over a task's K outputs.
        image_reduction: over the images that have the task's label; those of quality weigh what
            `Targets.quality_evidence` says.

    Returns:
        A scalar for each task; 0 where no image has its label, or none that weighs anything.
    """
    losses: dict[Task, Tensor] = {}
    for task, nig in evidence.items():
        label, known = targets.of(task)
        std = targets.quality_std if task == "quality" else None
        if std is not None:
            # By quadrature, which is not for nothing: only where some rating is uncertain.
            std = std[:, None].to(nig.loc) if std.any() else None
        loss = evidential_loss(nig, label.to(nig.loc.dtype), tau, target_std=std, reduction="none")
        of_images = loss.mean(-1) if class_reduction == "mean" else loss.sum(-1)
        weight = targets.quality_evidence if task == "quality" else None
        losses[task] = _over_labelled(of_images, known, image_reduction, weight)
    return losses
