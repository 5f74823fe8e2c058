"""Scores of whole predictive distributions over batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.calibration.pairs import check_predictive
from evidential_nig.calibration.scores import crps, nll
from evidential_nig.streaming.metric import StreamingMetric


class _MeanScore(StreamingMetric[Tensor]):
    _score: ClassVar[Callable[..., Tensor]]

    def update(self, predictive: Distribution, target: Tensor) -> None:
        """Take a batch in; arguments and errors are those of the function."""
        self._add("score", type(self)._score(predictive, target, reduction="sum"))
        self._count(target)

    def compute(self) -> Tensor:
        """The mean over all targets, a tensor of shape ()."""
        return self._mean("score")


class NegativeLogLikelihood(_MeanScore):
    """`calibration.nll` over batches: `update(predictive, target)`, the mean in nats.

    Example:
        >>> from torch.distributions import Normal
        >>> metric = NegativeLogLikelihood()
        >>> metric(Normal(torch.zeros(1), 1.0), torch.tensor([0.0])).round(decimals=4)  # of this batch
        tensor(0.9189, dtype=torch.float64)
        >>> metric.update(Normal(torch.zeros(1), 1.0), torch.tensor([1.0]))
        >>> metric.compute().round(decimals=4)  # of both
        tensor(1.1689, dtype=torch.float64)
    """

    _score = staticmethod(nll)


class ContinuousRankedProbabilityScore(_MeanScore):
    """`calibration.crps` over batches: `update(predictive, target)`, the mean in units of the target."""

    _score = staticmethod(crps)


class Sharpness(StreamingMetric[Tensor]):
    """`calibration.sharpness` over batches: `update(predictive)`."""

    @torch.no_grad()
    def update(self, predictive: Distribution) -> None:
        """Take a batch in; argument and errors are those of `calibration.sharpness`, but a batch may be empty."""
        check_predictive(predictive)
        self._add("variance", predictive.variance.double().sum())
        self._count(predictive.variance)

    def compute(self) -> Tensor:
        """A tensor of shape (), in units of the target."""
        return self._mean("variance").sqrt()
