"""Agreement of scores with ratings: against scipy, and the logistic at its best optimum whatever the tails."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iqa_datasets import Agreement, agreement
from iqa_datasets.agreement import fit_logistic, krcc, logistic, plcc, srcc


def curve(x, b1, b2, b3, b4):
    return b2 + (b1 - b2) * scipy.special.expit((x - b3) / max(abs(b4), 1e-300))


def best_of_many_starts(x, y):
    """The smallest sum of squared errors that scipy's least squares finds from many starts."""
    center, spread = np.median(x), np.subtract(*np.percentile(x, [75, 25]))
    u, found = (x - center) / spread, np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for middle in np.percentile(u, (2, 30, 70, 98)):
            for width in (0.3, 5.0):
                start = (y.max(), y.min(), middle, width)
                if np.corrcoef(u, y)[0, 1] < 0:
                    start = (y.min(), y.max(), middle, width)
                try:
                    parameters, _ = scipy.optimize.curve_fit(curve, u, y, start, maxfev=400)
                except RuntimeError:
                    continue
                found = min(found, float(np.sum((curve(u, *parameters) - y) ** 2)))
    return found


def heavy_tailed_sets(count, seed):
    generator = np.random.default_rng(seed)
    for _ in range(count):
        x = generator.standard_t(generator.choice([1.0, 1.5, 2.0, 3.0]), int(generator.choice([15, 30, 60])))
        shape = generator.choice(4)
        quality = [np.tanh(x), x, generator.normal(size=len(x)), np.sign(x) * np.log1p(np.abs(x))][shape]
        noise = generator.standard_t(generator.choice([1.5, 3.0, 30.0]), len(x)) * generator.choice([0.1, 0.5, 2.0])
        yield x, generator.choice([-1, 1]) * quality + noise


@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_the_logistic_is_never_worse_than_the_best_of_many_starts(count):
    short = []
    for x, y in heavy_tailed_sets(count, seed=1):
        found = fit_logistic(x, y)
        total = np.sum((y - y.mean()) ** 2)
        assert np.sum((found(x) - y) ** 2) / total == pytest.approx(1 - found.correlation**2, abs=1e-6)
        oracle = np.sqrt(max(0.0, 1 - best_of_many_starts(x, y) / total))
        short.append(oracle - abs(found.correlation))
    assert max(short) < 1e-6


def test_a_start_in_the_middle_is_not_enough():
    """What a single start finds (scores' spread, ratings' ends) falls short on such sets: the sets are hard."""
    short = []
    for x, y in heavy_tailed_sets(60, seed=1):
        u = (x - x.mean()) / x.std()
        start = [y.max(), y.min(), 0.0, 0.25]
        if np.corrcoef(u, y)[0, 1] < 0:
            start[:2] = start[1::-1]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                parameters, _ = scipy.optimize.curve_fit(curve, u, y, start, maxfev=20_000)
            except RuntimeError:
                continue
        total = np.sum((y - y.mean()) ** 2)
        single = np.sqrt(max(0.0, 1 - np.sum((curve(u, *parameters) - y) ** 2) / total))
        short.append(abs(fit_logistic(x, y).correlation) - single)
    assert max(short) > 0.05


def test_an_exponential_is_found_although_no_logistic_reaches_it():
    generator = np.random.default_rng(0)
    quality = generator.uniform(size=300)
    x, y = np.exp(3 * (quality + generator.normal(scale=0.2, size=300))), 1 + 4 * quality

    def of_width(log_width):
        return -abs(np.corrcoef(np.exp(-x / np.exp(log_width)), y)[0, 1])

    best = -scipy.optimize.minimize_scalar(of_width, bounds=(-1, 5), method="bounded", options={"xatol": 1e-9}).fun
    found = fit_logistic(x, y)
    assert found.correlation == pytest.approx(best, abs=1e-7)
    assert found.limit == "exponential"


@pytest.mark.parametrize(
    ("ratings", "limit"),
    [(lambda x: 2 * x + 1, "linear"), (lambda x: (x > 0.3).astype(float), "step"), (np.tanh, None)],
)
def test_the_fit_says_when_it_ends_in_a_limit(ratings, limit):
    x = np.linspace(-2, 2, 101)
    found = fit_logistic(x, ratings(x))
    assert found.limit == limit
    assert found.correlation == pytest.approx(1, abs=1e-6)
    assert found.rmse < 2e-3


def test_the_fit_finds_its_own_parameters_again():
    x = np.linspace(-3, 5, 200)
    parameters = (4.5, 1.2, 0.7, 0.9)
    found = fit_logistic(x, curve(x, *parameters))
    assert found.parameters == pytest.approx(parameters, rel=1e-4)
    assert found.correlation == pytest.approx(1, abs=1e-9)
    assert found(np.array([[0.7]])) == pytest.approx((4.5 + 1.2) / 2, abs=1e-3)
    assert logistic(x, *parameters) == pytest.approx(curve(x, *parameters))


def test_a_long_table_is_thinned_for_the_starts_only():
    generator = np.random.default_rng(4)
    x = generator.standard_t(2, 6000)
    y = np.tanh(3 * x) + generator.normal(scale=0.4, size=6000)
    found = fit_logistic(x, y)
    total = np.sum((y - y.mean()) ** 2)
    assert abs(found.correlation) >= np.sqrt(1 - best_of_many_starts(x, y) / total) - 1e-9


# --- agreement


def figures(x, y):
    return [scipy.stats.spearmanr(x, y).statistic, scipy.stats.kendalltau(x, y).statistic, np.corrcoef(x, y)[0, 1]]


