"""What fusion is compared with: means of ranks and of scaled scores, reciprocal rank fusion, first component."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, owens_t

from map_score_fusion.methods.base import FittingLog, FloatArray, FusionMethod, State
from map_score_fusion.rank_correlation import correlation_of_pairs
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
        self.metric_weights = self._choose_weights(scores, scaled)
        self.noise = self._noise_of(scaled, self.weights(scores))
        self.log = FittingLog()
        return self

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the weighted means (N,) of the scores that each row has."""
        scaled = self._scale(scores)
        return _weighted_sum(self.weights(scaled), scaled)

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the weighted means (N,) and their standard errors (N,), as the class says."""
        scaled = self._scale(scores)
        weights = self.weights(scaled)
        deviations = self._deviations(scaled, weights)
        usual = self.noise**2
        variances = np.where(np.isfinite(deviations), 0.5 * (deviations**2 + usual), usual)
        return _weighted_sum(weights, scaled), np.sqrt(np.sum(weights**2 * variances, axis=1))

    def weights(self, scores: FloatArray) -> FloatArray:
        """Return the metrics' weights (N, M), scaled up where scores are missing."""
        return _weights_of_present(scores, self.metric_weights)

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

    def _choose_weights(self, scores: FloatArray, scaled: FloatArray) -> FloatArray:  # noqa: ARG002
        """Return the metrics' weights (M,), sum 1, from training scores as given and on [0, 1]; equal as it stands."""
        return np.full(scaled.shape[1], 1.0 / scaled.shape[1])

    @classmethod
    def _noise_of(cls, scaled: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the root mean square (M,) of each metric's deviations."""
        deviations = cls._deviations(scaled, weights)
        compared = np.isfinite(deviations)
        squares = np.sum(np.where(compared, deviations, 0.0) ** 2, axis=0)
        counts = compared.sum(axis=0)
        return np.where(counts > 0, np.sqrt(squares / np.maximum(counts, 1)), UNIFORM_STD)

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


class ReciprocalRank(WeightedMean):
    """Reciprocal rank fusion: the sum over metrics of 1/(k + rank), k = 60, where the best image has rank 1.

    Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods",
    SIGIR 2009. As in the MAP paper, the training images give a new image its rank: N (1 − F) + ½ with F the normalised
    mid-rank, from ½ for an image above all N to N + ½ for one below. 1/(k + rank) is then put on [0, 1] by the straight
    line that takes those two ends to 1 and 0, and missing scores are left out of the mean: that changes no order of
    images with all scores. Far down the list the differences between ranks vanish.
    """

    name: ClassVar[str] = "rrf"
    k: ClassVar[float] = 60.0
    scaling: EmpiricalDistribution
    rows: int

    def _fit_scaling(self, scores: FloatArray) -> None:
        self.scaling = EmpiricalDistribution.fit(scores)
        self.rows = len(scores)

    def _scale(self, scores: FloatArray) -> FloatArray:
        ranks = self.rows * (1.0 - self.scaling(scores)) + 0.5
        best, worst = 1.0 / (self.k + 0.5), 1.0 / (self.k + self.rows + 0.5)
        scaled: FloatArray = (1.0 / (self.k + ranks) - worst) / (best - worst)
        return scaled

    def _scaling_state(self) -> State:
        return self.scaling.state(), {"rows": self.rows}

    def _restore_scaling(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self.scaling = EmpiricalDistribution.from_state(arrays)
        self.rows = int(settings["rows"])


class WeightedReciprocalRank(ReciprocalRank):
    """Reciprocal rank fusion whose metrics have weights from model-level uncertainty.

    The MAP paper says of its weighted RRF that "the weight is learned by minimizing model-level uncertainty" and no
    more. Here the uncertainty of metric j is the mean squared difference sⱼ² of its normalised rank from the mean rank
    that the other metrics give, and the weights minimise Σ wⱼ² sⱼ² with Σ wⱼ = 1, so that wⱼ ∝ 1/sⱼ². Unsupervised
    rank aggregation weighs rankers by such deviations from the mean rank: Klementiev, Roth and Small, "An unsupervised
    learning algorithm for rank aggregation" (ULARA), ECML 2007. The deviations are from the unweighted mean, once:
    from a mean weighted anew each time, one metric, or a block of near-duplicates, comes to take all the weight.
    """

    name: ClassVar[str] = "weighted-rrf"

    def _choose_weights(self, scores: FloatArray, scaled: FloatArray) -> FloatArray:
        equal = super()._choose_weights(scores, scaled)
        ranks = self.scaling(scores)
        variance = self._noise_of(ranks, _weights_of_present(scores, equal)) ** 2
        # Metrics that agree to the last rank have no variance; half a rank stands for it.
        precision: FloatArray = 1.0 / np.maximum(variance, (0.5 / self.rows) ** 2)
        weights: FloatArray = precision / precision.sum()
        return weights


class FirstComponent(FusionMethod):
    """The first principal component of the metrics' normal scores, as the probabilistic model of one component.

    Normal scores are Φ⁻¹ of normalised mid-ranks, standardised on the training images. With λ the largest eigenvalue of
    their correlation matrix (M, M), v its eigenvector and σ² = (M − λ)/(M − 1) the mean of the other eigenvalues, the
    score of metric j is wⱼ s + noise of variance σ², w = v √(λ − σ²), s standard normal: the maximum likelihood
    solution of Tipping and Bishop, "Probabilistic principal component analysis", JRSS B 61 (1999), Eqs. 7 and 8. An
    image with scores x then has s ~ N(Σ wⱼxⱼ/(Σ wⱼ² + σ²), σ²/(Σ wⱼ² + σ²)), the sums over the scores that it has; with
    all of them this is in the order of the principal component. The fused score is the mean of Φ(s) and its uncertainty
    the standard deviation of Φ(s): of the component, given that the model is right, and not of the quality.

    A metric whose loading is negative goes against the others. It gets weight 0, and the log says so.

    Attributes:
        loadings: w, shape (M,), none negative.
        noise_variance: σ²; 0 with one metric, whose rank is then the fused score.
        centre: Mean of each metric's normal scores, shape (M,).
        spread: Their standard deviations, shape (M,).
        noise: Root mean square difference of each metric's normalised rank from the fused score, shape (M,); with one
            metric 0.289, that of a uniform distribution.
    """

    name: ClassVar[str] = "first-component"
    scaling: EmpiricalDistribution
    loadings: FloatArray
    noise_variance: float
    centre: FloatArray
    spread: FloatArray
    noise: FloatArray
    log: FittingLog

    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:  # noqa: ARG002
        """Fit the component to oriented scores (N, M)."""
        self.scaling = EmpiricalDistribution.fit(scores)
        self.centre, self.spread = np.zeros(scores.shape[1]), np.ones(scores.shape[1])
        normal = self._normal_scores(scores)
        self.centre = np.nanmean(normal, axis=0)
        spread = np.nanstd(normal, axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        metrics = len(names)
        if metrics == 1:
            self.loadings, self.noise_variance, self.noise = np.ones(1), 0.0, np.full(1, UNIFORM_STD)
            self.log = FittingLog()
            return self
        eigenvalues, eigenvectors = np.linalg.eigh(correlation_of_pairs(normal))
        largest = min(float(eigenvalues[-1]), float(metrics))
        # A little noise is left even where all metrics agree, so that the posterior is always defined.
        self.noise_variance = max((metrics - largest) / (metrics - 1), 1e-6)
        direction = eigenvectors[:, -1] * (1.0 if eigenvectors[:, -1].sum() >= 0 else -1.0)
        against = direction < -1e-9
        self.loadings = np.maximum(direction, 0.0) * np.sqrt(max(largest - self.noise_variance, 0.0))
        ranks = self.scaling(scores)
        self.noise = np.sqrt(np.nanmean((ranks - self.predict(scores)[:, None]) ** 2, axis=0))
        opposed = [name for name, opposes in zip(names, against, strict=True) if opposes]
        message = f"{', '.join(opposed)}: against the first principal component, so left out with weight 0"
        self.log = FittingLog(messages=(message,) if opposed else ())
        return self

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the mean of Φ(s), (N,), given each row's scores."""
        mean, variance = self._posterior(scores)
        fused: FloatArray = ndtr(mean / np.sqrt(1.0 + variance))
        return fused

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation of Φ(s), (N,) each; the latter is 0.289 with one metric."""
        mean, variance = self._posterior(scores)
        argument = mean / np.sqrt(1.0 + variance)
        fused = ndtr(argument)
        if len(self.loadings) == 1:
            return fused, np.full(len(scores), UNIFORM_STD)
        # The mean of Φ(s)² is P(a, b < s) for two more standard normals: Owen (1980), 10,010.8 and 20,010.4.
        square = fused - 2.0 * owens_t(argument, 1.0 / np.sqrt(1.0 + 2.0 * variance))
        return fused, np.sqrt(np.maximum(square - fused**2, 0.0))

    def weights(self, scores: FloatArray) -> FloatArray:
        """Return each metric's loading as a share (N, M) of the loadings of the scores that the row has."""
        return _weights_of_present(scores, self.loadings)

    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return each metric's noise (N, M), the same for all images; NaN where the score is missing."""
        return np.where(np.isnan(scores), np.nan, self.noise)

    def summary(self) -> Mapping[str, FloatArray]:
        """Return ``loading``, of the standardised normal scores, and ``noise``, on the fused scale."""
        return {"loading": self.loadings, "noise": self.noise}

    def state(self) -> State:
        """Return the distribution functions, the standardisation, the loadings and the noise."""
        arrays = {"loadings": self.loadings, "centre": self.centre, "spread": self.spread, "noise": self.noise}
        return {**self.scaling.state(), **arrays}, {"noise_variance": self.noise_variance}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the fitted method again from what ``state`` returned."""
        method = cls()
        method.scaling = EmpiricalDistribution.from_state(arrays)
        method.loadings, method.noise = arrays["loadings"], arrays["noise"]
        method.centre, method.spread = arrays["centre"], arrays["spread"]
        method.noise_variance = float(settings["noise_variance"])
        method.log = FittingLog()
        return method

    def _normal_scores(self, scores: FloatArray) -> FloatArray:
        """Standardised normal scores (N, M); those beyond the training range end half a rank from it."""
        end = 0.5 / np.array([len(column) for column in self.scaling.sorted_scores])
        normal: FloatArray = ndtri(np.clip(self.scaling(scores), end, 1.0 - end))
        return (normal - self.centre) / self.spread

    def _posterior(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance (N,) each of s given the scores of each row."""
        normal = self._normal_scores(scores)
        present = ~np.isnan(normal)
        precision = present @ self.loadings**2 + self.noise_variance
        mean = np.where(present, normal, 0.0) @ self.loadings / precision
        return mean, self.noise_variance / precision


def _weights_of_present(scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Spread metrics' weights (M,) over the scores that each row has: (N, M), 0 where missing, each row's sum is 1."""
    present = ~np.isnan(scores)
    held = np.where(present, weights, 0.0)
    total = held.sum(axis=1, keepdims=True)
    # A row whose only scores are of metrics with weight 0 weighs those alike.
    alike = present / np.maximum(present.sum(axis=1, keepdims=True), 1)
    spread: FloatArray = np.where(total > 0, held / np.where(total > 0, total, 1.0), alike)
    return spread


def _weighted_sum(weights: FloatArray, scaled: FloatArray) -> FloatArray:
    """Sum over each row (N,), where a missing score has weight 0; in [0, 1] but for rounding, which is taken off."""
    summed: FloatArray = np.clip(np.sum(weights * np.where(np.isnan(scaled), 0.0, scaled), axis=1), 0.0, 1.0)
    return summed
