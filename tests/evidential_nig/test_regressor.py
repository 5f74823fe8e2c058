"""The scikit-learn estimator: its conventions by scikit-learn's own checks, its intervals by counting."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from evidential_nig.calibration import summarize
from evidential_nig.regressor import EvidentialRegressor


def table(n, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (n, 2))
    return X, 100 + 30 * (X[:, 0] ** 2 + X[:, 1]) + 3 * (1 + np.abs(X[:, 1])) * rng.normal(size=n)


@pytest.fixture(scope="module")
def fitted():
    return EvidentialRegressor(epochs=60, random_state=0).fit(*table(1000))


@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_the_estimator():
    # The checks make some fifty fits.
    quick = EvidentialRegressor((20,), epochs=20, batch_size=64, learning_rate=0.02)
    results = check_estimator(quick, on_skip=None)
    assert len(results) > 40
    assert {result["status"] for result in results} <= {"passed", "skipped"}


def test_it_learns_and_its_intervals_hold_in_the_units_of_the_target(fitted):
    X, y = table(2000, seed=1)
    assert fitted.score(X, y) > 0.95
    assert fitted.n_calibration_ == 200
    for conformal in (False, True):
        lower, upper = fitted.predict_interval(X, 0.9, conformal=conformal)
        assert 0.86 < np.mean((lower <= y) & (y <= upper)) < 0.95
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, fitted.predict(X))
    belief = fitted.predict_distribution(X)
    np.testing.assert_allclose(std, belief.predictive().stddev.numpy())
    assert summarize(belief.predictive(), torch.tensor(y)).quantile_calibration_error < 0.05
    assert fitted.loss_[-1] < fitted.loss_[0]


def test_the_held_out_rows_are_never_trained_on():
    """Their targets move the scale of the prediction and nothing else."""
    X, y = table(100)
    plain = EvidentialRegressor(epochs=5, random_state=3).fit(X, y)
    rows = torch.randperm(100, generator=torch.Generator().manual_seed(np.random.RandomState(3).randint(2**31 - 1)))[
        :20
    ]
    changed = y.copy()
    changed[rows.numpy()] += 50 * np.where(np.arange(20) % 2, 1, -1)
    other = EvidentialRegressor(epochs=5, random_state=3).fit(X, changed)
    np.testing.assert_array_equal(plain.predict(X), other.predict(X))
    assert other.variance_scale_.factor > 1.2 * plain.variance_scale_.factor
    assert len(plain.conformal_[0].scores) == 20


def test_the_rescaling_is_applied(fitted):
    X, _ = table(50, seed=2)
    factor = fitted.variance_scale_.factor
    scale, fitted.variance_scale_ = fitted.variance_scale_, None
    try:
        raw = fitted.predict_distribution(X)
    finally:
        fitted.variance_scale_ = scale
    torch.testing.assert_close(fitted.predict_distribution(X).aleatoric, factor**2 * raw.aleatoric)


def test_several_targets_stand_side_by_side():
    X, y = table(300)
    both = EvidentialRegressor(epochs=30, random_state=0).fit(X, np.stack([y, -10 * X[:, 0]], axis=1))
    for result in (
        both.predict(X),
        *both.predict(X, return_std=True),
        *both.predict_interval(X),
        *both.predict_interval(X, conformal=True),
    ):
        assert result.shape == (300, 2)
    assert both.score(X, np.stack([y, -10 * X[:, 0]], axis=1)) > 0.9
    lower, upper = both.predict_interval(X, 0.8, conformal=True)
    widths = (upper - lower).mean(0)
    assert widths[0] > 5 * widths[1]


def test_too_few_rows_are_all_trained_on_and_no_guarantee_is_made_up():
    X, y = table(45)
    small = EvidentialRegressor(epochs=3).fit(X, y)
    assert (small.n_calibration_, small.variance_scale_, small.conformal_) == (0, None, None)
    assert EvidentialRegressor(epochs=3).fit(*table(50)).n_calibration_ == 10
    small.predict_interval(X)
    with pytest.raises(
        ValueError, match=r"none were held out: calibration_fraction is 0\.2 and must hold out at least 10"
    ):
        small.predict_interval(X, conformal=True)
    lower, upper = EvidentialRegressor(epochs=3).fit(*table(50)).predict_interval(X, 0.95, conformal=True)
    assert np.isinf(lower).all()
    assert np.isinf(upper).all()


def test_the_seed_is_all_that_chance_depends_on():
    X, y = table(60)
    before = torch.random.get_rng_state()
    one, other, third = (EvidentialRegressor(epochs=2, random_state=seed).fit(X, y).predict(X) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(one, other)
    assert not np.allclose(one, third)


def test_it_stands_in_pipelines_and_searches():
    X, y = table(80)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), EvidentialRegressor(epochs=3, random_state=0)),
        {"evidentialregressor__hidden_sizes": [(), (8, 8)]},
        cv=2,
    ).fit(X, y)
    assert search.predict(X).shape == (80,)


def test_a_constant_target_and_a_constant_column_are_no_trouble():
    X, _ = table(60)
    X[:, 1] = 5.0
    constant = EvidentialRegressor(epochs=2).fit(X, np.full(60, 7.0))
    assert np.isfinite(constant.predict(X, return_std=True)).all()


def test_nothing_is_predicted_before_a_fit():
    for call in ("predict", "predict_interval", "predict_distribution"):
        with pytest.raises(NotFittedError):
            getattr(EvidentialRegressor(), call)(table(3)[0])


def test_without_scikit_learn_the_import_says_how_to_get_it():
    program = """
import sys
sys.modules["sklearn"] = None
import evidential_nig
try:
    evidential_nig.regressor
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "evidential-nig[sklearn]"' in result.stdout
