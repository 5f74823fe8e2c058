"""Ranks of metrics' scores, their correlation pair by pair where scores are missing, and near-duplicates."""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from map_score_fusion.methods.base import FloatArray


def normalised_ranks(values: FloatArray) -> FloatArray:
    """Return (rank − ½)/n of each column's scores among its n present ones, in (0, 1); ties share their mean rank.

    Args:
        values: Scores (N, M), NaN where missing.

    Returns:
        Ranks (N, M), NaN where missing.
    """
    ranks = np.full(values.shape, np.nan)
    for index, column in enumerate(values.T):
        present = ~np.isnan(column)
        ranks[present, index] = (rankdata(column[present]) - 0.5) / max(int(present.sum()), 1)
    return ranks


def normal_scores(values: FloatArray) -> FloatArray:
    """Return Φ⁻¹ of `normalised_ranks`, (N, M): what a monotone change of a metric leaves as it is.

    A constant column's are 0.
    """
    scores: FloatArray = ndtri(normalised_ranks(values))
    return scores


def correlation_of_pairs(scores: FloatArray) -> FloatArray:
    """Return Pearson's correlation (M, M) of each two columns over the rows that have both.

    It is 0 where it is not defined: fewer than three common rows, or a column that is constant in them. The diagonal is
    1. It costs a few products of (M, N) by (N, M) matrices.

    Args:
        scores: Shape (N, M), NaN where missing.
    """
    present = ~np.isnan(scores)
    filled, held = np.where(present, scores, 0.0), present.astype(np.float64)
    common = held.T @ held
    counts = np.maximum(common, 1.0)
    # Of column j over the rows that have k too, in entry (j, k).
    sums, squares = filled.T @ held, (filled**2).T @ held
    spread = squares - sums**2 / counts
    defined = (common >= 3) & (spread > 1e-12 * squares) & (spread.T > 1e-12 * squares.T)
    covariance = filled.T @ filled - sums * sums.T / counts
    correlation = covariance / np.sqrt(np.where(defined, spread * spread.T, 1.0))
    correlation = np.where(defined, np.clip(correlation, -1.0, 1.0), 0.0)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def spearman_with(scores: FloatArray, fused: FloatArray) -> FloatArray:
    """Return Spearman's correlation (M,) of each column (N, M) with fused scores (N,); NaN where it is not defined."""
    correlations = np.full(scores.shape[1], np.nan)
    for index, column in enumerate(scores.T):
        present = ~np.isnan(column)
        pair = np.column_stack([column[present], fused[present]])
        if len(pair) >= 3 and (pair.min(axis=0) < pair.max(axis=0)).all():
            correlations[index] = np.corrcoef(rankdata(pair, axis=0), rowvar=False)[0, 1]
    return correlations


def near_duplicates(scores: FloatArray, fused: FloatArray) -> FloatArray:
    """Return Dⱼ = Σₖ max(rⱼₖ, 0)² for each metric j, (M,), at least 1: how many metrics err as this one does.

    rⱼₖ is the correlation of what the fused score leaves over of metrics j and k (`residual_correlations`). Only what
    metrics have in common *beyond* quality makes them duplicates, and a negative correlation, which the residuals from
    a mean have among themselves, does not. Σⱼ 1/Dⱼ is the effective number of metrics.

    Args:
        scores: Oriented scores (N, M), NaN where missing, every column with one at least.
        fused: Fused scores (N,).
    """
    duplicates: FloatArray = np.sum(np.maximum(residual_correlations(scores, fused), 0.0) ** 2, axis=1)
    return duplicates


def residual_correlations(scores: FloatArray, fused: FloatArray) -> FloatArray:
    """Return the correlation (M, M) of each two metrics' normal scores after regression on those of the fused score.

    Args:
        scores: Oriented scores (N, M), NaN where missing, every column with one at least.
        fused: Fused scores (N,).
    """
    normal = normal_scores(np.column_stack([scores, fused]))
    quality = normal[:, -1]
    metrics = normal[:, :-1]
    present = ~np.isnan(metrics)
    filled = np.where(present, metrics, 0.0)
    mass = np.maximum(present.T @ quality**2, np.finfo(float).tiny)
    residuals = metrics - quality[:, None] * (filled.T @ quality / mass)
    likeness = correlation_of_pairs(residuals)
    # Metrics that equal the fused score leave nothing over; they are duplicates of each other.
    size = np.sqrt(np.nanmean(residuals**2, axis=0))
    exact = size < 1e-9
    likeness[np.ix_(exact, exact)] = 1.0
    return likeness
