"""Scoring images by onnxruntime, without torch."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np

from defnet.errors import DEFNetError
from defnet.quality_scale import HIGHEST, LOWEST
from defnet.reliability.unfamiliar import unfamiliar_warnings
from defnet.scoring.columns import LEVEL, NO_UNCERTAINTY, score_of
from defnet.scoring.image_scorer import ImageScorer, check_stream
from defnet.scoring.onnx_model import ExportedInfo, OnnxModel, usual_threads
from defnet.scoring.scores import Failure, Score
from defnet.scoring.seen import Frames, ImageSource, Seen, looks

if TYPE_CHECKING:
    import torch

    from defnet.explanation.result import Explanation
    from defnet.model.evidence import Prediction
    from defnet.model.model_info import ModelInfo
    from defnet.model.network import DEFNet
    from defnet.reliability.reliability import Reliability
    from defnet.scoring.quality_metric import QualityMetric
    from defnet.scoring.scorer import Scorer


class OnnxScorer(ImageScorer):
    """A trained model that scores images by onnxruntime, on the CPU. Make one with `defnet.load_scorer`.

    `score` and `stream` give what those of `defnet.Scorer` give, to 1e-5 in every column, and import no torch. All else
    that a `Scorer` has is here too and is that of a `Scorer`, which is loaded with torch when it is first asked for:
    `quality`, the scorer called with a tensor, `explain`, `as_metric` and `predict` (see there), and what it is made
    of, `info`, `reliability`, `device` and `model`. From when `model` has been asked for, `score` and `stream` are the
    `Scorer`'s too: what is done to the network shows.

    It may be used from several threads, and pickled, and so handed to another process. In a process that was forked it
    opens its file again.

    Args:
        exported: the exported file.
        crops: number of sub-images, or None for the model's own number.
        name: what messages call it.
        threads: threads that compute: several images at once, each on one of them, or a single image on all. By default
            as many as OMP_NUM_THREADS says or, without it, as there are processors for this process.
        load_torch: loads the same model with torch; None where there is only the exported file.

    Raises:
        DEFNetError: `crops` or `threads` is less than 1.

    Example:
        >>> import numpy as np, defnet
        >>> scorer = defnet.load_scorer("lite2", device="cpu", threads=1)
        >>> scorer
        OnnxScorer('lite2', crops=15, plan='grid', size=224, variance_scale=1, threads=1)
        >>> scores = scorer.score([np.zeros((300, 400, 3), np.uint8)])
        >>> 1 <= scores[0].quality <= 5
        True
    """

    def __init__(
        self,
        exported: OnnxModel,
        *,
        crops: int | None = None,
        name: str = "",
        threads: int | None = None,
        load_torch: "Callable[[], Scorer] | None" = None,
    ) -> None:
        info = exported.info
        if threads is not None and threads < 1:
            raise DEFNetError(f"threads must be at least 1, got {threads}")
        super().__init__(
            plan=info.crops,
            crops=crops,
            short_side=info.short_side,
            name=name,
            fingerprint=info.weights,
            variance_scale=info.variance_scale,
        )
        self.exported = exported
        self.threads = usual_threads() if threads is None else threads
        self._load_torch = load_torch
        self._torch_scorer: Scorer | None = None
        self._by_torch = False

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"OnnxScorer({self.name!r}, crops={plan.count}, plan={plan.kind!r}, size={plan.size}, "
            f"variance_scale={self.variance_scale:.3g}, threads={self.threads})"
        )

    @property
    def score_from(self) -> str:
        """Where the score comes from; see `defnet.TrainConfig.score_from`."""
        return self.exported.info.score_from

    def stream(
        self, images: Iterable[ImageSource], *, batch_size: int = 4, decoders: int = 2, frames: Frames = "first"
    ) -> Iterator[Score | Failure]:
        """Score images one after the other; see `ImageScorer.stream`."""
        if self._by_torch:
            yield from self.torch_scorer.stream(images, batch_size=batch_size, decoders=decoders, frames=frames)
            return
        check_stream(batch_size, decoders, frames)
        source = looks(images, self.plan, self.short_side, frames)
        first = list(islice(source, 2))
        # One image alone is shared out among the threads. Of several each has one: then none waits for another.
        workers, each = (1, self.threads) if len(first) < 2 else (self.threads, 1)
        ahead = max(2 * batch_size, workers + decoders)
        with ThreadPoolExecutor(decoders, "decode") as reading, ThreadPoolExecutor(workers, "score") as scoring:
            source = chain(first, source)
            scoring.submit(self.exported.prepare, each)  # while the first image is read
            queue: deque[tuple[Future[Seen | Failure], Future[Score | Failure]]] = deque()
            try:
                while True:
                    for look in islice(source, max(0, ahead - len(queue))):
                        read = reading.submit(look)
                        queue.append((read, scoring.submit(self._scored, read, each)))
                    if not queue:
                        return
                    yield queue.popleft()[1].result()
            finally:
                for read, scored in queue:
                    read.cancel()
                    scored.cancel()

    def _scored(self, reading: "Future[Seen | Failure]", threads: int) -> Score | Failure:
        seen = reading.result()
        if isinstance(seen, Failure):
            return seen
        said = self.exported.run(seen.local, seen.global_view, threads)
        columns, notes = columns_of(self.exported.info, said)
        return score_of(seen, self.plan.count, notes, **columns)

    @property
    def torch_scorer(self) -> "Scorer":
        """The same model as torch computes it, loaded when it is first asked for.

        Raises:
            DEFNetError: there is only the exported file.
        """
        if self._torch_scorer is None:
            if self._load_torch is None:
                raise DEFNetError(
                    f"{self.name}: an exported file scores images and nothing else; load the model file that it was "
                    "made of to have the network"
                )
            self._torch_scorer = self._load_torch()
        return self._torch_scorer

    @property
    def model(self) -> "DEFNet":
        """The network. From now on torch computes the scores, so that what is done to it shows."""
        network = self.torch_scorer.model
        self._by_torch = True
        return network

    @property
    def info(self) -> "ModelInfo":
        """What the model's file says of it."""
        return self.torch_scorer.info

    @property
    def reliability(self) -> "Reliability | None":
        """What the model knows of its limits, where it does."""
        return self.torch_scorer.reliability

    @property
    def device(self) -> "torch.device":
        """Where the network computes; `scorer.model.to(device)` moves it."""
        return self.torch_scorer.device

    def quality(self, pixels: "torch.Tensor", *, rounded: bool = False) -> "torch.Tensor":
        """Quality of images that are tensors, differentiable; see `Scorer.quality`."""
        return self.torch_scorer.quality(pixels, rounded=rounded)

    def __call__(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """Quality of images that are tensors, without gradients; see `Scorer`."""
        return self.torch_scorer(pixels)

    def explain(self, image: ImageSource, *, frame: int = 0) -> "Explanation":
        """Say why an image has its score; see `Scorer.explain`."""
        return self.torch_scorer.explain(image, frame=frame)

    def as_metric(self, **options: Any) -> "QualityMetric":
        """The mean quality of images as a metric of torchmetrics; see `Scorer.as_metric`."""
        return self.torch_scorer.as_metric(**options)

    def predict(
        self, images: Iterable[ImageSource], **options: Any
    ) -> "Iterator[tuple[list[Seen | Failure], Prediction | None]]":
        """Run the network over images, a batch at a time; see `Scorer.predict`."""
        return self.torch_scorer.predict(images, **options)


def columns_of(info: ExportedInfo, said: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What an exported file says of an image, as columns of `Score`, and what a reader should know of them."""
    columns: dict[str, Any] = {"quality": float(said["quality"]), "expected_quality": float(said["expected_quality"])}
    for task, names in (("scene", info.scenes), ("distortion", info.distortions)):
        columns |= _most_probable(task, names, said.get(f"{task}_probabilities"))
    notes: tuple[str, ...] = ()
    if "familiarity" in said:
        uncertain = {name: float(said[name]) for name in ("aleatoric_std", "epistemic_std", "lower", "upper")}
        columns["familiarity"] = float(said["familiarity"])
        notes = unfamiliar_warnings(columns["familiarity"])
    elif "nu" in said:
        uncertain = _of_evidence(info, said)
        columns["familiarity"] = math.nan
    else:
        uncertain = dict.fromkeys(("aleatoric_std", "epistemic_std", "lower", "upper", "familiarity"), math.nan)
        notes = (NO_UNCERTAINTY,)
    for end in ("lower", "upper"):
        uncertain[end] = float(np.clip(uncertain[end], LOWEST, HIGHEST))
    return columns | uncertain, notes


def _most_probable(task: str, names: Sequence[str], probabilities: Any) -> dict[str, Any]:
    if probabilities is None:
        return {task: "", f"{task}_probability": math.nan}
    top = int(np.argmax(probabilities))
    return {task: names[top], f"{task}_probability": float(probabilities[top])}


def _of_evidence(info: ExportedInfo, said: dict[str, Any]) -> dict[str, float]:
    """Deviations of evidence, and the ends of the interval of its predictive Student t (DEFNet, Eqs. 2 and 3)."""
    from scipy.special import stdtrit  # only here: a model that knows its limits has the ends in its file

    nu, alpha_minus_one = float(said["nu"]), float(said["alpha_minus_one"])
    beta = float(said["beta"]) * info.variance_scale
    alpha = alpha_minus_one + 1.0
    scale = math.sqrt(beta * (1.0 + nu) / (alpha * nu))
    reach = scale * float(stdtrit(2.0 * alpha, 0.5 + LEVEL / 2))
    aleatoric = beta / alpha_minus_one
    return {
        "aleatoric_std": math.sqrt(aleatoric),
        "epistemic_std": math.sqrt(aleatoric / nu),
        "lower": float(said["quality"]) - reach,
        "upper": float(said["quality"]) + reach,
    }
