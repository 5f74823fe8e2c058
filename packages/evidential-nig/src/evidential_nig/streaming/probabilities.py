"""Figures over batches of whether predicted probabilities come true."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import Levels, check_choice, check_levels
from evidential_nig.calibration.probabilities import (
    area_from_shares,
    area_levels,
    count_at_most,
    default_percentiles,
    pit,
)
from evidential_nig.streaming.metric import StreamingMetric


class Coverage(StreamingMetric[Tensor]):
    """`calibration.interval_coverage` over batches: `update(predictive, target)`.

    Args:
        levels: One or several levels in (0, 1).

    Raises:
        ValueError: If a level is outside (0, 1).

    Example:
        >>> from torch.distributions import Normal
        >>> coverage = Coverage([0.5, 0.9])
        >>> for target in (torch.tensor([-3.0, -0.5]), torch.tensor([0.1, 1.5])):
        ...     coverage.update(Normal(torch.zeros(2), 1.0), target)
        >>> coverage.compute()
        tensor([0.5000, 0.7500], dtype=torch.float64)
    """

    def __init__(self, levels: Levels) -> None:
        self.levels = check_levels(levels, torch.device("cpu"))
        super().__init__()

    def update(self, predictive: Distribution, target: Tensor) -> None:
        """Take a batch in; arguments and errors are those of `calibration.pit`."""
        probability = pit(predictive, target)
        self._add("inside", count_at_most((2 * probability - 1).abs(), self.levels.to(probability.device)))
        self._count(target)

    def compute(self) -> Tensor:
        """Shares in [0, 1], in the shape of the levels."""
        return self._mean("inside")

    def _options(self) -> dict[str, Any]:
        return {"levels": self.levels.tolist()}


class QuantileCalibrationError(StreamingMetric[Tensor]):
    """`calibration.quantile_calibration_error` over batches: `update(predictive, target)`.

    Args:
        levels: Levels in (0, 1); 0.01, 0.02, …, 0.99 by default.
        order: 1 for absolute, 2 for squared differences.

    Raises:
        ValueError: If a level is outside (0, 1), or `order` is neither 1 nor 2.
    """

    def __init__(self, levels: Levels | None = None, *, order: Literal[1, 2] = 1) -> None:
        check_choice("order", order, (1, 2))
        self.levels = default_percentiles(levels, torch.device("cpu"))
        self.order: Literal[1, 2] = order
        super().__init__()

    def update(self, predictive: Distribution, target: Tensor) -> None:
        """Take a batch in; arguments and errors are those of `calibration.pit`."""
        probability = pit(predictive, target)
        self._add("below", count_at_most(probability, self.levels.to(probability.device)))
        self._count(target)

    def compute(self) -> Tensor:
        """A tensor of shape (); see `calibration.quantile_calibration_error`."""
        observed = self._mean("below")
        return (observed - self.levels.to(observed.device)).abs().pow(self.order).mean()

    def _options(self) -> dict[str, Any]:
        return {"levels": self.levels.tolist(), "order": self.order}


class MiscalibrationArea(StreamingMetric[Tensor]):
    """`calibration.miscalibration_area` over batches: `update(predictive, target)`.

    Args:
        levels: Levels of the intervals in (0, 1); 1/99, 2/99, …, 98/99 by default.

    Raises:
        ValueError: If a level is outside (0, 1).
    """

    def __init__(self, levels: Levels | None = None) -> None:
        self.levels = area_levels(levels, torch.device("cpu"))
        super().__init__()

    def update(self, predictive: Distribution, target: Tensor) -> None:
        """Take a batch in; arguments and errors are those of `calibration.pit`."""
        probability = pit(predictive, target)
        self._add("inside", count_at_most((2 * probability - 1).abs(), self.levels.to(probability.device)))
        self._count(target)

    def compute(self) -> Tensor:
        """A tensor of shape (), in [0, ½]."""
        observed = self._mean("inside")
        return area_from_shares(self.levels.to(observed.device), observed)

    def _options(self) -> dict[str, Any]:
        return {"levels": self.levels[1:-1].tolist()}