@pytest.mark.parametrize("kind", ["plain", "ties", "large numbers"])
def test_figures_are_those_of_scipy(kind):
    generator = np.random.default_rng(3)
    x = generator.normal(size=120)
    y = x + generator.normal(size=120)
    if kind == "ties":
        x, y = np.round(x), np.round(y)
    if kind == "large numbers":
        x, y = x * 1e150, 1e6 + y
    found = agreement(x, y)
    assert [found.srcc, found.krcc, found.plcc] == pytest.approx(figures(x, y), abs=1e-9)
    assert [srcc(x, y), krcc(x, y), plcc(x, y)] == [found.srcc, found.krcc, found.plcc]
    fitted = logistic(x, *found.logistic)
    assert found.plcc_logistic == pytest.approx(np.corrcoef(fitted, y)[0, 1], abs=1e-6)
    assert found.rmse_logistic == pytest.approx(np.sqrt(np.mean((fitted - y) ** 2)), abs=1e-6)
    assert (found.n, found.note) == (120, "")


def test_anti_correlated_scores_have_negative_figures_unless_lower_is_better():
    generator = np.random.default_rng(0)
    x = generator.normal(size=80)
    y = -np.tanh(x) + generator.normal(scale=0.2, size=80)
    found = agreement(x, y)
    assert found.plcc_logistic < -0.9
    assert max(found.srcc, found.krcc, found.plcc) < -0.5
    turned = agreement(x, y, lower_is_better=True)
    for name in ("srcc", "krcc", "plcc", "plcc_logistic"):
        assert getattr(turned, name) == -getattr(found, name)
    # The curve is that of the scores as they are.
    assert turned.logistic == found.logistic
    assert turned.rmse_logistic == found.rmse_logistic
    assert agreement(-x, y).plcc_logistic == pytest.approx(-found.plcc_logistic, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_figures_do_not_depend_on_units(shift, scale, rating_shift, rating_scale):
    generator = np.random.default_rng(0)
    x = generator.normal(size=60)
    y = np.tanh(x) + generator.normal(scale=0.3, size=60)
    plain, moved = agreement(x, y), agreement(shift + scale * x, rating_shift + rating_scale * y)
    assert moved.plcc_logistic == pytest.approx(plain.plcc_logistic, abs=1e-4)
    assert moved.rmse_logistic == pytest.approx(plain.rmse_logistic * rating_scale, rel=1e-3)


def test_infinite_scores_are_the_best_or_worst():
    x = np.array([-np.inf, 0.1, 0.2, 0.3, 0.4, 0.5, np.inf, np.inf])
    y = np.arange(8.0)
    found = agreement(x, y)
    clipped = np.clip(x, -1, 1)
    assert found.srcc == pytest.approx(scipy.stats.spearmanr(clipped, y).statistic)
    assert found.krcc == pytest.approx(scipy.stats.kendalltau(clipped, y).statistic)
    assert np.isnan(found.plcc)
    assert 0.95 < found.plcc_logistic <= 1
    assert np.isfinite(found.rmse_logistic)
    many = np.random.default_rng(0).normal(size=(2, 200))
    many[0, :2] = np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of NumPy's would reach the user's terminal
        assert 0 <= abs(agreement(*many).plcc_logistic) <= 1
    only = np.array([-np.inf] * 4 + [np.inf] * 4)
    assert agreement(only, y).plcc_logistic == pytest.approx(np.corrcoef(only > 0, y)[0, 1])


def test_figures_rest_on_the_images_that_have_both():
    x, y = np.random.default_rng(1).normal(size=(2, 40))
    missing_x, missing_y = x.copy(), y.copy()
    missing_x[:7] = np.nan
    missing_y[5:12] = np.nan
    assert agreement(missing_x, missing_y) == agreement(x[12:], y[12:])
    assert agreement(missing_x, missing_y).n == 28


@pytest.mark.parametrize(
    ("scores", "ratings", "why"),
    [
        ([1.0], [1.0], "1 images have both a score and a rating; 2 are the fewest"),
        ([1.0] * 8, range(8), "all 8 images have the same score"),
        (range(8), [2.0] * 8, "all 8 images have the same rating"),
        ([np.nan] * 8, range(8), "0 images"),
    ],
)
def test_a_figure_that_there_is_not_is_nan_and_said(scores, ratings, why):
    found = agreement(list(scores), list(ratings))
    assert np.isnan([found.srcc, found.krcc, found.plcc, found.plcc_logistic, found.rmse_logistic]).all()
    assert found.logistic is None
    assert why in found.note
    with pytest.raises(ValueError, match="no logistic can be fitted"):
        fit_logistic(list(scores), list(ratings))


def test_few_images_have_correlations_but_no_logistic():
    found = agreement([1, 2, 3, 5, 4], [1, 2, 3, 4, 5])
    assert found.srcc == pytest.approx(0.9)
    assert found.plcc == pytest.approx(0.9)
    assert np.isnan(found.plcc_logistic)
    assert found.note == "5 images have both a score and a rating; 6 are the fewest"


@pytest.mark.parametrize(
    ("scores", "ratings", "message"),
    [
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], "two vectors"),
        ([1, 2], [1, np.inf], "the rating of row 1 is infinite"),
    ],
)
def test_what_is_not_as_documented_is_refused(scores, ratings, message):
    with pytest.raises(ValueError, match=message):
        agreement(scores, ratings)


def test_the_module_starts_without_scipy():
    code = (
        "import sys, iqa_datasets.agreement; "
        "sys.exit(str({'scipy', 'pandas', 'torch', 'typer', 'rich', 'PIL'} & set(sys.modules) or '') or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_result_is_plain_data():
    found = agreement(np.arange(8.0), np.arange(8.0) ** 2)
    assert isinstance(found, Agreement)
    assert all(type(value) is float for value in (found.srcc, found.krcc, found.plcc, *found.logistic))
