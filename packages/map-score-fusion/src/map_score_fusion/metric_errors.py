"""How much each metric errs, and which metrics err alike, from nothing but how they differ from each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from map_score_fusion.methods.base import FloatArray

PRIOR_WEIGHT = 0.125
"""Weight of the prior "all metrics are equally noisy" against one pair of independent metrics."""

NOISE_FLOOR = 0.5
"""What is added to every metric's noise variance, as a share of the mean: errors that all metrics have in common."""

LIKENESS_POWER = 1.25
"""Of the correlation of two metrics' errors: what share of their errors counts as the same."""

VOICE_POWER = 4.0
"""How fast a metric's voice nears its full strength as it agrees with the others; see `voices`."""

ANGULAR_VARIANCE = 0.25 - 2.0 / np.pi**2
"""Variance of a uniform rank on the angular scale."""

RANK_VARIANCE = 1.0 / 12.0
"""Variance of normalised ranks: a metric's noise where no pair of metrics tells."""

MAX_ITERATIONS = 1000
TOLERANCE = 1e-10


def angular(ranks: FloatArray) -> FloatArray:
    """Return (2/π) arcsin √r of normalised ranks r in [0, 1]: ranks on a scale on which their errors are even.

    A rank is a proportion, of the images that are worse. Metrics agree on the best and the worst images far better than
    on those between, as r (1 − r) says, which this transformation of proportions evens out (M. S. Bartlett, "The Use of
    Transformations", Biometrics 3, 1947). 0, ½ and 1 stay.
    """
    angles: FloatArray = np.arcsin(np.sqrt(ranks)) * (2.0 / np.pi)
    return angles


@dataclass(frozen=True)
class SharedErrors:
    """Which metrics share their errors.

    Attributes:
        likeness: Share of the error variance that two metrics have in common, (M, M), in [0, 1], 1 on the diagonal.
        agreement: Mean correlation of each metric with the metrics that it does not share its errors with, (M,), in
            [0, 1]; what a metric's correlation with quality is to the rest's. 0 where there is no such metric.
    """

    likeness: FloatArray
    agreement: FloatArray

    @property
    def independence(self) -> FloatArray:
        """What each metric counts for, (M,): 1 for one of its own kind, 1/k for each of k exact duplicates."""
        counts: FloatArray = 1.0 / self.likeness.sum(axis=1)
        return counts


def relative_to_best(agreement: FloatArray) -> FloatArray:
    """Return each metric's agreement relative to the best, (M,), in [0, 1]; all 1 where none agrees with any."""
    best = agreement.max()
    relative: FloatArray = agreement / best if best > 0.0 else np.ones_like(agreement)
    return relative


def voices(agreement: FloatArray) -> FloatArray:
    """Return how far each metric is heard on the others' errors, (M,), in [0, 1].

    A metric that agrees with none tells nothing about the others: to noise all are equally far off. One of half the
    best one's agreement is heard to 94 %, one of a hundredth to 4 %.
    """
    heard: FloatArray = 1.0 - (1.0 - relative_to_best(agreement)) ** VOICE_POWER
    return heard


