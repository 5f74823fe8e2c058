"""The metrics' weights against direct minimisation, closed forms, and the cases in which nobody can know better."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from map_score_fusion import metric_weights as module
from map_score_fusion.metric_errors import relative_to_best, shared_errors
from map_score_fusion.metric_weights import metric_weights

FOUR = np.array([[1.0, 0.9, 0.7, 0.4], [0.9, 1.0, 0.6, 0.5], [0.7, 0.6, 1.0, 0.3], [0.4, 0.5, 0.3, 1.0]])


def weights_of(correlation):
    correlation = np.asarray(correlation, dtype=float)
    agreement = shared_errors(correlation, np.full(correlation.shape, 10**6)).agreement
    return metric_weights(correlation, agreement)


def test_it_minimises_what_it_says():
    agreement = np.array([0.7, 0.65, 0.55, 0.2])
    quadratic = FOUR + module.DOUBT * FOUR**module.KINSHIP_POWER + module.EVENNESS * np.eye(4)
    expected = relative_to_best(agreement) ** module.AGREEMENT_POWER

    def objective(weights):
        return weights @ quadratic @ weights - 2 * weights @ expected

    oracle = minimize(objective, np.full(4, 0.1), bounds=[(0, None)] * 4, tol=1e-14).x
    np.testing.assert_allclose(metric_weights(FOUR, agreement), oracle / oracle.sum(), atol=1e-4)


def test_the_constants_are_those_that_were_measured():
    # Two metrics that correlate by 0.99, and a third one, with agreements of 1, 1 and 1/2: by Cramer's rule.
    correlation = np.array([[1, 0.99, 0.4], [0.99, 1, 0.4], [0.4, 0.4, 1]])
    shared, own, third = 0.99 + 0.99**128, 2.001, 0.5**1.25
    determinant = (own + shared) * own - 2 * 0.4**2
    twin, single = (own - 0.4 * third) / determinant, ((own + shared) * third - 2 * 0.4) / determinant
    expected = np.array([twin, twin, single]) / (2 * twin + single)
    np.testing.assert_allclose(metric_weights(correlation, np.array([0.8, 0.8, 0.4])), expected, rtol=1e-3)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9, 0.999, 1.0, -0.5])
@pytest.mark.parametrize("metrics", [1, 2, 5])
def test_equally_correlated_metrics_weigh_the_same(metrics, correlation):
    table = np.full((metrics, metrics), correlation)
    np.fill_diagonal(table, 1)
    np.testing.assert_allclose(weights_of(table), 1 / metrics, rtol=1e-6)


@pytest.mark.parametrize("copies", [1, 3, 20])
@pytest.mark.parametrize("copied", range(4))
def test_a_metric_and_its_copies_weigh_what_the_metric_weighs(copied, copies):
    agreement = np.array([0.7, 0.65, 0.55, 0.3])
    rows = [*range(4), *[copied] * copies]
    alone, together = metric_weights(FOUR, agreement), metric_weights(FOUR[np.ix_(rows, rows)], agreement[rows])
    group = np.array(rows) == copied
    assert together[group].sum() == pytest.approx(alone[copied], rel=0.005)
    np.testing.assert_allclose(together[group], alone[copied] / (copies + 1), rtol=0.01)
    np.testing.assert_allclose(together[~group], np.delete(alone, copied), rtol=0.005)


def test_metrics_that_agree_closely_are_not_copies():
    # What is right is alike: three metrics that agree by 0.9 keep most of their three votes against one other.
    correlation = np.full((4, 4), 0.9)
    correlation[3] = correlation[:, 3] = 0.6
    np.fill_diagonal(correlation, 1)
    assert 0.6 < weights_of(correlation)[:3].sum() < 0.75


def test_a_metric_between_two_others_is_not_taken_for_the_truth():
    # The one that correlates with both may be right or mediocre. Noise from pairs gives it two thirds of the weight.
    between = weights_of([[1, 0.73, 0.80], [0.73, 1, 0.54], [0.80, 0.54, 1]])
    assert between.argmax() == 0
    assert between.max() < 0.45
    assert between.min() > 0.25


def test_of_independent_errors_the_larger_ones_weigh_less():
    loadings = np.sqrt(1 / (1 + 12 * np.array([0.05, 0.1, 0.1, 0.2, 0.3]) ** 2))
    correlation = np.outer(loadings, loadings)
    np.fill_diagonal(correlation, 1)
    weights = weights_of(correlation)
    assert np.all(np.diff(weights)[[0, 2, 3]] < 0)
    assert weights[1] == pytest.approx(weights[2])


def test_noise_weighs_nothing():
    correlation = np.full((5, 5), 0.7)
    correlation[3:] = correlation[:, 3:] = 0.02
    np.fill_diagonal(correlation, 1)
    assert weights_of(correlation)[3:].sum() < 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_any_table_has_weights_whatever_the_order_of_its_columns(metrics, rows, seed):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(metrics, rows))
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    correlation = np.clip(factors @ factors.T + 0.2 * rng.normal(), -1, 1)  # need not be that of any table
    np.fill_diagonal(correlation, 1)
    agreement, order = rng.uniform(size=metrics), rng.permutation(metrics)
    weights = metric_weights(correlation, agreement)
    assert np.all(weights >= 0)
    assert weights.sum() == pytest.approx(1)
    moved = metric_weights(correlation[np.ix_(order, order)], agreement[order])
    np.testing.assert_allclose(weights[order], moved, atol=1e-6)
