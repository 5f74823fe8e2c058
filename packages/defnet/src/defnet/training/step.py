"""One step of training."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from defnet.config.training import TrainConfig
from defnet.data.seeding import step_seed
from defnet.data.targets import Targets
from defnet.errors import DataError
from defnet.losses.overall import overall_loss
from defnet.training.optimizer import learning_rate_factor
from defnet.training.processes import Processes
from defnet.training.state import TrainingState
from defnet.training.whole_batch import WholeBatch


def train_step(
    state: TrainingState,
    config: TrainConfig,
    step: int,
    batch: tuple[Tensor, Tensor, Targets],
    paths: Sequence[Path],
    processes: Processes | None = None,
) -> dict[str, float]:
    """Take one step of the optimiser.

    Args:
        state: what is trained.
        config: the whole configuration.
        step: its number, from 0 over the whole run.
        batch: sub-images and global views of this process's images, as pixels or features, and the ground truth of
            the whole batch.
        paths: the files of the whole batch, for messages.
        processes: who else has a share of the batch; nobody by default.

    Returns:
        Every term of the whole batch's loss by name (see `overall_loss`), of tasks that an image of the batch has a
        label for; the weights of the tasks, the learning rate of the towers and its factor, and the gradient's norm
        before it is clipped.

    Raises:
        DataError: the loss or a gradient is not finite; nothing was changed then but batch statistics.
    """
    model, optimizer, weighting, options = state.model, state.optimizer, state.weighting, config.optimizer
    local, global_view, targets = batch
    device = next(model.parameters()).device
    factor = learning_rate_factor(step, config.epochs * config.steps_per_epoch, options.warmup_steps)
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    local, global_view = local.to(device, non_blocking=True), global_view.to(device, non_blocking=True)
    processes = processes or Processes(device)
    whole = WholeBatch(
        model if local.dtype == torch.uint8 else model.predict_from_features,
        local,
        global_view,
        len(targets.quality),
        lambda part: step_seed(config.seed, step, part),
        parts=config.accumulate,
        processes=processes,
    )
    weights = weighting.weights
    if config.objective.weighting == "equal":
        weights = dict.fromkeys(weights, 1.0)
    prediction = whole.prediction()
    loss, terms = overall_loss(prediction, targets.to(device), config.objective, weights)
    # All of them in one transfer: each waits for the device.
    values = dict(zip(terms, torch.stack([term.detach() for term in terms.values()]).tolist(), strict=True))
    if not torch.isfinite(loss):
        raise DataError(f"the loss of step {step} is not finite: {values}; {_files(paths)}")
    optimizer.zero_grad(set_to_none=True)
    whole.backward(loss)
    gradients = [p for p in model.parameters() if p.grad is not None]
    processes.sum_all(p.grad for p in gradients if p.grad is not None)
    norm = float(nn.utils.clip_grad_norm_(gradients, options.max_grad_norm or float("inf")))
    if norm != norm or norm == float("inf"):
        # Not stepped: NaN in one weight is NaN in all from the next step on, and in every state that is saved.
        wrong = [
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is not None and not torch.isfinite(parameter.grad).all()
        ]
        raise DataError(
            f"the gradient of step {step} is not finite ({', '.join(wrong[:3]) or 'in its norm'}), though its loss is "
            f"{values['total']:g}; {_files(paths)}"
        )
    optimizer.step()
    model.backbone.clamp_logit_scale()
    unlabelled = [task for task in prediction.probabilities if not targets.labelled(task)]
    row = {name: value for name, value in values.items() if not name.endswith(tuple(f"_{t}" for t in unlabelled))}
    row |= {f"lambda_{task}": weights[task] for task in weighting.tasks}
    return row | {
        "learning_rate": options.learning_rate * factor,
        "learning_rate_factor": factor,
        "gradient_norm": norm,
    }


def _files(paths: Sequence[Path]) -> str:
    return f"the files of its batch are {', '.join(map(str, paths))}"
