"""What every registered fusion method must do, behind `ScoreFusion` and alone.

A new method joins by its entry in `METHODS`, and passes this file as it is.
"""

import json
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from map_score_fusion import METHODS as ALL_METHODS
from map_score_fusion import FusionWarning, ScoreFusion, ScoreTableError, rank_scale
from map_score_fusion.methods import class_of, make_method, map_estimation
from map_score_fusion.methods.base import FittingLog

pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
METHODS = {name: entry for name, entry in ALL_METHODS.items() if not entry.needs_coefficients}
"""Those that need coefficients do nothing without; `test_formulas` holds them to what applies to them."""
SLOW = [name for name, entry in METHODS.items() if entry.amortisation_is_optional]
"""Methods that train networks; they see fewer of the random tables."""


@pytest.fixture(scope="module", params=METHODS)
def fitted(request, made_table):
    table, quality = made_table(missing=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)
        return ScoreFusion(request.param, random_state=0).fit(table), table, quality


@pytest.fixture
def short_training(monkeypatch):
    """For tests of what holds of any fit, whether on a plateau or not."""
    monkeypatch.setattr(map_estimation, "ROUND", 5)
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS", 2)
    monkeypatch.setattr(rank_scale, "DRAWN_IMAGES", 200)


@pytest.fixture
def few_rounds(monkeypatch):
    """For tests of what a fit finds long before its plateau."""
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS", 3)
    monkeypatch.setattr(rank_scale, "DRAWN_IMAGES", 500)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_the_estimator(method, short_training):
    # The checks make some fifty fits.
    results = check_estimator(ScoreFusion(method), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}


@pytest.mark.parametrize("method", METHODS)
def test_is_registered_under_its_own_name(method):
    assert class_of(method).name == method
    assert METHODS[method].summary


def test_finds_the_quality(fitted):
    fusion, table, quality = fitted
    assert spearmanr(fusion.predict(table), quality).statistic > 0.93


def test_results_are_as_the_interface_says(fitted, check_results):
    fusion, table, _ = fitted
    check_results(fusion, table)


