"""Methods that need no model of the scores: means of ranks and scaled scores, reciprocal rank fusion."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from map_score_fusion.methods.base import FittingLog, FloatArray, FusionMethod, State
from map_score_fusion.scaling import EmpiricalDistribution, RobustScaling

UNIFORM_STD = float(np.sqrt(1.0 / 12.0))
"""Standard deviation of a uniform distribution on [0, 1]: what is known of an error without a second metric."""


class WeightedMean(FusionMethod):
    """A mean, with one weight for each metric, of scores that a monotone map of each metric put on [0, 1].

    A missing score is left out, and the weights of the rest are scaled up to a sum of 1.

    The noise of metric j is the root mean square, over the training images, of its mapped score minus the weighted mean
    of the image's *other* scores. The variance of a fused score is Σ wⱼ² eⱼ², as if the metrics' errors were
    independent, where eⱼ² is the mean of that metric's squared noise and of its squared difference from the others on
    this very image. So images on which the metrics disagree are less certain. Errors that metrics share are not seen.
    Where there is nothing to compare a metric with, its noise is that of a uniform distribution, 0.289.

    Attributes:
        metric_weights: Weight of each metric where no score is missing, shape (M,), sum 1.
        noise: Root mean square deviation of each metric, shape (M,).
    """

    log: FittingLog
    metric_weights: FloatArray
    noise: FloatArray

    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:  # noqa: ARG002
        """Learn the maps, the weights and the noise of each metric."""
        self._fit_scaling(scores)
        scaled = self._scale(scores)
        self.metric_weights = self._choose_weights(scaled)
        deviations = self._deviations(scaled, self._row_weights(scaled))
        compared = np.isfinite(deviations)
        squares = np.sum(np.where(compared, deviations, 0.0) ** 2, axis=0)
        counts = compared.sum(axis=0)
        self.noise = np.where(counts > 0, np.sqrt(squares / np.maximum(counts, 1)), UNIFORM_STD)
        self.log = FittingLog()
        return self

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the weighted means (N,) of the scores that each row has."""
        scaled = self._scale(scores)
        return _weighted_sum(self._row_weights(scaled), scaled)

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the weighted means (N,) and their standard errors (N,), as the class says."""
        scaled = self._scale(scores)
        weights = self._row_weights(scaled)
        deviations = self._deviations(scaled, weights)
        usual = self.noise**2
        variances = np.where(np.isfinite(deviations), 0.5 * (deviations**2 + usual), usual)
        return _weighted_sum(weights, scaled), np.sqrt(np.sum(weights**2 * variances, axis=1))

    def weights(self, scores: FloatArray) -> FloatArray:
        """Return the metrics' weights (N, M), scaled up where scores are missing."""
        return self._row_weights(scores)

    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return each metric's noise (N, M), the same for all images; NaN where the score is missing."""
        return np.where(np.isnan(scores), np.nan, self.noise)

    def summary(self) -> Mapping[str, FloatArray]:
        """Return ``noise``, the root mean square deviation of each metric from the others, on the fused scale."""
        return {"noise": self.noise}

    def state(self) -> State:
        """Return the maps, the weights and the noise."""
        arrays, settings = self._scaling_state()
        return {**arrays, "metric_weights": self.metric_weights, "noise": self.noise}, settings

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the fitted method again from what ``state`` returned."""
        method = cls()
        method._restore_scaling(arrays, settings)
        method.metric_weights, method.noise = arrays["metric_weights"], arrays["noise"]
        method.log = FittingLog()
        return method

    @abstractmethod
    def _fit_scaling(self, scores: FloatArray) -> None:
        """Learn each metric's map to [0, 1] from oriented scores (N, M)."""

    @abstractmethod
    def _scale(self, scores: FloatArray) -> FloatArray:
        """Map oriented scores (N, M) to [0, 1]; NaN stays."""

    @abstractmethod
    def _scaling_state(self) -> State:
        """Return what ``_restore_scaling`` needs."""

    @abstractmethod
    def _restore_scaling(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        """Take up the maps from a state."""

    def _choose_weights(self, scaled: FloatArray) -> FloatArray:
        """Return the metrics' weights (M,), sum 1, from the training scores on [0, 1]; equal unless overridden."""
        return np.full(scaled.shape[1], 1.0 / scaled.shape[1])

    def _row_weights(self, scores: FloatArray) -> FloatArray:
        """Return weights (N, M) that are 0 where a score is missing; each row's sum is 1."""
        present = np.where(np.isnan(scores), 0.0, self.metric_weights)
        total = present.sum(axis=1, keepdims=True)
        # A row whose only scores are of metrics of weight 0 still gets their mean.
        fallback = ~np.isnan(scores) / np.maximum((~np.isnan(scores)).sum(axis=1, keepdims=True), 1)
        return np.where(total > 0, present / np.where(total > 0, total, 1.0), fallback)

    @staticmethod
    def _deviations(scaled: FloatArray, weights: FloatArray) -> FloatArray:
        """Return each score minus the weighted mean of the row's others (N, M); NaN where there are none."""
        others = 1.0 - weights
        compared = ~np.isnan(scaled) & (others > 1e-9)
        difference = scaled - _weighted_sum(weights, scaled)[:, None]
        # x − (z − w x)/(1 − w) = (x − z)/(1 − w)
        return np.where(compared, difference / np.where(compared, others, 1.0), np.nan)


class MeanRank(WeightedMean):
    """The mean of the metrics' normalised ranks among the training images, ties at their middle."""

    name: ClassVar[str] = "mean-rank"
    scaling: EmpiricalDistribution

    def _fit_scaling(self, scores: FloatArray) -> None:
        self.scaling = EmpiricalDistribution.fit(scores)

    def _scale(self, scores: FloatArray) -> FloatArray:
        return self.scaling(scores)

    def _scaling_state(self) -> State:
        return self.scaling.state(), {}

    def _restore_scaling(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.scaling = EmpiricalDistribution.from_state(arrays)


class MeanScaled(WeightedMean):
    """The mean of the metrics' robustly scaled scores (`RobustScaling`)."""

    name: ClassVar[str] = "mean-scaled"
    scaling: RobustScaling

    def _fit_scaling(self, scores: FloatArray) -> None:
        self.scaling = RobustScaling.fit(scores)

    def _scale(self, scores: FloatArray) -> FloatArray:
        return self.scaling(scores)

    def _scaling_state(self) -> State:
        return self.scaling.state(), {}

    def _restore_scaling(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.scaling = RobustScaling.from_state(arrays)


def _weighted_sum(weights: FloatArray, scaled: FloatArray) -> FloatArray:
    """Sum over each row (N,), where a missing score has weight 0; in [0, 1] but for rounding, which is taken off."""
    summed: FloatArray = np.clip(np.sum(weights * np.where(np.isnan(scaled), 0.0, scaled), axis=1), 0.0, 1.0)
    return summed
