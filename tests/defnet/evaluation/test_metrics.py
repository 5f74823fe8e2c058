"""Figures against scipy, numerical integration and brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from defnet.evaluation.accuracy import distortion_accuracy, scene_accuracy
from defnet.evaluation.correlations import correlations, fit_logistic, logistic
from defnet.evaluation.uncertainty import INTERVAL_LEVELS, gaussian_crps, uncertainty_figures
from defnet.model.student_t import StudentT

DEGREES = (2.1, 3.0, 5.5, 30.0, 1e3, 1e6)


def student(df: float, loc: float = 3.0, scale: float = 0.5) -> StudentT:
    return StudentT(np.array([df]), np.array([loc]), np.array([scale]))


def integrated_crps(cdf, target: float, center: float, scale: float) -> float:
    """∫ (F(x) − 1{x ≥ y})² dx."""
    edges = [-math.inf, *sorted({center - 3 * scale, center, center + 3 * scale, target}), math.inf]
    parts = [
        integrate.quad(lambda x: (cdf(x) - (x >= target)) ** 2, a, b, epsabs=1e-12, epsrel=1e-10, limit=200)[0]
        for a, b in itertools.pairwise(edges)
    ]
    return sum(parts)


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("level", [*INTERVAL_LEVELS, 0.999])
def test_interval_holds_its_probability(df: float, level: float) -> None:
    lower, upper = student(df).interval(level)
    expected = stats.t.interval(level, df, 3.0, 0.5)
    assert [lower[0], upper[0]] == pytest.approx(expected, rel=1e-9)
    mass = integrate.quad(lambda x: stats.t.pdf(x, df, 3.0, 0.5), lower[0], upper[0])[0]
    assert mass == pytest.approx(level, abs=1e-8)


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("target", [-20.0, 2.9, 3.0, 5.0])
def test_negative_log_likelihood(df: float, target: float) -> None:
    found = student(df).nll([target])[0]
    z = (target - 3.0) / 0.5
    expected = (
        math.lgamma(df / 2)
        - math.lgamma((df + 1) / 2)
        + 0.5 * math.log(df * math.pi)
        + math.log(0.5)
        + (df + 1) / 2 * math.log1p(z**2 / df)
    )
    # lgamma cancels at a million degrees of freedom.
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8 if df < 1e5 else 1e-5)


@pytest.mark.parametrize("df", DEGREES)
@pytest.mark.parametrize("target", [0.5, 2.9, 3.0, 4.2])
def test_student_crps_is_the_integral(df: float, target: float) -> None:
    expected = integrated_crps(lambda x: stats.t.cdf(x, df, 3.0, 0.5), target, 3.0, 0.5)
    assert student(df).crps([target])[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("target", [0.5, 2.9, 3.0, 9.0])
def test_gaussian_crps_is_the_integral(target: float) -> None:
    expected = integrated_crps(lambda x: stats.norm.cdf(x, 3.0, 0.5), target, 3.0, 0.5)
    assert float(gaussian_crps(target, 3.0, 0.5)) == pytest.approx(expected, rel=1e-8)


def test_student_crps_tends_to_the_gaussian_one() -> None:
    target = np.linspace(1, 5, 9)
    many = StudentT(np.full(9, 1e6), np.full(9, 3.0), np.full(9, 0.5))
    assert many.crps(target) == pytest.approx(gaussian_crps(target, 3.0, 0.5), rel=1e-5)


def test_crps_of_many_images_at_once() -> None:
    rng = np.random.default_rng(0)
    df, loc, scale, target = rng.uniform(2.1, 50, 6), rng.normal(3, 1, 6), rng.uniform(0.1, 2, 6), rng.normal(3, 1, 6)
    together = StudentT(df, loc, scale)
    for figure in ("nll", "crps"):
        alone = [getattr(student(*p), figure)([y])[0] for *p, y in zip(df, loc, scale, target, strict=True)]
        assert getattr(together, figure)(target) == pytest.approx(alone)


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
    assert found["plcc_logistic"] == pytest.approx(1, abs=1e-6)
    assert abs(found["plcc"]) < 0.99
    fitted = fit_logistic(x, y)
    assert logistic(x, *fitted) == pytest.approx(y, abs=1e-4)
    assert sorted(fitted[:2]) == pytest.approx([1.2, 4.7], abs=1e-3)
    assert [fitted[2], abs(fitted[3])] == pytest.approx([0.4, 0.5], abs=1e-3)


def test_logistic_plcc_does_not_depend_on_the_scale_of_the_predictions() -> None:
    rng = np.random.default_rng(8)
    x = rng.uniform(1, 5, 80)
    y = 1 + 4 / (1 + np.exp(3 - x)) + rng.normal(0, 0.2, 80)
    expected = correlations(x, y)["plcc_logistic"]
    for a, b in ((1e-6, 0.0), (1e4, -7e4), (-3.0, 2.0), (1.0, -x.mean())):
        assert correlations(a * x + b, y)["plcc_logistic"] == pytest.approx(expected, abs=1e-6)


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


SCENE_NAMES = ("animal", "human", "plant")


@given(
    data=st.lists(
        st.tuples(st.sampled_from(SCENE_NAMES), st.lists(st.sampled_from(SCENE_NAMES), min_size=1, unique=True)),
        min_size=1,
        max_size=8,
    )
)
def test_scene_accuracy_by_brute_force(data: list[tuple[str, list[str]]]) -> None:
    predicted, labelled = [p for p, _ in data], [y for _, y in data]
    found = scene_accuracy(predicted, labelled)
    assert found["scene_accuracy"] == pytest.approx(sum(p in y for p, y in data) / len(data))
    # The best that one answer for all images can do.
    best = max(sum(name in y for y in labelled) for name in SCENE_NAMES)
    assert found["scene_majority"] == pytest.approx(best / len(data))


@given(data=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=8))
def test_distortion_accuracy_by_brute_force(data: list[tuple[str, str]]) -> None:
    predicted, labelled = [p for p, _ in data], [y for _, y in data]
    found = distortion_accuracy(predicted, labelled)
    assert found["distortion_accuracy"] == pytest.approx(sum(p == y for p, y in data) / len(data))
    assert found["distortion_majority"] == pytest.approx(max(labelled.count(y) for y in "abcd") / len(data))


def test_accuracies_of_nothing_are_nan() -> None:
    assert all(math.isnan(value) for value in {**scene_accuracy([], []), **distortion_accuracy([], [])}.values())


def simulated(images: int = 40_000) -> tuple[StudentT, np.ndarray]:
    rng = np.random.default_rng(3)
    df, loc, scale = rng.uniform(3, 20, images), rng.uniform(1, 5, images), rng.uniform(0.1, 0.8, images)
    return StudentT(df, loc, scale), loc + scale * rng.standard_t(df)


def test_coverage_of_true_distributions_is_nominal() -> None:
    predictive, target = simulated()
    found = uncertainty_figures(predictive, target, bounds=(-1e9, 1e9), constant_std=0.6)
    for level in INTERVAL_LEVELS:
        # Four standard deviations of the share of 40,000 draws.
        margin = 4 * math.sqrt(level * (1 - level) / len(target))
        assert found[f"coverage_{level * 100:.0f}"] == pytest.approx(level, abs=margin)
        half = stats.t.ppf(0.5 + level / 2, predictive.df) * predictive.scale
        assert found[f"width_{level * 100:.0f}"] == pytest.approx(2 * half.mean())
    assert found["nll"] == pytest.approx(
        -stats.t.logpdf(target, predictive.df, predictive.loc, predictive.scale).mean()
    )
    assert found["nll_constant"] == pytest.approx(-stats.norm.logpdf(target, predictive.loc, 0.6).mean())
    assert found["crps_constant"] == pytest.approx(gaussian_crps(target, predictive.loc, 0.6).mean())
    # The truth beats one variance for all, and its spread tells where errors are large.
    assert found["nll"] < found["nll_constant"]
    assert found["crps"] < found["crps_constant"]
    deviation = predictive.scale * np.sqrt(predictive.df / (predictive.df - 2))
    expected = stats.spearmanr(deviation, np.abs(target - predictive.loc))[0]
    assert found["error_spearman"] == pytest.approx(expected)
    assert 0.2 < expected < 0.6


def test_half_the_true_scale_covers_too_little() -> None:
    predictive, target = simulated(5000)
    tight = StudentT(predictive.df, predictive.loc, predictive.scale / 2)
    assert uncertainty_figures(tight, target, bounds=(-1e9, 1e9), constant_std=1.0)["coverage_95"] < 0.80


def test_intervals_are_cut_to_the_scale_of_the_ratings() -> None:
    wide = StudentT(np.array([5.0, 5.0]), np.array([1.2, 4.9]), np.array([3.0, 3.0]))
    found = uncertainty_figures(wide, [1.0, 5.0], bounds=(1.0, 5.0), constant_std=1.0)
    assert found["coverage_95"] == 1  # the ends belong to it
    assert found["width_95"] == pytest.approx(4)


def test_one_uncertainty_for_all_images_has_no_correlation_with_their_errors() -> None:
    same = StudentT(np.full(3, 5.0), np.array([2.0, 3.0, 4.0]), np.full(3, 0.5))
    assert math.isnan(uncertainty_figures(same, [2.1, 3.5, 4.0], bounds=(1, 5), constant_std=1.0)["error_spearman"])


def test_the_rival_has_one_variance_for_all(recwarn: pytest.WarningsRecorder) -> None:
    predictive, target = simulated(500)
    rmse = math.sqrt(np.mean((target - predictive.loc) ** 2))
    found = uncertainty_figures(predictive, target, bounds=(1, 5), constant_std=rmse)
    # A normal distribution's mean negative log-likelihood at its own root mean squared error.
    assert found["nll_constant"] == pytest.approx(0.5 * math.log(2 * math.pi * rmse**2) + 0.5)
    assert not recwarn.list
