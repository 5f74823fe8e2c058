"""What each metric weighs in a weighted mean of ranks, from how the metrics correlate, and nothing else."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from map_score_fusion.methods.base import FloatArray
from map_score_fusion.metric_errors import relative_to_best

DOUBT = 1.0
"""κ: variance of what is not known of a metric's correlation with quality, against the variance of its ranks."""

AGREEMENT_POWER = 1.25
"""Of a metric's relative agreement: its correlation with quality, as far as can be told without ratings."""

KINSHIP_POWER = 128.0
"""Of the correlation of two metrics: how far what is not known of one is not known of the other. 0.28 at 0.99."""

EVENNESS = 1e-3
"""Divides a weight evenly among metrics that are the same."""


def metric_weights(correlation: FloatArray, agreement: FloatArray) -> FloatArray:
    """Return each metric's weight in the best weighted mean of ranks, (M,), at least 0, with sum 1.

    With C the correlations of the metrics' ranks and a what their correlations with quality are thought to be, the
    weighted mean that follows quality most closely has the weights that minimise wᵀ C w − 2 wᵀ a: the normal equations
    of a regression on a quality that nobody has seen. Where two metrics say the same, it hardly matters which of them
    is heard, and C sees to that.

    a is an estimate: a metric's agreement with others of other errors, relative to the best, to the power 1.25
    (`AGREEMENT_POWER`; its scale does not matter, and the power makes up for what the doubt takes). It is high for a
    metric that lies between all others because it is right, and for one that lies between them because it is mediocre,
    and no table without ratings can tell the two apart. So each a is taken for uncertain with the variance κ (`DOUBT`),
    which is added to the diagonal, as in a ridge regression; it draws the weights to equal ones. Near-duplicates are
    right or wrong together. Their doubts have the correlation Cⱼₖ¹²⁸ (`KINSHIP_POWER`), so that a metric and its copies
    weigh what the metric alone weighs:

        w minimises wᵀ (C + κ C^∘128) w − 2 wᵀ a over w ≥ 0, and is scaled to a sum of 1.

    Equal correlations give equal weights: the mean of ranks. So do two metrics, whatever their correlation.

    Args:
        correlation: Correlation of the metrics' ranks, (M, M). Negative ones count as 0.
        agreement: Each metric's agreement with metrics of other errors, (M,), as `shared_errors` finds it.
    """
    positive = np.clip(correlation, 0.0, 1.0)
    quadratic = positive + DOUBT * positive**KINSHIP_POWER
    # Correlations of pairs, some of them clipped, need not be those of any table.
    values, vectors = np.linalg.eigh(quadratic)
    root = (vectors * np.sqrt(np.maximum(values, 0.0) + EVENNESS)).T
    expected = relative_to_best(agreement) ** AGREEMENT_POWER
    right: NDArray[np.float64] = np.linalg.solve(root.T, expected)
    weights, _ = nnls(root, right)
    total: FloatArray = weights / weights.sum()
    return total
