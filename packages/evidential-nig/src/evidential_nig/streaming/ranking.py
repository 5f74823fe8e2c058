"""Figures over batches of whether an uncertainty tells large errors from small ones."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from evidential_nig.arguments import check_choice, check_whole_number
from evidential_nig.calibration.pairs import check_ranking
from evidential_nig.calibration.ranking import (
    ErrorMetric,
    ause,
    error_uncertainty_correlation,
    expected_normalized_calibration_error,
)
from evidential_nig.streaming.metric import StreamingMetric


class _Ranking(StreamingMetric[Tensor]):
    def update(self, uncertainty: Tensor, error: Tensor) -> None:
        """Take a batch in.

        Args:
            uncertainty: Any monotone measure of it, any shape (...); the variance for `ENCE`.
            error: Target minus prediction, shape exactly (...).

        Raises:
            TypeError: If one of the two is no tensor.
            ValueError: If the shapes differ, are empty, `uncertainty` holds NaN or `error` is not finite.
        """
        uncertainty, error = check_ranking(uncertainty, error)
        self._keep("uncertainty", uncertainty)
        self._keep("error", error)
        self._count(error)

    def _both(self) -> tuple[Tensor, Tensor]:
        return self._kept("uncertainty"), self._kept("error")


class AUSE(_Ranking):
    """`calibration.ause` over batches: `update(uncertainty, error)`.

    Args:
        metric: "rmse" or "mae".
        normalized: See `calibration.ause`.

    Raises:
        ValueError: If `metric` is neither of the two.
    """

    def __init__(self, *, metric: ErrorMetric = "rmse", normalized: bool = True) -> None:
        check_choice("metric", metric, ("rmse", "mae"))
        self.metric: ErrorMetric = metric
        self.normalized = normalized
        super().__init__()

    def compute(self) -> Tensor:
        """A tensor of shape (), 0 for a perfect ranking."""
        return ause(*self._both(), metric=self.metric, normalized=self.normalized)

    def _options(self) -> dict[str, Any]:
        return {"metric": self.metric, "normalized": self.normalized}


class ErrorUncertaintyCorrelation(_Ranking):
    """`calibration.error_uncertainty_correlation` over batches: `update(uncertainty, error)`."""

    def compute(self) -> Tensor:
        """A tensor of shape (), in [−1, 1]; NaN where there is no ranking to compare."""
        return error_uncertainty_correlation(*self._both())


class ENCE(_Ranking):
    """`calibration.expected_normalized_calibration_error` over batches: `update(variance, error)`.

    Args:
        bins: Number of bins, at least 1; `compute` needs as many targets.

    Raises:
        TypeError: If `bins` is no whole number.
        ValueError: If `bins` is below 1.
    """

    def __init__(self, *, bins: int = 10) -> None:
        check_whole_number("bins", bins, at_least=1)
        self.bins = bins
        super().__init__()

    def compute(self) -> Tensor:
        """A tensor of shape (), at least 0; errors are those of the function."""
        return expected_normalized_calibration_error(*self._both(), bins=self.bins)

    def _options(self) -> dict[str, Any]:
        return {"bins": self.bins}
