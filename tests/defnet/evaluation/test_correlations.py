"""Correlations against scipy and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, stats

from defnet.evaluation.correlations import correlations, logistic_band, logistic_reach
from iqa_datasets.agreement import fit_logistic, logistic


def rank_by_brute_force(values: list[float]) -> list[float]:
    return [1 + sum(v < x for v in values) + (sum(v == x for v in values) - 1) / 2 for x in values]


def tau_b_by_brute_force(x: list[float], y: list[float]) -> float:
    concordant = ties_x = ties_y = pairs = 0
    for i, j in itertools.combinations(range(len(x)), 2):
        dx, dy = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
        concordant += dx * dy
        ties_x += dx == 0
        ties_y += dy == 0
        pairs += 1
    return float(concordant / math.sqrt((pairs - ties_x) * (pairs - ties_y)))


def test_correlations_by_brute_force_with_ties() -> None:
    rng = np.random.default_rng(1)
    target = np.round(rng.uniform(1, 5, 40), 1)
    prediction = np.round(target + rng.normal(0, 0.7, 40), 1)
    found = correlations(prediction, target)
    assert found["plcc"] == pytest.approx(np.corrcoef(prediction, target)[0, 1])
    ranks = [rank_by_brute_force(x.tolist()) for x in (prediction, target)]
    assert found["srcc"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert found["krcc"] == pytest.approx(tau_b_by_brute_force(prediction.tolist(), target.tolist()))
    assert found["rmse"] == pytest.approx(math.sqrt(sum((prediction - target) ** 2) / 40))
    assert found["srcc"] == pytest.approx(stats.spearmanr(prediction, target)[0])


@pytest.mark.parametrize("direction", [1, -1])
def test_logistic_plcc_undoes_a_logistic_and_recovers_it(direction: int) -> None:
    x = np.linspace(-3, 3, 60)
    y = 1.2 + 3.5 / (1 + np.exp(-direction * (x - 0.4) / 0.5))
    found = correlations(x, y)
    # It has the sign of the association.
    assert found["plcc_logistic"] == pytest.approx(direction, abs=1e-6)
    assert abs(found["plcc"]) < 0.99
    fitted = fit_logistic(x, y).parameters
    assert logistic(x, *fitted) == pytest.approx(y, abs=1e-4)
    assert sorted(fitted[:2]) == pytest.approx([1.2, 4.7], abs=1e-3)
    assert [fitted[2], abs(fitted[3])] == pytest.approx([0.4, 0.5], abs=1e-3)


def test_logistic_plcc_does_not_depend_on_the_scale_of_the_predictions() -> None:
    rng = np.random.default_rng(8)
    x = rng.uniform(1, 5, 80)
    y = 1 + 4 / (1 + np.exp(3 - x)) + rng.normal(0, 0.2, 80)
    expected = correlations(x, y)["plcc_logistic"]
    for a, b in ((1e-6, 0.0), (1e4, -7e4), (-3.0, 2.0), (1.0, -x.mean())):
        found = correlations(a * x + b, y)["plcc_logistic"]
        assert found == pytest.approx(math.copysign(expected, a), abs=1e-6)


def test_logistic_does_not_lose_against_the_raw_figure_on_noisy_data() -> None:
    rng = np.random.default_rng(2)
    x = rng.uniform(1, 5, 200)
    y = 1 + 4 / (1 + np.exp(-(x - 3) * 2)) + rng.normal(0, 0.3, 200)
    found = correlations(x, y)
    assert found["plcc"] < found["plcc_logistic"] < 1


@pytest.mark.parametrize(
    ("prediction", "target"),
    [([2.0], [3.0]), ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])],
    ids=["one image", "constant predictions", "constant ratings"],
)
def test_correlations_that_do_not_exist_are_nan(prediction: list[float], target: list[float]) -> None:
    found = correlations(prediction, target)
    assert all(math.isnan(found[name]) for name in ("srcc", "krcc", "plcc", "plcc_logistic"))
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((np.array(prediction) - target) ** 2)))


def test_too_few_images_for_a_logistic_leave_the_rest() -> None:
    found = correlations([1.0, 2.0, 3.5], [1.0, 3.0, 4.0])
    assert math.isnan(found["plcc_logistic"])
    assert found["srcc"] == pytest.approx(1)


def test_logistic_band_is_that_of_a_nonlinear_regression() -> None:
    """The delta method with scipy's covariance of the parameters and derivatives by differences."""
    rng = np.random.default_rng(4)
    x = rng.uniform(1, 5, 60)
    y = 1 + 4 / (1 + np.exp(-(x - 3) / 0.6)) + rng.normal(0, 0.3, 60)
    parameters, covariance = optimize.curve_fit(logistic, x, y, [5, 1, 3, 0.5])
    jacobian = np.stack(
        [(logistic(x, *(parameters + step)) - logistic(x, *(parameters - step))) / 2e-5 for step in 1e-5 * np.eye(4)],
        axis=1,
    )
    deviation = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian))
    expected = 2 * stats.t.ppf(0.975, 56) * deviation.mean()
    at = np.array([0.0, 2.2, 3.1, 7.5])  # between and beyond the images too
    points = np.stack(
        [(logistic(at, *(parameters + step)) - logistic(at, *(parameters - step))) / 2e-5 for step in 1e-5 * np.eye(4)],
        axis=1,
    )
    reach = stats.t.ppf(0.975, 56) * np.sqrt(np.einsum("ij,jk,ik->i", points, covariance, points))
    np.testing.assert_allclose(logistic_reach(x, y, parameters, at), reach, rtol=5e-4)
    assert logistic_band(x, y, parameters) == pytest.approx(expected, rel=1e-4)
    assert correlations(x, y)["band_logistic"] == pytest.approx(expected, rel=1e-3)


def test_logistic_band_holds_the_curve_95_times_of_100() -> None:
    rng = np.random.default_rng(5)
    x = np.linspace(1, 5, 80)
    truth = logistic(x, 5, 1, 3, 0.7)
    held = []
    for _ in range(60):
        y = truth + rng.normal(0, 0.3, 80)
        fitted = fit_logistic(x, y).parameters
        # One width stands for all images; that of the images' own would be sharper.
        held.append(np.abs(logistic(x, *fitted) - truth) <= logistic_band(x, y, fitted) / 2)
    assert np.mean(held) == pytest.approx(0.95, abs=0.04)


def test_logistic_band_narrows_with_images_and_needs_five() -> None:
    rng = np.random.default_rng(6)
    x = rng.uniform(1, 5, 4000)
    y = logistic(x, 5, 1, 3, 0.7) + rng.normal(0, 0.3, 4000)
    wide, narrow = (correlations(x[:n], y[:n])["band_logistic"] for n in (250, 4000))
    assert narrow == pytest.approx(wide / 4, rel=0.2)
    assert math.isnan(logistic_band(x[:4], y[:4], (5, 1, 3, 0.7)))