def shared_errors(correlation: FloatArray, common: NDArray[np.int64]) -> SharedErrors:
    """Find the metrics that agree more closely than their agreement with all others explains.

    Were the errors of metrics j and k independent, their correlation would be about √(aⱼ aₖ), where aⱼ is the mean
    correlation of metric j with metrics of independent errors. What exceeds that, e = (ρⱼₖ − √(aⱼ aₖ)) /
    (1 − √(aⱼ aₖ)), is the correlation of their errors, and e^1.25 (`LIKENESS_POWER`, with a correction for few images)
    the share that they have in common. aⱼ is a mean over the other metrics, weighted by what is not in common with them
    and by their `voices`, so likeness and agreement are found together, by repeating. No threshold divides
    near-duplicates from the rest.

    Args:
        correlation: Correlation of the metrics' ranks, (M, M). Negative ones count as 0.
        common: On how many images each correlation rests, (M, M).
    """
    metrics = len(correlation)
    positive = np.clip(correlation, 0.0, 1.0)
    others = 1.0 - np.eye(metrics)
    # The adjusted coefficient of determination: the square of a correlation that is 0 has the mean 1/(n − 1).
    inflation = np.where(common > 2, (common - 1.0) / np.maximum(common - 2.0, 1.0), np.inf)
    likeness = np.eye(metrics)
    agreement = np.ones(metrics)
    for _ in range(MAX_ITERATIONS):
        weight = others * (1.0 - likeness) * voices(agreement) / likeness.sum(axis=1)
        total = weight.sum(axis=1)
        agreement = np.where(total > 1e-9, (weight * positive).sum(axis=1) / np.maximum(total, 1e-9), 0.0)
        explained = np.sqrt(np.outer(agreement, agreement))
        excess = np.clip((positive - explained) / np.maximum(1.0 - explained, 1e-9), 0.0, 1.0)
        unexplained = 1.0 - excess**LIKENESS_POWER
        # No inflation of what is not there: an exact duplicate has nothing unexplained.
        square = np.clip(1.0 - np.where(unexplained > 0.0, unexplained * np.minimum(inflation, 1e12), 0.0), 0.0, 1.0)
        np.fill_diagonal(square, 1.0)
        step = 0.5 * (square - likeness)
        likeness = likeness + step
        if np.abs(step).max() < TOLERANCE:
            break
    return SharedErrors(likeness, agreement)


def mean_square_differences(scores: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return E(xⱼ − xₖ)² over the images that have both scores, (M, M), 0 where none has, and their number (M, M).

    Args:
        scores: Scores on one scale (N, M), NaN where missing.
    """
    present = ~np.isnan(scores)
    filled, held = np.where(present, scores, 0.0), present.astype(np.float64)
    common = held.T @ held
    squares = (filled**2).T @ held
    differences = np.maximum(squares + squares.T - 2.0 * filled.T @ filled, 0.0) / np.maximum(common, 1.0)
    return differences, np.rint(common).astype(np.int64)


def noise_variances(differences: FloatArray, common: NDArray[np.int64], shared: SharedErrors) -> FloatArray:
    """Split the differences between metrics into each metric's own noise variance, (M,), positive.

    Where the errors of metrics j and k about the common quality are independent, E(xⱼ − xₖ)² = ψⱼ + ψₖ: with three
    metrics or more their noise can be told apart without knowing the quality (F. E. Grubbs, "On Estimating Precision
    of Measuring Instruments and Product Variability", JASA 43, 1948). ψ ≥ 0 minimises

        Σ_{j<k} wⱼₖ (Dⱼₖ − ψⱼ − ψₖ)² + λ Σⱼ oⱼ (ψⱼ − ψ̄)²,   wⱼₖ = oⱼ vⱼ oₖ vₖ (1 − likenessⱼₖ),

    with o the metrics' independence, so that a group of duplicates speaks once and says nothing of itself, v their
    voices, so that noise says nothing of others, and ψ̄ half the weighted mean of D. The prior (λ = `PRIOR_WEIGHT`)
    decides where pairs do not: of two metrics, or of two groups of duplicates, nobody can say which one errs. No metric
    is judged by a fused score that it had part in, so none can draw the score to itself; and `NOISE_FLOOR` of the mean
    is added to each.

    Args:
        differences: E(xⱼ − xₖ)², (M, M).
        common: On how many images each rests, (M, M); a pair without images is left out.
        shared: What the metrics' errors have in common.
    """
    independence, voice = shared.independence, shared.independence * voices(shared.agreement)
    pairs = np.outer(voice, voice) * (1.0 - shared.likeness) * (common > 0)
    np.fill_diagonal(pairs, 0.0)
    mean = (pairs * differences).sum() / pairs.sum() / 2.0 if pairs.sum() > 1e-9 else RANK_VARIANCE
    normal = pairs + np.diag(pairs.sum(axis=1) + PRIOR_WEIGHT * independence)
    right = (pairs * differences).sum(axis=1) + PRIOR_WEIGHT * independence * mean
    factor = np.linalg.cholesky(normal)
    variances, _ = nnls(factor.T, np.linalg.solve(factor, right))
    # Ranks are known to one part in their number: not even metrics that never differ are without noise.
    resolution = 1.0 / (12.0 * max(float(common.max()), 1.0) ** 2)
    found: FloatArray = variances + NOISE_FLOOR * mean + resolution
    return found
