"""Scoring images with a trained model."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from clip_iqa_backbone import DISTORTIONS, SCENES, CropPlan, ImageError, LiteImageTower, Views, make_views, open_image
from defnet.config.fields import Task
from defnet.devices import choose_device
from defnet.errors import DEFNetError
from defnet.model.evidence import Prediction
from defnet.model.model_file import load_model
from defnet.model.model_info import ModelInfo
from defnet.model.names import model_path
from defnet.model.network import DEFNet
from defnet.model.predictive import HIGHEST, LOWEST, predictive_quality
from defnet.scoring.scores import Failure, Score, Scores

ImageSource = str | PathLike[str] | Image.Image | NDArray[Any]

_INTERVAL = 0.95


@dataclass(frozen=True)
class Seen:
    """An image's views, ready for the network.

    Attributes:
        path: the file's path; empty where there is none.
        local: sub-images, uint8 (N, 3, S, S).
        global_view: the whole image squashed, uint8 (3, S, S).
        warnings: what a reader of the score should know.
    """

    path: str
    local: Tensor
    global_view: Tensor
    warnings: tuple[str, ...]


class Scorer:
    """A trained model that scores images. Make one with `load_scorer`.

    Args:
        model: the network, in evaluation mode.
        info: what its file says of it.
        crops: number of sub-images, or None for the model's own number.
        fingerprint: identifies the weights in tables of scores.

    Example:
        >>> import numpy as np, defnet
        >>> scorer = defnet.load_scorer("lite")
        >>> scores = scorer.score([np.zeros((300, 400, 3), np.uint8)])
        >>> 1 <= scores[0].quality <= 5
        True
    """

    def __init__(self, model: DEFNet, info: ModelInfo, *, crops: int | None = None, fingerprint: str = "") -> None:
        config = info.config.crops
        if crops is not None and crops < 1:
            raise DEFNetError(f"crops must be at least 1, got {crops}")
        self.model = model
        self.info = info
        self.plan = CropPlan(
            kind=config.test_plan,
            count=config.test_count if crops is None else crops,
            size=model.backbone.image.input_size,
            seed=info.config.seed,
        )
        self.fingerprint = fingerprint
        self._device = next(model.parameters()).device

    @property
    def provenance(self) -> dict[str, Any]:
        """What the scores depend on, as JSON."""
        return {
            "weights": self.fingerprint,
            "crops": {"kind": self.plan.kind, "count": self.plan.count, "size": self.plan.size, "seed": self.plan.seed},
            "variance_scale": self.info.variance_scale,
            "versions": {name: version(name) for name in ("defnet", "clip-iqa-backbone", "evidential-nig")},
        }

    def score(self, images: Iterable[ImageSource] | ImageSource, *, batch_size: int = 4) -> Scores:
        """Score images.

        Args:
            images: paths, PIL images or arrays (see `clip_iqa_backbone.open_image`), or one of them.
            batch_size: images that go through the network together; it does not change a score.

        Returns:
            One score an image, in order.

        Raises:
            ImageError: an image cannot be read. Use `stream` to go on with the others.
        """
        if isinstance(images, str | PathLike | Image.Image | np.ndarray):
            images = [images]
        scores: list[Score] = []
        for result in self.stream(images, batch_size=batch_size):
            if isinstance(result, Failure):
                raise ImageError(result.path, result.reason)
            scores.append(result)
        return Scores(scores)

    def stream(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2
    ) -> Iterator[Score | Failure]:
        """Score images one after the other as they come, in order, holding no more than two batches of views.

        Args:
            images: paths, PIL images or arrays.
            batch_size: images that go through the network together.
            decoders: threads that read and cut images ahead.

        Yields:
            A `Score`, or a `Failure` for an image that cannot be read.
        """
        if batch_size < 1:
            raise DEFNetError(f"batch_size must be at least 1, got {batch_size}")
        for batch, prediction in self.predict(images, batch_size=batch_size, decoders=decoders):
            scores = iter(self._scores(batch, prediction))
            for seen in batch:
                yield seen if isinstance(seen, Failure) else next(scores)

    def predict(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2
    ) -> Iterator[tuple[list[Seen | Failure], Prediction | None]]:
        """Run the network over images, a batch at a time, while the next ones are read.

        Yields:
            What was seen of a batch of images, in order, and the network's output for those that could be read; None
            where none could.
        """
        source = iter(images)
        with ThreadPoolExecutor(decoders, thread_name_prefix="decode") as threads:
            queue: deque[Future[Seen | Failure]] = deque()
            try:
                while True:
                    ahead = islice(source, max(0, 2 * batch_size - len(queue)))
                    queue.extend(threads.submit(self._look, image) for image in ahead)
                    if not queue:
                        return
                    batch = [queue.popleft().result() for _ in range(min(batch_size, len(queue)))]
                    yield batch, self._forward([seen for seen in batch if isinstance(seen, Seen)])
            finally:
                for future in queue:
                    future.cancel()

    def _look(self, image: ImageSource) -> Seen | Failure:
        path = fspath(image) if isinstance(image, str | PathLike) else ""
        try:
            views = make_views(open_image(image), self.plan)
        except ImageError as error:
            return Failure(path or error.path, error.reason)
        return Seen(path, views.local, views.global_view, _warnings(views))

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Seen]) -> Prediction | None:
        if not batch:
            return None
        local = torch.stack([seen.local for seen in batch]).to(self._device, non_blocking=True)
        global_view = torch.stack([seen.global_view for seen in batch]).to(self._device, non_blocking=True)
        output: Prediction = self.model(local, global_view)
        return output

    def _scores(self, batch: Sequence[Seen | Failure], prediction: Prediction | None) -> list[Score]:
        if prediction is None:
            return []
        predictive, nig = predictive_quality(prediction, self.info.variance_scale)
        lower, upper = (np.clip(end, LOWEST, HIGHEST) for end in predictive.interval(_INTERVAL))
        scene, scene_probability = _most_probable(prediction, "scene", SCENES)
        distortion, distortion_probability = _most_probable(prediction, "distortion", DISTORTIONS)
        expected_quality = prediction.expected_quality.double().cpu()
        return [
            Score(
                path=seen.path,
                quality=float(nig.loc[i]),
                expected_quality=float(expected_quality[i]),
                aleatoric_std=float(nig.aleatoric[i].sqrt()),
                epistemic_std=float(nig.epistemic[i].sqrt()),
                lower=float(lower[i]),
                upper=float(upper[i]),
                scene=scene[i],
                scene_probability=scene_probability[i],
                distortion=distortion[i],
                distortion_probability=distortion_probability[i],
                crops=self.plan.count,
                warnings=seen.warnings + _outside(float(nig.loc[i])),
            )
            for i, seen in enumerate(seen for seen in batch if isinstance(seen, Seen))
        ]


def _warnings(views: Views) -> tuple[str, ...]:
    return (f"upscaled from {views.width}x{views.height}",) if views.upscaled else ()


def _outside(quality: float) -> tuple[str, ...]:
    return () if LOWEST <= quality <= HIGHEST else (f"quality outside [{LOWEST:g}, {HIGHEST:g}]",)


def _most_probable(prediction: Prediction, task: Task, names: Sequence[str]) -> tuple[list[str], list[float]]:
    """Name and probability of the top class of each image; a task that was not learnt has none."""
    if task not in prediction.probabilities:
        count = len(prediction.expected_quality)
        return [""] * count, [float("nan")] * count
    probability, index = prediction.probabilities[task].max(-1)
    return [names[i] for i in index.tolist()], probability.tolist()


def load_scorer(
    model: str | PathLike[str] = "lite", *, device: str | torch.device | None = None, crops: int | None = None
) -> Scorer:
    """Load a trained model to score images with.

    Args:
        model: a shipped model's name, a model file, or the folder of a training run.
        device: where to compute; by default CUDA where there is one, else the CPU.
        crops: number of sub-images an image is looked at with; by default the model's own (15). More crops cost time
            and sharpen the mean; the claimed certainty is the same.

    Raises:
        CheckpointError: there is no such model, or its file is damaged.
    """
    with model_path(model) as path:
        return _load(path, device, crops)


def _load(path: Path, device: str | torch.device | None, crops: int | None) -> Scorer:
    chosen = choose_device(device)
    model, info = load_model(path, "cpu")
    if isinstance(model.backbone.image, LiteImageTower):
        model.backbone.image.fuse_for_inference()
    # On a CPU more views at once are no faster and only take memory; a GPU wants to be filled.
    model.backbone.max_views_per_forward = 16 if chosen.type == "cpu" else 256
    with path.open("rb") as file:
        digest = sha256(file.read()).hexdigest()
    return Scorer(model.to(chosen).eval(), info, crops=crops, fingerprint=digest)
