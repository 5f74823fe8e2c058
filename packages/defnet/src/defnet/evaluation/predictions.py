"""A model's answers for labelled images."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defnet.data.view_pool import ViewPool
from defnet.errors import DataError
from defnet.model.evidence import Prediction
from defnet.model.network import DEFNet
from defnet.model.predictive import quality_evidence, quality_spread
from defnet.scoring.image_error import ImageError
from defnet.scoring.scorer import Scorer
from defnet.scoring.scores import Failure
from evidential_nig import NormalInverseGamma, cat
from iqa_datasets import DISTORTIONS, SCENES

_BATCH = 16


@dataclass(frozen=True)
class Predictions:
    """A model's answers for n labelled images.

    Attributes:
        evidence: evidence of quality, before the variance scale, batch shape (n,), in double precision; None for a
            model whose score is q̂, which has none.
        expected_quality: q̂ of Eq. 5, (n,).
        scene: top scenes, or empty where the task is not learnt.
        distortion: top distortions, likewise.
        distance: distances to the training images, (n,), in double precision; None where the model does not know them.
        spread: the spread of the quality levels, (n,), in double precision (`defnet.model.predictive.quality_spread`);
            None where they are not known either.
    """

    evidence: NormalInverseGamma | None
    expected_quality: NDArray[np.float64]
    scene: list[str]
    distortion: list[str]
    distance: Tensor | None = None
    spread: Tensor | None = None

    def __len__(self) -> int:
        return len(self.expected_quality)

    @property
    def quality(self) -> NDArray[np.float64]:
        """The scores, (n,): δ of the evidence, or q̂ where there is none."""
        if self.evidence is None:
            return self.expected_quality
        scores: NDArray[np.float64] = self.evidence.loc.numpy()
        return scores

    def select(self, rows: NDArray[np.int64]) -> "Predictions":
        """The answers for the chosen rows."""
        index = torch.from_numpy(rows)
        return Predictions(
            None if self.evidence is None else self.evidence[index],
            self.expected_quality[rows],
            [self.scene[row] for row in rows] if self.scene else [],
            [self.distortion[row] for row in rows] if self.distortion else [],
            None if self.distance is None else self.distance[index],
            None if self.spread is None else self.spread[index],
        )


class _Collector:
    """Gathers predictions batch by batch."""

    def __init__(self) -> None:
        self._evidence: list[NormalInverseGamma] = []
        self._expected: list[NDArray[np.float64]] = []
        self._spread: list[Tensor] = []
        self._scene: list[str] = []
        self._distortion: list[str] = []
        self._distance: list[Tensor] = []

    def add(self, prediction: Prediction) -> None:
        evidence = quality_evidence(prediction)
        if evidence is not None:
            self._evidence.append(evidence)
        if prediction.distance is not None:
            self._distance.append(prediction.distance)
        self._spread.append(quality_spread(prediction))
        self._expected.append(prediction.expected_quality.detach().double().cpu().numpy())
        if "scene" in prediction.probabilities:
            self._scene += [SCENES[i] for i in prediction.probabilities["scene"].argmax(-1).tolist()]
        if "distortion" in prediction.probabilities:
            self._distortion += [DISTORTIONS[i] for i in prediction.probabilities["distortion"].argmax(-1).tolist()]

    def predictions(self) -> Predictions:
        evidence = cat(self._evidence) if self._evidence else None
        distance = torch.cat(self._distance) if self._distance else None
        expected, spread = np.concatenate(self._expected), None if distance is None else torch.cat(self._spread)
        return Predictions(evidence, expected, self._scene, self._distortion, distance, spread)


def predict_pool(model: DEFNet, pool: ViewPool, *, advance: Callable[[int], None] = lambda _: None) -> Predictions:
    """Predict every image of a pool made under the inference crop plan.

    Args:
        model: the network; it is left in evaluation mode.
        pool: views, or features of them.
        advance: called with the number of images each time some are done.
    """
    return _collect(outputs_of_pool(model, pool, advance=advance))


def outputs_of_pool(
    model: DEFNet, pool: ViewPool, *, advance: Callable[[int], None] = lambda _: None
) -> Iterator[Prediction]:
    """The network's output for the images of a pool, in order and a batch at a time; as for `predict_pool`."""
    model.eval()
    device = next(model.parameters()).device
    for start in range(0, len(pool), _BATCH):
        rows = range(start, min(start + _BATCH, len(pool)))
        local = torch.stack([pool.local(row) for row in rows]).to(device)
        global_view = torch.stack([pool.global_view(row)[0] for row in rows]).to(device)
        with torch.inference_mode():
            pixels = local.dtype == torch.uint8
            output = model(local, global_view) if pixels else model.predict_from_features(local, global_view)
        yield output
        advance(len(rows))


def predict_files(
    scorer: Scorer, paths: Sequence[Path], *, batch_size: int = 8, advance: Callable[[int], None] = lambda _: None
) -> Predictions:
    """Predict image files with a scorer, before its variance scale.

    Args:
        scorer: the model.
        paths: the files, at least one.
        batch_size: images that go through the network together.
        advance: called with the number of images each time some are done.

    Raises:
        ImageError: a file cannot be read; an evaluation never leaves images out.
        DataError: there is no file.
    """
    if not paths:
        raise DataError("there is no image to predict")
    return _collect(outputs_of_files(scorer, paths, batch_size=batch_size, advance=advance))


def outputs_of_files(
    scorer: Scorer, paths: Sequence[Path], *, batch_size: int = 8, advance: Callable[[int], None] = lambda _: None
) -> Iterator[Prediction]:
    """The network's output for image files, in order and a batch at a time; as for `predict_files`."""
    for batch, prediction in scorer.predict(paths, batch_size=batch_size):
        for seen in batch:
            if isinstance(seen, Failure):
                raise ImageError(seen.path, seen.reason)
        if prediction is not None:
            yield prediction
        advance(len(batch))


def _collect(outputs: Iterable[Prediction]) -> Predictions:
    collector = _Collector()
    for output in outputs:
        collector.add(output)
    return collector.predictions()
