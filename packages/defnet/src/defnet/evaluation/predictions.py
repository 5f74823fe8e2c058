"""A model's answers for labelled images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from clip_iqa_backbone import ImageError
from defnet.data.view_pool import ViewPool
from defnet.model.evidence import Prediction
from defnet.model.network import DEFNet
from defnet.model.predictive import predictive_quality
from defnet.model.student_t import StudentT
from defnet.scoring.scorer import Scorer
from defnet.scoring.scores import Failure
from iqa_datasets import DISTORTIONS, SCENES

_BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """A model's answers for n labelled images beside the truth.

    Attributes:
        predictive: predictive distributions of quality, before the variance scale.
        expected_quality: q̂ of Eq. 5, (n,).
        scene: top scenes, or empty where the task is not learnt.
        distortion: top distortions, likewise.
    """

    predictive: StudentT
    expected_quality: NDArray[np.float64]
    scene: list[str]
    distortion: list[str]


class _Collector:
    """Gathers predictions batch by batch."""

    def __init__(self) -> None:
        self.df: list[NDArray[np.float64]] = []
        self.loc: list[NDArray[np.float64]] = []
        self.scale: list[NDArray[np.float64]] = []
        self.expected: list[NDArray[np.float64]] = []
        self.scene: list[str] = []
        self.distortion: list[str] = []

    def add(self, prediction: Prediction) -> None:
        predictive, _ = predictive_quality(prediction, 1.0)
        self.df.append(predictive.df)
        self.loc.append(predictive.loc)
        self.scale.append(predictive.scale)
        self.expected.append(prediction.expected_quality.double().cpu().numpy())
        if "scene" in prediction.probabilities:
            self.scene += [SCENES[i] for i in prediction.probabilities["scene"].argmax(-1).tolist()]
        if "distortion" in prediction.probabilities:
            self.distortion += [DISTORTIONS[i] for i in prediction.probabilities["distortion"].argmax(-1).tolist()]

    def predictions(self) -> Predictions:
        predictive = StudentT(*(np.concatenate(parts) for parts in (self.df, self.loc, self.scale)))
        return Predictions(predictive, np.concatenate(self.expected), self.scene, self.distortion)


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
