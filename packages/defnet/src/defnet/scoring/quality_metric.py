"""The mean quality of images as a metric of torchmetrics."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from defnet.scoring.scorer import Scorer

try:
    from torchmetrics import Metric
except ImportError as error:
    raise ImportError(
        'the metric needs torchmetrics, which cannot be imported: pip install "defnet[torchmetrics]"',
        name=error.name,
    ) from error


class QualityMetric(Metric):
    """Mean quality of all images seen, without references; `Scorer.as_metric` makes one.

    `update` takes what `Scorer.quality` takes, and rounds it as files are, so that images count as their files would.
    Batches and processes are joined by their sums, so that the result does
    not depend on how images were dealt out. The network moves from device to device with the metric, but its weights
    are no part of the metric's state, and `half()` leaves them as they are.

    Args:
        scorer: the model.
        **options: torchmetrics' own, such as `dist_sync_on_step`.
    """

    higher_is_better = True
    is_differentiable = True
    full_state_update = False
    plot_lower_bound = 1.0
    plot_upper_bound = 5.0

    total: Tensor
    images: Tensor

    def __init__(self, scorer: Scorer, **options: Any) -> None:
        super().__init__(**options)
        self.scorer = scorer
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pixels: Tensor) -> None:
        """Take images.

        Args:
            pixels: (B, 3, H, W) or (3, H, W), uint8 or floating point in [0, 1].
        """
        quality = self.scorer.quality(pixels, rounded=True)
        self.total = self.total + quality.sum().to(self.total.device)
        self.images = self.images + quality.numel()

    def compute(self) -> Tensor:
        """Mean quality, on the scale of the ratings from 1 (bad) to 5 (perfect); NaN before the first image."""
        return self.total / self.images

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> Self:
        super()._apply(fn, exclude_state)
        self.scorer.model.to(self.device)
        return self
