"""What a training run comes to: its chosen weights, calibrated, in a model file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clip_iqa_backbone import FrozenTextFeatures
from defnet.config.training import TrainConfig
from defnet.config.versions import without_paths
from defnet.data.table import ImageTable
from defnet.data.view_pool import ViewPool
from defnet.evaluation.calibration import Calibration, calibrate
from defnet.model.half_precision import round_to_half
from defnet.model.model_file import save_model
from defnet.model.model_info import ModelInfo, package_versions
from defnet.training.processes import Processes
from defnet.training.state import TrainingState
from defnet.training.validation import predict_together


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        model: the file with the chosen weights.
        epoch: the epoch, counted from 1, that they are of.
        validation: its figures on the validation part, each the mean over the data sets.
        by_dataset: its figures on each data set's validation part, by the data set's name.
    """

    model: Path
    epoch: int
    validation: dict[str, float]
    by_dataset: dict[str, dict[str, float]]


def write_result(
    path: Path,
    state: TrainingState,
    config: TrainConfig,
    validation: ViewPool | None,
    table: ImageTable,
    *,
    images: dict[str, dict[str, int]],
    advance: Callable[[int], None],
    processes: Processes,
) -> TrainResult:
    """Calibrate the chosen weights on the validation images, where there are any, and write the model.

    Args:
        path: the file to write.
        state: the run at its end; its model becomes the chosen one, in evaluation mode.
        config: the whole configuration.
        validation: views of the validation images; None where there are none.
        table: their ground truth.
        images: number of images of each data set's parts.
        advance: called with the number of images each time some are done.
        processes: who shares the work; the main one has the chosen weights, and writes.
    """
    model, progress = state.model, state.progress
    if processes.main:
        model.load_state_dict(state.best)
    processes.align(model)
    model.backbone.text = FrozenTextFeatures.of(model.backbone.text)
    half = config.weights == "fp16"
    if half:
        round_to_half(model)
    calibration = Calibration(variance_scale=1.0, constant_std=None, by_dataset={})
    if validation is not None:
        calibration = calibrate(predict_together(model, validation, processes, advance=advance), table)
    info = ModelInfo(
        config=without_paths(config),
        variance_scale=calibration.variance_scale,
        variance_scales=calibration.by_dataset,
        constant_std=calibration.constant_std,
        epoch=progress.best_epoch,
        images=images,
        validation=progress.best_validation,
        validation_by_dataset=progress.best_by_dataset,
        versions=package_versions(),
    )
    with processes.agreed():
        if processes.main:
            save_model(path, model, info, half=half)
    return TrainResult(path, progress.best_epoch, progress.best_validation, progress.best_by_dataset)
