"""Scoring images with a trained model."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from clip_iqa_backbone import LiteImageTower
from defnet.devices import choose_device
from defnet.errors import DEFNetError
from defnet.model.evidence import Prediction
from defnet.model.model_file import load_model, load_reliability
from defnet.model.model_info import ModelInfo
from defnet.model.network import DEFNet
from defnet.reliability.descriptors import describe
from defnet.reliability.reliability import Reliability
from defnet.scoring.forked import compute_safely_after_fork
from defnet.scoring.image_scorer import ImageScorer, check_stream
from defnet.scoring.outputs import scores_of
from defnet.scoring.scores import Failure, Score
from defnet.scoring.seen import Frames, ImageSource, Seen, looks
from defnet.scoring.tensor_views import tensor_views, unit_pixels

if TYPE_CHECKING:
    from defnet.explanation.result import Explanation
    from defnet.scoring.quality_metric import QualityMetric

_IMAGES_AT_ONCE = 8


class Scorer(ImageScorer):
    """A trained model that scores images by torch. Make one with `load_scorer`.

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
        size, seed = model.backbone.image.input_size, info.config.seed
        super().__init__(
            plan={"kind": config.test_plan, "count": config.test_count, "size": size, "seed": seed},
            crops=crops,
            short_side=config.short_side,
            name=name,
            fingerprint=fingerprint,
            variance_scale=info.variance_scale,
        )
        self.model = model
        self.info = info
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
    def score_from(self) -> str:
        """Where the score comes from; see `defnet.TrainConfig.score_from`."""
        return self.model.score_from

    def stream(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2, frames: Frames = "first"
    ) -> Iterator[Score | Failure]:
        """Score images one after the other; see `ImageScorer.stream`."""
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
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = 4,
        decoders: int = 2,
        frames: Frames = "first",
        thumbnail_bytes: int | None = None,
    ) -> Iterator[tuple[list[Seen | Failure], Prediction | None]]:
        """Run the network over images, a batch at a time, while the next ones are read.

        Args:
            images: as for `score`.
            batch_size: images that go through the network together.
            decoders: threads that read and cut images ahead.
            frames: of files that hold several frames or pages, the first or all.
            thumbnail_bytes: keep what a page shows of each (`Seen.picture`), its thumbnail of at most so many bytes.

        Yields:
            What was seen of a batch of images, in order, and the network's output for those that could be read; None
            where none could.
        """
        check_stream(batch_size, decoders, frames)
        source = looks(images, self.plan, self.short_side, frames, thumbnail_bytes)
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

    def explain(self, image: ImageSource, *, frame: int = 0) -> "Explanation":
        """Say why an image has its score: what each view of it says, how much that counts, what would be without it.

        Args:
            image: one image, as for `score`.
            frame: which frame of a file of several, counted from 0.

        Raises:
            ImageError: the image cannot be read.

        Example:
            >>> import numpy as np, defnet
            >>> scorer = defnet.load_scorer("lite", device="cpu", crops=2)
            >>> found = scorer.explain(np.zeros((300, 400, 3), np.uint8))
            >>> round(sum(view.share for view in found.sub_images) + found.whole_share, 6)
            1.0
        """
        from defnet.explanation.explaining import explain

        return explain(self, image, frame=frame)

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
        local, global_view = (
            torch.from_numpy(np.stack(views)).to(device, non_blocking=True)
            for views in zip(*((seen.local, seen.global_view) for seen in batch), strict=True)
        )
        # The features are the forward pass's own: to know what is familiar costs no look of its own.
        features = self.model.features(local, global_view)
        prediction = self.model.predict_from_features(*features)
        if self.reliability is None or features[1] is None:
            return prediction
        distance = self.reliability.familiarity.distance(describe(features[0], features[1]))
        return replace(prediction, distance=distance)


def load_torch_scorer(path: Path, name: str, device: str | torch.device | None, crops: int | None) -> Scorer:
    """Load a model file to score images with by torch; see `load_scorer`."""
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