def test_a_row_does_not_depend_on_the_others(fitted):
    fusion, table, _ = fitted
    fused, deviation = fusion.predict(table, return_std=True)
    ranks, _ = fusion.ranks(table)
    weights, uncertainty = fusion.weights(table), fusion.score_uncertainty(table)
    for rows in (slice(7, 8), slice(100, 117), [30, 5, 390]):
        part = table.iloc[rows]
        alone, its_deviation = fusion.predict(part, return_std=True)
        np.testing.assert_allclose(alone, fused[rows], rtol=0, atol=1e-7)
        # A fused score that moves by rounding may change places with one of 400 training images.
        np.testing.assert_allclose(its_deviation, deviation[rows], rtol=0, atol=0.01)
        np.testing.assert_allclose(fusion.ranks(part)[0], ranks[rows], rtol=0, atol=0.005)
        np.testing.assert_allclose(fusion.weights(part), weights[rows], rtol=0, atol=1e-7)
        np.testing.assert_allclose(fusion.score_uncertainty(part), uncertainty[rows], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(method, made_table, short_training):
    table, _ = made_table(missing=0.05)
    fusion = ScoreFusion(method, random_state=0).fit(table)
    again = clone(fusion).fit(table)
    for one, other in zip(fusion.predict(table, return_std=True), again.predict(table, return_std=True), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_saved_model_predicts_the_same_bits(fitted, tmp_path):
    fusion, table, _ = fitted
    fusion.save(tmp_path / "model")
    loaded = ScoreFusion.load(tmp_path / "model")
    for one, other in zip(fusion.predict(table, return_std=True), loaded.predict(table, return_std=True), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(fusion.weights(table), loaded.weights(table))
    np.testing.assert_array_equal(fusion.score_uncertainty(table), loaded.score_uncertainty(table))


def test_its_state_is_arrays_and_json(fitted):
    fusion, _, _ = fitted
    method = fusion.method_
    found, settings_ = method.state()
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in found.values())
    assert json.loads(json.dumps(settings_, allow_nan=False)) == settings_
    assert isinstance(method.log, FittingLog)
    assert all(np.shape(column) == (6,) for column in method.summary().values())
    curves = method.curves(np.linspace(0, 1, 5))
    if curves is not None:
        assert set(curves) == {"expected", "lower", "upper"}
        assert all(curve.shape == (5, 6) for curve in curves.values())
        assert np.all(curves["lower"] <= curves["upper"])


def test_missing_scores_cost_little(fitted, few_rounds):
    fusion, table, quality = fitted
    more = table.mask(np.random.default_rng(4).uniform(size=table.shape) < 0.15)
    held = more.notna().any(axis=1).to_numpy()
    again = clone(fusion).fit(more)
    whole = spearmanr(fusion.predict(table), quality).statistic
    assert spearmanr(again.predict(more[held]), quality[held]).statistic > whole - 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_metric_of_noise_and_a_constant_one_do_no_harm(method, made_table, check_results, few_rounds):
    table, quality = made_table(seed=5)
    noise = np.random.default_rng(6).uniform(size=(2, len(table)))
    worse = table.assign(noise=noise[0], more_noise=noise[1], constant=7.0)
    directions = {"noise": True, "more_noise": True, "own_metric": True}
    fusion = ScoreFusion(method, higher_is_better=directions, random_state=0).fit(worse)
    check_results(fusion, worse)
    assert spearmanr(fusion.predict(worse), quality).statistic > 0.85
    assert fusion.metric_summary_.loc["constant", "weight"] == 0


NASTY = {
    "one metric": [[0.1], [0.7], [0.4]],
    "two images": [[0.1, 3.0], [0.2, 1.0]],
    "more metrics than images": np.random.default_rng(0).normal(size=(4, 12)).tolist(),
    "all rows the same but one": [[1.0, 2.0, 3.0]] * 8 + [[2.0, 1.0, 5.0]],
    "ties": [[0, 1], [0, 1], [1, 0], [1, 0], [1, 1]],
    "duplicated rows": [[0.1, 5.0], [0.1, 5.0], [0.6, 2.0], [0.6, 2.0]],
    "duplicated columns": [[0.1, 0.1, 0.1], [0.5, 0.5, 0.5], [0.3, 0.3, 0.3], [0.9, 0.9, 0.9]],
    "infinities": [[np.inf, 1.0], [3.0, 2.0], [4.0, -np.inf], [5.0, 0.0]],
    "a column without scores": [[1.0, np.nan, 3.0], [2.0, np.nan, 1.0], [4.0, np.nan, 2.0]],
    "one score in a column": [[1.0, np.nan], [2.0, 5.0], [3.0, np.nan]],
    "rows with one score": [[1.0, np.nan], [np.nan, 2.0], [3.0, np.nan], [np.nan, 4.0], [5.0, 6.0]],
    "no row with two scores": [[1.0, np.nan], [np.nan, 2.0], [3.0, np.nan], [np.nan, 4.0]],
    "huge and tiny": [[1e300, 1e-300], [2e300, 3e-300], [-1e300, 2e-300]],
    "whole numbers": [[1, 20], [2, 10], [3, 5]],
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", NASTY)
def test_nasty_tables(method, case, short_training, check_results):
    table = np.asarray(NASTY[case], dtype=float)
    check_results(ScoreFusion(method, random_state=0).fit(table), table)


scores = st.one_of(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, np.inf, -np.inf, np.nan]),
)
shapes = st.tuples(st.integers(1, 25), st.integers(1, 6))


@pytest.mark.parametrize("method", METHODS)
def test_any_table_is_fused_or_refused_with_a_reason(method, short_training, check_results):
    @settings(max_examples=5 if method in SLOW else 25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=scores)))
    def fuse(table):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FusionWarning)
            try:
                fusion = ScoreFusion(method, random_state=0).fit(table)
            except ScoreTableError as error:
                assert "n_samples" in str(error) or "no metric tells the images apart" in str(error)  # noqa: PT017
                return
            used = fusion.metric_summary_["direction"].to_numpy() != "none"
            held = (~np.isnan(table) & used).any(axis=1)
            check_results(fusion, table[held])
            fused = fusion.predict(table, on_empty_row="nan")
            np.testing.assert_array_equal(np.isnan(fused), ~held)

    fuse()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_alone_a_method_takes_constant_columns_and_single_rows(method, rows, short_training):
    rng = np.random.default_rng(0)
    oriented = np.column_stack([rng.normal(size=rows), np.full(rows, 3.0), rng.normal(size=rows)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # such as of a division by a spread of 0
        fitted = make_method(method).fit(oriented, ["a", "b", "c"], np.random.default_rng(1))
        fused, deviation = fitted.predict_std(oriented)
    assert np.all((fused >= 0) & (fused <= 1) & np.isfinite(deviation) & (deviation >= 0))
    np.testing.assert_allclose(fitted.weights(oriented).sum(axis=1), 1, atol=1e-6)
    assert np.all(np.isfinite(fitted.score_uncertainty(oriented)))
