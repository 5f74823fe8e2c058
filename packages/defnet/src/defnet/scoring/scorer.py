"""Scoring images with a trained model."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from clip_iqa_backbone import CropPlan, LiteImageTower
from defnet.devices import choose_device
from defnet.errors import DEFNetError
from defnet.model.evidence import Prediction
from defnet.model.model_file import load_model, load_reliability
from defnet.model.model_info import ModelInfo
from defnet.model.names import model_path
from defnet.model.network import DEFNet
from defnet.model.shipped import DEFAULT_MODEL
from defnet.reliability.descriptors import describe
from defnet.reliability.reliability import Reliability
from defnet.scoring.forked import compute_safely_after_fork
from defnet.scoring.image_error import ImageError
from defnet.scoring.outputs import scores_of
from defnet.scoring.scores import Failure, Score, Scores
from defnet.scoring.seen import Frames, ImageSource, Seen, is_one_image, looks
from defnet.scoring.tensor_views import tensor_views, unit_pixels

if TYPE_CHECKING:
    from defnet.scoring.quality_metric import QualityMetric

_IMAGES_AT_ONCE = 8


class Scorer:
    """A trained model that scores images. Make one with `load_scorer`.

    Files, PIL images, arrays and tensors go through `score` and `stream`, which give all that is known of an image.
    Tensors also go through `quality`, which is differentiable, and through the scorer itself, `scorer(pixels)`.

    A scorer may be used from several threads. It can be pickled, and so handed to another process.

    Args:
        model: the network, in evaluation mode.
        info: what its file says of it.
        crops: number of sub-images, or None for the model's own number.
        name: what messages call it.
        fingerprint: identifies the weights in tables of scores.
        reliability: what the model knows of its limits, where it does.

    Raises:
        DEFNetError: `crops` is less than 1.

    Example:
        >>> import numpy as np, defnet
        >>> scorer = defnet.load_scorer("lite", device="cpu")
        >>> scorer
        Scorer('lite', crops=15, plan='grid', size=224, variance_scale=2.19, device='cpu')
        >>> scores = scorer.score([np.zeros((300, 400, 3), np.uint8)])
        >>> 1 <= scores[0].quality <= 5
        True
    """

    def __init__(
        self,
        model: DEFNet,
        info: ModelInfo,
        *,
        crops: int | None = None,
        name: str = "",
        fingerprint: str = "",
        reliability: Reliability | None = None,
    ) -> None:
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
        self.short_side = config.short_side
        self.name = name
        self.fingerprint = fingerprint
        self.reliability = reliability

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"Scorer({self.name!r}, crops={plan.count}, plan={plan.kind!r}, size={plan.size}, "
            f"variance_scale={self.info.variance_scale:.3g}, device={str(self.device)!r})"
        )

    @property
    def device(self) -> torch.device:
        """Where it computes; `scorer.model.to(device)` moves it."""
        return next(self.model.parameters()).device

    @property
    def provenance(self) -> dict[str, Any]:
        """What the scores depend on, as JSON."""
        return {
            "weights": self.fingerprint,
            "crops": {"kind": self.plan.kind, "count": self.plan.count, "size": self.plan.size, "seed": self.plan.seed},
            "short_side": self.short_side,
            "variance_scale": self.info.variance_scale,
            "versions": {name: version(name) for name in ("defnet", "clip-iqa-backbone", "evidential-nig")},
        }

    def score(
        self, images: Iterable[ImageSource] | ImageSource, *, batch_size: int = 4, frames: Frames = "first"
    ) -> Scores:
        """Score images.

        Args:
            images: paths, bytes or binary streams of files, PIL images, arrays or tensors, or one of them. A tensor is
                one image (3, H, W) or a batch (B, 3, H, W), uint8 or floating point in [0, 1], on any device; its
                samples are rounded to 8 bits, so that it gets exactly the score that it would get saved as a PNG file.
            batch_size: images that go through the network together; it does not change a score.
            frames: of files that hold several frames or pages, the first or all.

        Returns:
            One score an image (or frame), in order.

        Raises:
            ImageError: an image cannot be read. Use `stream` to go on with the others.
            TypeError: an image is none of the kinds above.
        """
        scores: list[Score] = []
        for result in self.stream([images] if is_one_image(images) else images, batch_size=batch_size, frames=frames):  # type: ignore[list-item, arg-type]
            if isinstance(result, Failure):
                raise ImageError(result.path, result.reason)
            scores.append(result)
        return Scores(scores)

    def stream(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2, frames: Frames = "first"
    ) -> Iterator[Score | Failure]:
        """Score images one after the other as they come, in order, holding no more than two batches of views.

        Args:
            images: as for `score`.
            batch_size: images that go through the network together.
            decoders: threads that read and cut images ahead.
            frames: of files that hold several frames or pages, the first or all.

        Yields:
            A `Score`, or a `Failure` for an image that cannot be read.
        """
        for batch, prediction in self.predict(images, batch_size=batch_size, decoders=decoders, frames=frames):
            cut = [seen for seen in batch if isinstance(seen, Seen)]
            scores = iter(
                []
                if prediction is None
                else scores_of(cut, prediction, self.info.variance_scale, self.plan.count, self.reliability)
            )
            for seen in batch:
                yield seen if isinstance(seen, Failure) else next(scores)

    def predict(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2, frames: Frames = "first"
    ) -> Iterator[tuple[list[Seen | Failure], Prediction | None]]:
        """Run the network over images, a batch at a time, while the next ones are read.

        Yields:
            What was seen of a batch of images, in order, and the network's output for those that could be read; None
            where none could.
        """
        for name, value in (("batch_size", batch_size), ("decoders", decoders)):
            if value < 1:
                raise DEFNetError(f"{name} must be at least 1, got {value}")
        if frames not in get_args(Frames):
            raise DEFNetError(f"frames must be 'first' or 'all', got {frames!r}")
        source = looks(images, self.plan, self.short_side, frames)
        with ThreadPoolExecutor(decoders, thread_name_prefix="decode") as threads:
            queue: deque[Future[Seen | Failure]] = deque()
            try:
                while True:
                    queue.extend(map(threads.submit, islice(source, max(0, 2 * batch_size - len(queue)))))
                    if not queue:
                        return
                    batch = [queue.popleft().result() for _ in range(min(batch_size, len(queue)))]
                    yield batch, self._forward([seen for seen in batch if isinstance(seen, Seen)])
            finally:
                for future in queue:
                    future.cancel()

    def quality(self, pixels: Tensor, *, rounded: bool = False) -> Tensor:
        """Quality of images that are tensors, differentiable with respect to the pixels: a loss or a reward.

        The views are cut and made small where the pixels lie (see `tensor_views`). The gradient goes through every crop
        and through the whole image. Where none is wanted, images go through a few at a time.

        A file's pixels and its views are rounded to 8 bits, and a model that has learnt from such views sees it where
        an image is smooth: without rounding, the quality of a blurred photograph is up to 0.05 off its file's score.

        Args:
            pixels: (B, 3, H, W) or (3, H, W), of any size; uint8, or floating point in [0, 1].
            rounded: round where a file's views are rounded, so that the value is that of the file's score to 1e-3;
                gradients then pass through the rounding as if it were not there. Without it the value is a continuous
                function of the pixels, whose gradient this is.

        Returns:
            Quality, (B,) in single precision on the device of the pixels; to be maximised, on the scale of the ratings
            from 1 (bad) to 5 (perfect), not cut to it.

        Raises:
            ImageError: the shape, the type or the range of the pixels is another; the message says which.

        Example:
            >>> import torch, defnet
            >>> scorer = defnet.load_scorer("lite", device="cpu", crops=1)
            >>> pixels = torch.rand(3, 224, 224, requires_grad=True)
            >>> (-scorer.quality(pixels).mean()).backward()
            >>> pixels.grad.shape
            torch.Size([3, 224, 224])
        """
        compute_safely_after_fork(self.device)
        images = unit_pixels(pixels)
        parts = (images,) if torch.is_grad_enabled() and pixels.requires_grad else torch.split(images, _IMAGES_AT_ONCE)
        return torch.cat([self._quality(part, rounded) for part in parts]).to(pixels.device)

    def _quality(self, images: Tensor, rounded: bool) -> Tensor:
        local, global_view = tensor_views(
            images.to(self.device), self.plan, short_side=self.short_side, rounded=rounded
        )
        prediction: Prediction = self.model(local, global_view, global_gradient=True)
        return prediction.quality

    @torch.no_grad()
    def __call__(self, pixels: Tensor) -> Tensor:
        """Quality of images that are tensors, that of their files to 1e-3, without gradients; see `quality`."""
        return self.quality(pixels, rounded=True)

    def as_metric(self, **options: Any) -> "QualityMetric":
        """The mean quality of images as a metric of torchmetrics, for `MetricCollection`, Lightning and the like.

        Args:
            **options: those of `torchmetrics.Metric`.

        Raises:
            DEFNetError: torchmetrics is not installed.
        """
        try:
            from defnet.scoring.quality_metric import QualityMetric
        except ImportError as error:
            if error.name != "torchmetrics":
                raise
            raise DEFNetError("torchmetrics is not installed; pip install 'defnet[torchmetrics]'") from None
        return QualityMetric(self, **options)

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Seen]) -> Prediction | None:
        if not batch:
            return None
        device = self.device
        compute_safely_after_fork(device)
        local = torch.stack([seen.local for seen in batch]).to(device, non_blocking=True)
        global_view = torch.stack([seen.global_view for seen in batch]).to(device, non_blocking=True)
        # The features are the forward pass's own: to know what is familiar costs no look of its own.
        features = self.model.features(local, global_view)
        prediction = self.model.predict_from_features(*features)
        if self.reliability is None or features[1] is None:
            return prediction
        distance = self.reliability.familiarity.distance(describe(features[0], features[1]))
        return replace(prediction, distance=distance)


def load_scorer(
    model: str | PathLike[str] = DEFAULT_MODEL, *, device: str | torch.device | None = None, crops: int | None = None
) -> Scorer:
    """Load a trained model to score images with.

    Args:
        model: a shipped model's name, a model file, the folder of a training run, `hf-hub:ORG/NAME[@REVISION]`, or
            `liqe:FILE`, a checkpoint of LIQE.
        device: where to compute; by default CUDA where there is one, else the CPU.
        crops: number of sub-images an image is looked at with; by default the model's own (15). More crops cost time
            and sharpen the mean; the claimed certainty is the same.

    Raises:
        CheckpointError: there is no such model, or its file is damaged.
    """
    with model_path(model) as path:
        return _load(path, fspath(model), device, crops)


def _load(path: Path, name: str, device: str | torch.device | None, crops: int | None) -> Scorer:
    chosen = choose_device(device)
    model, info = load_model(path, "cpu")
    reliability = load_reliability(path)
    if isinstance(model.backbone.image, LiteImageTower):
        model.backbone.image.fuse_for_inference()
    # On a CPU more views at once are no faster and only take memory; a GPU wants to be filled.
    model.backbone.max_views_per_forward = 16 if chosen.type == "cpu" else 256
    with path.open("rb") as file:
        digest = sha256(file.read()).hexdigest()
    # Only pixels ever get gradients here; without this every backward pass would work out those of the weights too.
    model = model.to(chosen).eval().requires_grad_(False)
    return Scorer(model, info, crops=crops, name=name, fingerprint=digest, reliability=reliability)
