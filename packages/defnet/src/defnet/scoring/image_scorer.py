"""What every scorer has, whatever computes its scores."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any, get_args

from clip_iqa_backbone import CropPlan
from defnet.errors import DEFNetError
from defnet.scoring.image_error import ImageError
from defnet.scoring.scores import Failure, Score, Scores
from defnet.scoring.seen import Frames, ImageSource, is_one_image


class ImageScorer(ABC):
    """Scores images: `defnet.Scorer` by torch, `defnet.OnnxScorer` by onnxruntime. Make one with `defnet.load_scorer`.

    Args:
        plan: which sub-images are cut.
        short_side: short side that images are resized to before, or None for their own resolution.
        name: what messages call it.
        fingerprint: SHA-256 of the model's file; identifies the weights in tables of scores.
        variance_scale: factor on every variance, fitted on validation data.

    Raises:
        DEFNetError: the plan asks for no crop.
    """

    def __init__(
        self,
        *,
        plan: dict[str, Any],
        crops: int | None,
        short_side: int | None,
        name: str,
        fingerprint: str,
        variance_scale: float,
    ) -> None:
        if crops is not None and crops < 1:
            raise DEFNetError(f"crops must be at least 1, got {crops}")
        self.plan = CropPlan(**plan if crops is None else plan | {"count": crops})
        self.short_side = short_side
        self.name = name
        self.fingerprint = fingerprint
        self.variance_scale = variance_scale

    @property
    @abstractmethod
    def score_from(self) -> str:
        """Where the score comes from; see `defnet.TrainConfig.score_from`."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What the scores depend on, as JSON: not what computes them, which changes no more than the sixth digit."""
        return {
            "weights": self.fingerprint,
            "crops": {"kind": self.plan.kind, "count": self.plan.count, "size": self.plan.size, "seed": self.plan.seed},
            "short_side": self.short_side,
            "variance_scale": self.variance_scale,
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
            batch_size: images that are looked at together; it does not change a score.
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

    @abstractmethod
    def stream(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2, frames: Frames = "first"
    ) -> Iterator[Score | Failure]:
        """Score images one after the other as they come, in order, holding no more than two batches of views.

        Args:
            images: as for `score`.
            batch_size: images that are looked at together.
            decoders: threads that read and cut images ahead.
            frames: of files that hold several frames or pages, the first or all.

        Yields:
            A `Score`, or a `Failure` for an image that cannot be read.
        """


def check_stream(batch_size: int, decoders: int, frames: str) -> None:
    """Check what a stream is asked for.

    Raises:
        DEFNetError: it cannot be.
    """
    for name, value in (("batch_size", batch_size), ("decoders", decoders)):
        if value < 1:
            raise DEFNetError(f"{name} must be at least 1, got {value}")
    if frames not in get_args(Frames):
        raise DEFNetError(f"frames must be 'first' or 'all', got {frames!r}")
