import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from map_score_fusion.rank_correlation import (
    correlation_of_pairs,
    near_duplicates,
    normal_scores,
    normalised_ranks,
    spearman_with,
)


def with_missing(values, share, seed=0):
    return np.where(np.random.default_rng(seed).uniform(size=values.shape) < share, np.nan, values)


def test_ranks_count_from_the_worst_and_share_ties():
    values = np.array([[3.0, 1.0], [1.0, np.nan], [1.0, 0.0], [7.0, 5.0]])
    np.testing.assert_allclose(normalised_ranks(values), [[0.625, 0.5], [0.25, np.nan], [0.25, 1 / 6], [0.875, 5 / 6]])


def test_normal_scores_are_the_normal_quantiles_of_the_ranks():
    values = with_missing(np.random.default_rng(1).exponential(size=(50, 3)), 0.2)
    np.testing.assert_allclose(normal_scores(values), norm.ppf(normalised_ranks(values)))
    np.testing.assert_allclose(normal_scores(np.exp(values)), normal_scores(values))


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_correlations_are_those_of_numpy_on_the_common_rows(share):
    rng = np.random.default_rng(2)
    values = with_missing(rng.normal(size=(80, 1)) + rng.normal(size=(80, 5)), share)
    found = correlation_of_pairs(values)
    for j in range(5):
        for k in range(5):
            common = ~np.isnan(values[:, j]) & ~np.isnan(values[:, k])
            np.testing.assert_allclose(found[j, k], np.corrcoef(values[common, j], values[common, k])[0, 1])


def test_what_has_no_correlation_counts_as_uncorrelated():
    values = np.array([[1.0, 5.0, 1.0], [2.0, 5.0, np.nan], [3.0, 5.0, np.nan], [5.0, 5.0, 2.0]])
    np.testing.assert_array_equal(correlation_of_pairs(values), np.eye(3))


def test_spearman_is_scipys():
    rng = np.random.default_rng(3)
    fused = rng.normal(size=60)
    values = with_missing(np.round(fused[:, None] + rng.normal(size=(60, 3)), 1), 0.2)
    values[:, 2] = 4.0
    found = spearman_with(values, fused)
    for index in range(2):
        held = ~np.isnan(values[:, index])
        np.testing.assert_allclose(found[index], spearmanr(values[held, index], fused[held]).statistic)
    assert np.isnan(found[2])


def errors_of(metrics, rows=20_000, seed=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 1)), 0.5 * rng.normal(size=(rows, metrics))


def test_metrics_that_err_alone_have_no_duplicates():
    quality, errors = errors_of(6)
    scores = quality + errors
    found = near_duplicates(scores, scores.mean(axis=1))
    np.testing.assert_allclose(found, 1.0, atol=0.02)


def test_copies_of_a_metric_count_once():
    quality, errors = errors_of(4)
    alone = quality + errors
    scores = np.column_stack([alone, alone[:, :1], alone[:, :1]])
    found = near_duplicates(scores, quality[:, 0])
    np.testing.assert_allclose(found, [3, 1, 1, 1, 3, 3], atol=0.02)
    np.testing.assert_allclose(np.sum(1 / found), 4, atol=0.03)


def test_a_shared_part_of_the_error_counts_in_part():
    quality, errors = errors_of(3)
    shared = 0.5 * np.random.default_rng(5).normal(size=len(quality))
    scores = quality + errors
    scores[:, :2] += shared[:, None]
    # Their residuals correlate by 1/2: each has 1 + 1/4 duplicates.
    np.testing.assert_allclose(near_duplicates(scores, quality[:, 0]), [1.25, 1.25, 1.0], atol=0.03)


def test_metrics_equal_to_the_fused_score_are_each_others_duplicates():
    scores = np.tile(np.random.default_rng(6).normal(size=(30, 1)), (1, 3))
    np.testing.assert_array_equal(near_duplicates(scores, scores[:, 0]), [3, 3, 3])
    np.testing.assert_array_equal(near_duplicates(scores[:, :1], scores[:, 0]), [1])
