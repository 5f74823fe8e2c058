"""The default method: a robust mean of ranks, in which a metric counts for what it adds and for how little it errs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import isotonic_regression

from map_score_fusion.methods.base import FittingLog, FloatArray, FusionMethod, State
from map_score_fusion.metric_errors import (
    SharedErrors,
    mean_square_differences,
    noise_variances,
    relative_to_best,
    shared_errors,
)
from map_score_fusion.metric_weights import metric_weights
from map_score_fusion.rank_correlation import correlation_of_pairs
from map_score_fusion.scaling import EmpiricalDistribution

DEGREES_OF_FREEDOM = 12.0
"""Of the Student t distribution of a metric's errors: a metric that is far off counts little for that image."""

SMALLEST_WEIGHT = 1e-6
"""Of a metric that is not needed beside the others, so that an image that has no other score still gets one."""

ROWS_AT_A_TIME = 8192
MAX_STEPS = 500
TOLERANCE = 1e-9

NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(64)
NODES, NODE_WEIGHTS = (NODES + 1.0) / 2.0, NODE_WEIGHTS / 2.0

CURVE_BINS = 64
CURVE_WIDTH = 2.0
"""Bins of the fused score that the reported curves are counted in, and the smoothing over them, in bins."""


class Robust(FusionMethod):
    """A weighted mean of the metrics' ranks, in which a score that is far off for its image counts for less.

    A rank among the training images, xᵢⱼ in [0, 1], is the image's quality zᵢ plus a t-distributed error of scale √ψⱼ
    with 12 degrees of freedom; the prior of z is uniform on [0, 1], as in the paper. Metric j's likelihood is raised to
    the power eⱼ ∝ wⱼ ψⱼ. So where the metrics agree on an image, its fused score is the mean of its ranks with the
    weights wⱼ of `metric_weights`: those of the best weighted mean, drawn to equal ones as far as the table leaves in
    doubt which metrics are right. Two metrics, and any number of equally correlated ones, weigh the same.
    `metric_errors` says where ψ comes from: pairs of metrics; and no metric is judged by a score that it had part in,
    so that nothing can collapse onto one metric. The powers eⱼ have the sum Σⱼ oⱼ aⱼ, the number of metrics that err on
    their own, as far as they agree with the best: near-duplicates are one witness, noise is none.

    The fused score is the mode that lies nearest to the weighted mean (found by iteratively reweighted means: K. L.
    Lange, R. J. A. Little, J. M. G. Taylor, "Robust Statistical Modeling Using the t Distribution", JASA 84, 1989). It
    is a weighted mean of the xᵢⱼ with weights eⱼ / ω̃ᵢⱼ², where ω̃ᵢⱼ² = (ν ψⱼ + (xᵢⱼ − zᵢ)²) / (ν + 1) estimates the
    variance of this very score's error: the score-level uncertainty. A missing score takes part with its conditional
    expectation given the image's other scores, as if all were jointly normal. The standard deviation is that of the
    posterior given the scores that are there (of near-duplicates of which one is missing the others have its part of
    the voice), by Gauss-Legendre quadrature with 64 nodes.

    Nothing is random. Fitting costs O(N M² + M³), predicting O(N M), and O(M³) for a row with missing scores.

    Attributes:
        scaling: The training images' ranks.
        metric_weights: w, (M,), sum 1.
        variances: ψ, (M,).
        likeness: Share of the errors that two metrics have in common, (M, M).
        agreement: Mean correlation with metrics of other errors, (M,).
        means: Mean of each metric's ranks, (M,).
        covariance: Their covariance, (M, M), positive definite.
        fitted_curves: Median and central 68 % of the metrics' ranks for fused scores from 0 to 1, (3, B, M).
    """

    name: ClassVar[str] = "robust"
    log: FittingLog
    scaling: EmpiricalDistribution
    metric_weights: FloatArray
    variances: FloatArray
    likeness: FloatArray
    agreement: FloatArray
    means: FloatArray
    covariance: FloatArray
    fitted_curves: FloatArray

    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:  # noqa: ARG002
        """Learn the ranks, the metrics' noise and which of them err alike."""
        self.scaling = EmpiricalDistribution.fit(scores)
        ranks = self.scaling(scores)
        differences, common = mean_square_differences(ranks)
        correlation = correlation_of_pairs(ranks)
        shared = shared_errors(correlation, common)
        self.likeness, self.agreement = shared.likeness, shared.agreement
        self.variances = noise_variances(differences, common, shared)
        self.metric_weights = metric_weights(correlation, shared.agreement)
        self.means = np.nanmean(ranks, axis=0)
        self.covariance = _covariance(correlation, np.nanstd(ranks, axis=0), common)
        self.fitted_curves = _curves(ranks, self.predict(scores))
        self.log = FittingLog()
        return self

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the fused score (N,) of each row."""
        return np.concatenate([np.empty(0), *(fused for _, _, fused in self._solve(scores))])

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the fused scores (N,) and the posterior's standard deviations (N,)."""
        fused, deviations = [np.empty(0)], [np.empty(0)]
        for ranks, present, solution in self._solve(scores):
            fused.append(solution)
            deviations.append(self._posterior_std(ranks, present))
        return np.concatenate(fused), np.concatenate(deviations)

    def weights(self, scores: FloatArray) -> FloatArray:
        """Return each metric's weight (N, M) in the weighted mean that the fused score is.

        The weight of a missing score is divided among those that it was expected from, by their positive coefficients.
        """
        found = [np.empty(scores.shape)[:0]]
        for ranks, present, solution in self._solve(scores):
            precisions = self._exponents / self._score_variances(ranks, solution)
            weights = precisions / precisions.sum(axis=1, keepdims=True)
            rows = np.flatnonzero(~present.all(axis=1))
            if rows.size:
                weights[rows] = self._passed_on(weights[rows], present[rows])
            found.append(weights)
        return np.concatenate(found)

    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return ω̃ (N, M), the estimated standard deviation of each score's error; NaN where the score is missing."""
        found = [np.empty(scores.shape)[:0]]
        for ranks, present, solution in self._solve(scores):
            found.append(np.where(present, np.sqrt(self._score_variances(ranks, solution)), np.nan))
        return np.concatenate(found)

    def summary(self) -> Mapping[str, FloatArray]:
        """Return each metric's ``noise`` √ψ, its ``independence`` and its ``agreement`` with the others."""
        independence = SharedErrors(self.likeness, self.agreement).independence
        return {"noise": np.sqrt(self.variances), "independence": independence, "agreement": self.agreement}

    def curves(self, grid: FloatArray) -> Mapping[str, FloatArray]:
        """Return the median, and the central 68 %, of the training scores about each fused score of the grid."""
        middles = (np.arange(CURVE_BINS) + 0.5) / CURVE_BINS
        named = zip(("expected", "lower", "upper"), self.fitted_curves, strict=True)
        return {
            name: self.scaling.inverse(np.column_stack([np.interp(grid, middles, column) for column in curve.T]))
            for name, curve in named
        }

    def state(self) -> State:
        """Return the maps and what was found of the metrics' errors."""
        return {
            **self.scaling.state(),
            "metric_weights": self.metric_weights,
            "variances": self.variances,
            "likeness": self.likeness,
            "agreement": self.agreement,
            "means": self.means,
            "covariance": self.covariance,
            "fitted_curves": self.fitted_curves,
        }, {}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Make the fitted method again from what ``state`` returned."""
        method = cls()
        method.scaling = EmpiricalDistribution.from_state(arrays)
        method.metric_weights, method.variances = arrays["metric_weights"], arrays["variances"]
        method.likeness = arrays["likeness"]
        method.agreement, method.fitted_curves = arrays["agreement"], arrays["fitted_curves"]
        method.means, method.covariance = arrays["means"], arrays["covariance"]
        method.log = FittingLog()
        return method

    @property
    def _exponents(self) -> FloatArray:
        """The power of each metric's likelihood, (M,), not quite 0."""
        powers = np.maximum(self.metric_weights, SMALLEST_WEIGHT) * self.variances
        witnesses = (relative_to_best(self.agreement) / self.likeness.sum(axis=1)).sum()
        exponents: FloatArray = powers * (witnesses / powers.sum())
        return exponents

    def _solve(self, scores: FloatArray) -> Iterator[tuple[FloatArray, NDArray[np.bool_], FloatArray]]:
        """Yield, for rows at a time: ranks, expected where missing; which are not missing; the fused scores."""
        all_ranks = self.scaling(scores)
        for start in range(0, len(scores), ROWS_AT_A_TIME):
            ranks = all_ranks[start : start + ROWS_AT_A_TIME]
            present = ~np.isnan(ranks)
            rows = np.flatnonzero(~present.all(axis=1))
            if rows.size:
                ranks[rows] = self._completed(ranks[rows], present[rows])
            yield ranks, present, self._mode(ranks)

    def _completed(self, ranks: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
        """Return ranks (R, M) with the expectation of each missing one given the row's others."""
        deviations = np.where(present, ranks - self.means, 0.0)
        solved = np.empty_like(deviations)
        for rows in self._few_rows(len(ranks)):
            systems = self._covariance_of_present(present[rows])
            solved[rows] = np.linalg.solve(systems, deviations[rows, :, None])[..., 0]
        expected = np.clip(self.means + solved @ self.covariance, 0.0, 1.0)
        return np.where(present, ranks, expected)

    def _passed_on(self, weights: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
        """Return weights (R, M) with those of missing scores divided among the scores that are there."""
        passed = np.empty_like(weights)
        for rows in self._few_rows(len(weights)):
            held = present[rows]
            # Coefficient of score k (there) in the expectation of score j (missing), in entry (row, k, j).
            coefficients = np.linalg.solve(
                self._covariance_of_present(held), np.where(held[:, :, None], self.covariance, 0.0)
            )
            shares = np.maximum(coefficients, 0.0) * held[:, :, None] + np.finfo(float).tiny * held[:, :, None]
            shares = shares / shares.sum(axis=1, keepdims=True)
            missing = np.where(held, 0.0, weights[rows])
            passed[rows] = np.where(held, weights[rows] + (shares @ missing[:, :, None])[..., 0], 0.0)
        total: FloatArray = passed.sum(axis=1, keepdims=True)
        return passed / total

    def _covariance_of_present(self, present: NDArray[np.bool_]) -> FloatArray:
        """Return, for each row, the covariance with the missing metrics' rows and columns those of the unit matrix."""
        both = present[:, :, None] & present[:, None, :]
        return np.where(both, self.covariance, np.eye(len(self.means)))

    def _few_rows(self, rows: int) -> Iterator[slice]:
        """Slices so short that a matrix (M, M) for each of their rows takes some 16 MB."""
        step = max(1, 2_000_000 // len(self.means) ** 2)
        return (slice(start, start + step) for start in range(0, rows, step))

    def _mode(self, ranks: FloatArray) -> FloatArray:
        """Return the mode (N,) nearest to the weighted mean, each row iterated until it no longer moves."""
        exponents = self._exponents[:, None]
        variances = DEGREES_OF_FREEDOM * self.variances[:, None]
        # A metric a row: sums over the metrics then run along contiguous memory.
        moving_ranks = np.ascontiguousarray(ranks.T)
        precisions = exponents / variances
        fused: FloatArray = (precisions / precisions.sum() * moving_ranks).sum(axis=0)
        moving, before, still = np.arange(len(fused)), fused, np.ones(len(fused), dtype=np.bool_)
        for _ in range(MAX_STEPS):
            # Weights up to a factor of ν + 1.
            weights = moving_ranks - before
            weights *= weights
            weights += variances
            np.divide(exponents, weights, out=weights)
            total = weights.sum(axis=0)
            weights *= moving_ranks
            # A row that has come to rest stays there, whatever rows it is computed with.
            after = np.where(still, weights.sum(axis=0) / total, before)
            still &= np.abs(after - before) > TOLERANCE
            fused[moving] = after
            if not still.any():
                break
            if still.mean() < 0.7:  # not at every step: leaving rows out costs a copy
                moving, after, moving_ranks = moving[still], after[still], moving_ranks[:, still]
                still = still[still]
            before = after
        return np.clip(fused, 0.0, 1.0)

    def _score_variances(self, ranks: FloatArray, fused: FloatArray) -> FloatArray:
        """Return ω̃² (N, M) of scores about fused scores (N,)."""
        squares = (ranks - fused[:, None]) ** 2
        variances: FloatArray = (DEGREES_OF_FREEDOM * self.variances + squares) / (DEGREES_OF_FREEDOM + 1.0)
        return variances

    def _posterior_std(self, ranks: FloatArray, present: NDArray[np.bool_]) -> FloatArray:
        """Return the standard deviation (N,) of the posterior of z under a uniform prior, given what is present."""
        # Of near-duplicates of which one is missing, the others have its part of the voice that they share.
        voices = self._exponents * self.likeness.sum(axis=1)
        exponents = present * voices / np.maximum(present @ self.likeness, 1.0)
        log_posterior = np.zeros((len(ranks), NODES.size))
        for metric, variance in enumerate(self.variances):
            squares = (ranks[:, metric, None] - NODES) ** 2
            log_density = np.log1p(squares / (DEGREES_OF_FREEDOM * variance))
            log_posterior -= exponents[:, metric, None] * (0.5 * (DEGREES_OF_FREEDOM + 1.0)) * log_density
        posterior = np.exp(log_posterior - log_posterior.max(axis=1, keepdims=True)) * NODE_WEIGHTS
        posterior /= posterior.sum(axis=1, keepdims=True)
        mean = posterior @ NODES
        deviations: FloatArray = np.sqrt(np.sum(posterior * (NODES - mean[:, None]) ** 2, axis=1))
        return deviations


def _covariance(correlation: FloatArray, deviations: FloatArray, common: NDArray[np.int64]) -> FloatArray:
    """Return a positive definite covariance from correlations of pairs, the less trusted the fewer images they rest on.

    The correlations are shrunk as if M + 1 images more had shown none; those of pairs need not be those of any table,
    and eigenvalues below a thousandth are raised to that.
    """
    metrics = len(deviations)
    shrunk = np.where(np.eye(metrics) > 0.0, 1.0, correlation * common / (common + metrics + 1.0))
    values, vectors = np.linalg.eigh(shrunk)
    positive = (vectors * np.maximum(values, 1e-3)) @ vectors.T
    sizes = np.maximum(deviations, 1e-3)
    covariance: FloatArray = positive * np.outer(sizes, sizes)
    return covariance


def _curves(ranks: FloatArray, fused: FloatArray) -> FloatArray:
    """Return the median and the central 68 % of each metric's ranks, (3, B, M), over B bins of the fused score.

    Made to never fall, as a metric's curve over quality does not, by isotonic regression weighted by the images, so
    that a bin of few does not lift all above it.
    """
    edges = np.linspace(0.0, 1.0, CURVE_BINS + 1)
    curves = np.empty((3, CURVE_BINS, ranks.shape[1]))
    for metric, column in enumerate(ranks.T):
        present = ~np.isnan(column)
        counts, _, _ = np.histogram2d(fused[present], column[present], bins=(edges, edges))
        # As wide as the whole scale at the last: no bin is empty.
        smooth = gaussian_filter1d(counts, CURVE_WIDTH, axis=0, mode="nearest")
        smooth += 1e-9 * counts.sum(axis=0)
        shares = np.cumsum(smooth, axis=1) / smooth.sum(axis=1, keepdims=True)
        for curve, quantile in enumerate((0.5, 0.16, 0.84)):
            values = [np.interp(quantile, np.concatenate([[0.0], row]), edges) for row in shares]
            curves[curve, :, metric] = isotonic_regression(values, weights=smooth.sum(axis=1)).x
    return curves
