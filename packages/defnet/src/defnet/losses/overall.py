"""The loss that training minimises, of all its terms (DEFNet, Eqs. 13, 22, 27 and 28)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from defnet.config.fields import Task
from defnet.config.objective import ObjectiveConfig
from defnet.data.targets import Targets
from defnet.losses.tasks import evidential_task_losses, task_losses
from defnet.model.evidence import Prediction


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
        that is switched off, or that a network without heads of evidence has not, is absent. One of weight 0 is there,
        but no part of the total.
    """
    fidelity = task_losses(prediction, targets, config)
    terms = {f"fidelity_{task}": loss for task, loss in fidelity.items()}
    terms["multitask"] = total = torch.stack([weights[task] * loss for task, loss in fidelity.items()]).sum()
    for name, active, weight, evidence in (
        ("cross", config.cross, config.lambda1, prediction.cross),
        ("fusion", config.fusion, config.lambda2, prediction.fusion),
    ):
        if active and evidence:
            losses = evidential_task_losses(
                evidence,
                targets,
                config.tau,
                class_reduction=config.class_reduction,
                image_reduction=config.fusion_reduction if name == "fusion" else "mean",
            )
            terms |= {f"{name}_{task}": loss for task, loss in losses.items()}
            terms[name] = torch.stack(list(losses.values())).sum()
            if weight > 0:  # 0 · ∞ would be no 0, and a weight without a gradient is not decayed either
                total = total + weight * terms[name]
    terms["total"] = total
    return total, terms
