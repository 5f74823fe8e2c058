"""The metrics' noise and what their errors have in common, against tables of which both are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from map_score_fusion import metric_errors
from map_score_fusion.metric_errors import (
    ANGULAR_VARIANCE,
    SharedErrors,
    angular,
    mean_square_differences,
    noise_variances,
    shared_errors,
)
from map_score_fusion.rank_correlation import correlation_of_pairs

MANY = 10**6


def counts(metrics, number=MANY):
    return np.full((metrics, metrics), number)


def independent(metrics):
    return SharedErrors(np.eye(metrics), np.full(metrics, 0.7))


def test_the_angular_scale_keeps_the_ends_and_evens_out_a_proportions_variance():
    ranks = np.linspace(0, 1, 101)
    angles = angular(ranks)
    np.testing.assert_allclose(angles[[0, 50, 100]], [0, 0.5, 1], atol=1e-15)
    np.testing.assert_allclose(np.sin(angles * np.pi / 2) ** 2, ranks, atol=1e-15)
    slope = np.gradient(angles, ranks)[10:91]
    variance = ranks[10:91] * (1 - ranks[10:91])
    assert np.ptp(slope**2 * variance) / np.mean(slope**2 * variance) < 0.02
    uniform = (np.arange(10**6) + 0.5) / 10**6
    assert np.var(angular(uniform)) == pytest.approx(ANGULAR_VARIANCE, rel=1e-5)


def test_metrics_of_independent_errors_share_none():
    loadings = np.array([0.9, 0.9, 0.9, 0.9])
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1)
    found = shared_errors(correlation, counts(4))
    np.testing.assert_allclose(found.likeness, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(found.agreement, 0.81, atol=1e-9)
    np.testing.assert_allclose(found.independence, 1)


@pytest.mark.parametrize("copies", [2, 3, 6])
def test_exact_copies_count_as_one(copies):
    # Metrics 0, 1 and 2, the last one several times.
    correlation = np.full((2 + copies, 2 + copies), 0.6)
    correlation[2:, 2:] = 1.0
    np.fill_diagonal(correlation, 1)
    found = shared_errors(correlation, counts(2 + copies))
    np.testing.assert_allclose(found.independence, [1, 1, *[1 / copies] * copies], rtol=1e-6)
    np.testing.assert_allclose(found.agreement, 0.6, rtol=1e-6)


def test_what_errors_have_in_common_grows_smoothly_with_their_correlation():
    shares = []
    for own in np.linspace(0.36, 1, 65):
        correlation = np.array([[1, 0.36, 0.36], [0.36, 1, own], [0.36, own, 1]])
        shares.append(shared_errors(correlation, counts(3)).likeness[1, 2])
    assert shares[0] == pytest.approx(0, abs=1e-6)
    assert shares[-1] == pytest.approx(1, abs=1e-6)
    steps = np.diff(shares)
    assert np.all(steps >= -1e-9)
    assert steps.max() < 0.05


def test_the_share_in_common_is_the_correlation_of_the_errors_to_a_power():
    correlation = np.array([[1, 0.5, 0.4, 0.4], [0.5, 1, 0.6, 0.5], [0.4, 0.6, 1, 0.8], [0.4, 0.5, 0.8, 1]])
    found = shared_errors(correlation, counts(4))
    explained = np.sqrt(np.outer(found.agreement, found.agreement))
    of_errors = np.clip((correlation - explained) / (1 - explained), 0, 1)
    np.testing.assert_allclose(found.likeness, of_errors**1.25, atol=1e-5)
    assert 0.4 < found.likeness[2, 3] < 0.8


def test_noise_agrees_with_nothing_and_resembles_nothing():
    correlation = np.full((4, 4), 0.7)
    correlation[3] = correlation[:, 3] = 0.0
    np.fill_diagonal(correlation, 1)
    found = shared_errors(correlation, counts(4))
    assert found.agreement[3] == 0
    np.testing.assert_allclose(found.likeness[3], [0, 0, 0, 1])
    # Nor does it change what the others are taken for.
    np.testing.assert_allclose(found.agreement[:3], 0.7, atol=1e-6)
    np.testing.assert_allclose(found.likeness[:3, :3], np.eye(3), atol=1e-6)


def test_noise_says_nothing_of_the_others_noise():
    rng = np.random.default_rng(3)
    scores = rng.uniform(size=(5000, 1)) + np.array([0.05, 0.1, 0.2, 0.3]) * rng.normal(size=(5000, 4))
    both = np.hstack([scores, rng.uniform(size=(5000, 3))])
    results = []
    for table in (scores, both):
        differences, common = mean_square_differences(table)
        results.append(noise_variances(differences, common, shared_errors(correlation_of_pairs(table), common)))
    np.testing.assert_allclose(results[1][:4], results[0], rtol=0.05, atol=0.002)


def test_a_few_images_do_not_make_a_duplicate():
    correlation = np.array([[1, 0.3, 0.3], [0.3, 1, 0.7], [0.3, 0.7, 1]])
    many, few = (shared_errors(correlation, counts(3, number)).likeness[1, 2] for number in (MANY, 5))
    assert many > 0.15
    assert few < many - 0.1
    np.testing.assert_allclose(shared_errors(correlation, counts(3, 2)).likeness, np.eye(3))


def test_mean_square_differences_are_those_of_the_common_images():
    rng = np.random.default_rng(0)
    scores = rng.uniform(size=(200, 4))
    scores[rng.uniform(size=scores.shape) < 0.3] = np.nan
    found, common = mean_square_differences(scores)
    for one in range(4):
        for other in range(4):
            both = ~np.isnan(scores[:, one]) & ~np.isnan(scores[:, other])
            assert common[one, other] == both.sum()
            assert found[one, other] == pytest.approx(np.mean((scores[both, one] - scores[both, other]) ** 2))


def test_three_metrics_are_told_apart_as_grubbs_does(monkeypatch):
    # Without the prior: psi_1 = (D_12 + D_13 - D_23)/2 and so on, the closed form of three instruments.
    monkeypatch.setattr(metric_errors, "PRIOR_WEIGHT", 1e-9)
    monkeypatch.setattr(metric_errors, "NOISE_FLOOR", 0.0)
    differences = np.array([[0, 0.05, 0.07], [0.05, 0, 0.08], [0.07, 0.08, 0]])
    found = noise_variances(differences, counts(3), independent(3))
    np.testing.assert_allclose(found, [0.02, 0.03, 0.05], rtol=1e-6)


def test_known_noise_is_found_in_simulated_scores():
    rng = np.random.default_rng(1)
    noise = np.array([0.05, 0.1, 0.1, 0.15, 0.2, 0.3])
    scores = rng.uniform(size=(100_000, 1)) + noise * rng.normal(size=(100_000, 6))
    found = noise_variances(*mean_square_differences(scores), independent(6))
    # The prior draws a few per cent of the way to the mean, and the floor is half of it.
    floor = metric_errors.NOISE_FLOOR * np.mean(noise**2)
    np.testing.assert_allclose(found - floor, noise**2, atol=0.12 * np.mean(noise**2))
    assert np.all(np.diff(found)[[0, 2, 3, 4]] > 0)


def test_it_minimises_what_it_says():
    rng = np.random.default_rng(2)
    scores = rng.uniform(size=(500, 1)) + rng.uniform(0.05, 0.3, size=5) * rng.normal(size=(500, 5))
    differences, common = mean_square_differences(scores)
    likeness = np.eye(5) + 0.5 * np.eye(5, k=1) + 0.5 * np.eye(5, k=-1)
    independence = 1 / likeness.sum(axis=1)
    pairs = np.triu(np.outer(independence, independence) * (1 - likeness), 1)
    mean = (pairs * differences).sum() / pairs.sum() / 2

    def objective(values):
        misfit = (differences - values[:, None] - values[None, :]) ** 2
        return (pairs * misfit).sum() + metric_errors.PRIOR_WEIGHT * (independence * (values - mean) ** 2).sum()

    oracle = minimize(objective, np.full(5, mean), bounds=[(0, None)] * 5, tol=1e-14)
    found = noise_variances(differences, common, SharedErrors(likeness, np.ones(5)))
    np.testing.assert_allclose(found - metric_errors.NOISE_FLOOR * mean, oracle.x, atol=1e-4 * mean + 1e-5)


def test_of_two_metrics_nobody_knows_which_one_errs():
    differences = np.array([[0, 0.08], [0.08, 0]])
    found = noise_variances(differences, counts(2), independent(2))
    assert found[0] == pytest.approx(found[1])
    assert found[0] == pytest.approx(0.04 * 1.5)  # half of it more, for what both have in common


def test_near_duplicates_do_not_vouch_for_each_other():
    # A Heywood case: two copies that hardly differ would get no noise at all, and all the weight.
    differences = np.array([[0, 1e-6, 0.1], [1e-6, 0, 0.1], [0.1, 0.1, 0]])
    likeness = np.array([[1, 0.999, 0], [0.999, 1, 0], [0, 0, 1]])
    found = noise_variances(differences, counts(3), SharedErrors(likeness, np.ones(3)))
    assert found[0] == pytest.approx(found[2], rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_table_has_positive_noise_whatever_the_order_of_its_columns(metrics, rows, seed):
    rng = np.random.default_rng(seed)
    scores = rng.choice([0.0, 0.2, 0.5, 0.9, 1.0, np.nan], size=(rows, metrics))
    order = rng.permutation(metrics)
    results = []
    for table in (scores, scores[:, order]):
        differences, common = mean_square_differences(table)
        shared = shared_errors(correlation_of_pairs(table), common)
        found = noise_variances(differences, common, shared)
        assert np.all(np.isfinite(found) & (found > 0))
        assert np.all((shared.likeness >= 0) & (shared.likeness <= 1))
        assert np.all((shared.agreement >= 0) & (shared.agreement <= 1))
        results.append(found)
    np.testing.assert_allclose(results[0][order], results[1], rtol=1e-4, atol=1e-9)
