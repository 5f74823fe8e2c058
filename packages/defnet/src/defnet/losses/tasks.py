"""The losses of each task on the network's output (DEFNet, the sums of Eq. 13 and Eqs. 21 and 26)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from defnet.config.fields import Task
from defnet.config.objective import ObjectiveConfig
from defnet.data.targets import Targets
from defnet.losses.fidelity import distortion_fidelity, quality_fidelity, scene_fidelity
from defnet.model.evidence import Prediction
from evidential_nig import NormalInverseGamma, evidential_loss


def _labelled_mean(loss: Tensor, known: Tensor) -> Tensor:
    """Mean over the images that have a label; 0 where none has."""
    return torch.where(known, loss, 0.0).sum() / known.sum().clamp_min(1)


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
