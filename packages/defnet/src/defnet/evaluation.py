"""Figures of a model on labelled images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clip_iqa_backbone import ImageError
from defnet.batches import ImageTable
from defnet.metrics import (
    correlations,
    distortion_accuracy,
    scene_accuracy,
    uncertainty_figures,
)
from defnet.model import DEFNet, Prediction
from defnet.scorer import HIGHEST, LOWEST, Scorer, predictive_quality
from defnet.scores import Failure
from defnet.student_t import StudentT
from defnet.view_pool import ViewPool
from iqa_datasets import DISTORTIONS, SCENES

_BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """A model's answers for n labelled images beside the truth.

    Attributes:
        predictive: predictive distributions of quality, before the variance scale.
        quality_eq5: q̂ of Eq. 5, (n,).
        scene: top scenes, or empty where the task is not learnt.
        distortion: top distortions, likewise.
    """

    predictive: StudentT
    quality_eq5: NDArray[np.float64]
    scene: list[str]
    distortion: list[str]


class _Collector:
    """Gathers predictions batch by batch."""

    def __init__(self) -> None:
        self.df: list[NDArray[np.float64]] = []
        self.loc: list[NDArray[np.float64]] = []
        self.scale: list[NDArray[np.float64]] = []
        self.eq5: list[NDArray[np.float64]] = []
        self.scene: list[str] = []
        self.distortion: list[str] = []

    def add(self, prediction: Prediction) -> None:
        predictive, _ = predictive_quality(prediction, 1.0)
        self.df.append(predictive.df)
        self.loc.append(predictive.loc)
        self.scale.append(predictive.scale)
        self.eq5.append(prediction.quality_eq5.double().cpu().numpy())
        if "scene" in prediction.probabilities:
            self.scene += [SCENES[i] for i in prediction.probabilities["scene"].argmax(-1).tolist()]
        if "distortion" in prediction.probabilities:
            self.distortion += [DISTORTIONS[i] for i in prediction.probabilities["distortion"].argmax(-1).tolist()]

    def predictions(self) -> Predictions:
        predictive = StudentT(*(np.concatenate(parts) for parts in (self.df, self.loc, self.scale)))
        return Predictions(predictive, np.concatenate(self.eq5), self.scene, self.distortion)


@torch.inference_mode()
def predict_pool(model: DEFNet, pool: ViewPool) -> Predictions:
    """Predict every image of a pool made under the inference crop plan."""
    model.eval()
    device = next(model.parameters()).device
    collector = _Collector()
    for start in range(0, len(pool), _BATCH):
        rows = range(start, min(start + _BATCH, len(pool)))
        local = torch.stack([pool.local(row) for row in rows]).to(device)
        global_view = torch.stack([pool.global_view(row)[0] for row in rows]).to(device)
        pixels = local.dtype == torch.uint8
        collector.add(model(local, global_view) if pixels else model.predict_from_features(local, global_view))
    return collector.predictions()


def predict_files(
    scorer: Scorer, paths: Sequence[Path], *, batch_size: int = 8, advance: Callable[[int], None] = lambda _: None
) -> Predictions:
    """Predict image files with a scorer, before its variance scale.

    Raises:
        ImageError: a file cannot be read; an evaluation never leaves images out.
    """
    collector = _Collector()
    for batch, prediction in scorer.predict(paths, batch_size=batch_size):
        for seen in batch:
            if isinstance(seen, Failure):
                raise ImageError(seen.path, seen.reason)
        if prediction is not None:
            collector.add(prediction)
        advance(len(batch))
    return collector.predictions()


def evaluation_figures(
    predictions: Predictions, table: ImageTable, *, variance_scale: float = 1.0, constant_std: float | None = None
) -> dict[str, float]:
    """Every figure of a model on n labelled images.

    Args:
        predictions: the model's answers, in the table's order.
        table: the truth.
        variance_scale: factor on the predictive variance, fitted on validation data.
        constant_std: standard deviation of the constant-variance rival, fitted on validation data; by default the
            root mean squared error on these very images.

    Returns:
        `images`; `srcc`, `krcc`, `plcc`, `plcc_logistic`, `rmse` of the predictive mean; `srcc_eq5`, `plcc_eq5` and
        `plcc_logistic_eq5` of Eq. 5's q̂; accuracies beside the majority class's; and those of `uncertainty_figures`.
    """
    quality = table.quality.double().numpy()
    raw = predictions.predictive
    predictive = StudentT(raw.df, raw.loc, raw.scale * np.sqrt(variance_scale))
    figures: dict[str, float] = {"images": len(quality)}
    figures |= correlations(predictive.loc, quality)
    eq5 = correlations(predictions.quality_eq5, quality)
    figures |= {f"{name}_eq5": eq5[name] for name in ("srcc", "plcc", "plcc_logistic")}
    if predictions.scene:
        labels = [[name for name, on in zip(SCENES, row, strict=True) if on] for row in table.scenes.tolist()]
        known = [i for i, names in enumerate(labels) if names]
        figures |= scene_accuracy([predictions.scene[i] for i in known], [labels[i] for i in known])
    if predictions.distortion:
        known = [i for i, row in enumerate(table.distortion.tolist()) if any(row)]
        truth = [DISTORTIONS[int(table.distortion[i].argmax())] for i in known]
        figures |= distortion_accuracy([predictions.distortion[i] for i in known], truth)
    figures |= uncertainty_figures(
        predictive, quality, bounds=(LOWEST, HIGHEST), constant_std=constant_std or figures["rmse"]
    )
    return figures
