import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import rankdata

from map_score_fusion import scaling
from map_score_fusion.scaling import EmpiricalDistribution, RobustScaling

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TABLES = arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=FINITE)


@pytest.fixture
def table() -> np.ndarray:
    generator = np.random.default_rng(3)
    return np.column_stack(
        [generator.normal(30, 5, 400), generator.lognormal(0, 2, 400), generator.integers(0, 4, 400)]
    )


def test_robust_scaling_is_straight_between_the_quantiles_it_names(table: np.ndarray) -> None:
    fitted = RobustScaling.fit(table)
    low, high = np.quantile(table, [0.05, 0.95], axis=0)
    np.testing.assert_allclose(fitted(low[None]), 0.05)
    np.testing.assert_allclose(fitted(high[None]), 0.95)
    np.testing.assert_allclose(fitted((0.25 * low + 0.75 * high)[None]), 0.25 * 0.05 + 0.75 * 0.95)


def test_robust_scaling_bends_without_a_corner_and_without_reaching_the_ends(table: np.ndarray) -> None:
    fitted = RobustScaling.fit(table)
    low, high = np.quantile(table, [0.05, 0.95], axis=0)
    step = (high - low) * 1e-6
    for corner in (low, high):
        before, at, after = (fitted((corner + shift)[None])[0] for shift in (-step, 0 * step, step))
        np.testing.assert_allclose(after - at, at - before, rtol=1e-4)
    far = fitted(np.array([low - 1e6 * (high - low), high + 1e6 * (high - low)]))
    assert np.all(far[0] > 0.0)
    assert np.all(far[1] < 1.0)


def test_outliers_do_not_set_the_scale() -> None:
    column = np.linspace(0.0, 1.0, 1001)[:, None]
    with_outlier = np.vstack([column, [[1e12]]])
    difference = RobustScaling.fit(with_outlier)(column) - RobustScaling.fit(column)(column)
    assert np.abs(difference).max() < 2e-3


def test_where_the_quantiles_are_one_value_the_extremes_take_their_place() -> None:
    column = np.array([2.0] * 98 + [1.0, 4.0])[:, None]
    np.testing.assert_allclose(RobustScaling.fit(column)(np.array([[1.0], [2.0], [4.0]])).ravel(), [0.05, 0.35, 0.95])


def test_a_constant_column_becomes_one_half_and_stays_missing_where_it_was() -> None:
    fitted = RobustScaling.fit(np.array([[7.0], [7.0], [np.nan]]))
    np.testing.assert_array_equal(fitted(np.array([[7.0], [8.0], [-1e300], [np.nan]])).ravel(), [0.5, 0.5, 0.5, np.nan])
    np.testing.assert_array_equal(fitted.inverse(np.array([[0.1], [0.5], [np.nan]])).ravel(), [7.0, 7.0, np.nan])


def test_missing_training_scores_take_no_part(table: np.ndarray) -> None:
    with_missing = np.vstack([table, np.full((50, table.shape[1]), np.nan)])
    for kind in (RobustScaling, EmpiricalDistribution):
        np.testing.assert_array_equal(kind.fit(with_missing)(table), kind.fit(table)(table))


def test_ranks_are_scipys_mid_ranks(table: np.ndarray) -> None:
    expected = (rankdata(table, method="average", axis=0) - 0.5) / len(table)
    np.testing.assert_allclose(EmpiricalDistribution.fit(table)(table), expected, rtol=1e-14)


def test_ranks_of_new_scores_count_the_training_scores() -> None:
    fitted = EmpiricalDistribution.fit(np.array([[1.0], [2.0], [2.0], [4.0]]))
    new = np.array([[0.0], [1.0], [1.5], [2.0], [3.0], [5.0], [np.nan]])
    np.testing.assert_array_equal(fitted(new).ravel(), [0.0, 0.125, 0.25, 0.5, 0.75, 1.0, np.nan])


@pytest.mark.parametrize("kind", [RobustScaling, EmpiricalDistribution])
def test_a_row_does_not_depend_on_how_many_others_come_with_it(
    kind: type[RobustScaling] | type[EmpiricalDistribution], table: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "CHUNK", 1000)
    new = np.random.default_rng(4).choice(table.ravel(), (2500, 3))
    new[::11, 1] = np.nan
    new[5:900:7] = np.random.default_rng(5).normal(0, 100, (128, 3))
    fitted = kind.fit(table)
    alone = np.vstack([fitted(row[None]) for row in new])
    np.testing.assert_array_equal(fitted(new), alone)


@given(TABLES, st.data())
def test_maps_are_monotone_within_the_unit_interval_for_any_floats(table: np.ndarray, data: st.DataObject) -> None:
    new = data.draw(arrays(np.float64, (9, table.shape[1]), elements=FINITE))
    for kind in (RobustScaling, EmpiricalDistribution):
        fitted = kind.fit(table)
        scaled = fitted(np.sort(np.vstack([table, new]), axis=0))
        assert np.all((scaled >= 0.0) & (scaled <= 1.0))
        assert np.all(np.diff(scaled, axis=0) >= 0.0)


@given(TABLES)
def test_state_makes_the_same_map_again(table: np.ndarray) -> None:
    for kind in (RobustScaling, EmpiricalDistribution):
        fitted = kind.fit(table)
        np.testing.assert_array_equal(kind.from_state(fitted.state())(table), fitted(table))


def test_state_keeps_columns_of_different_lengths(table: np.ndarray) -> None:
    table[:30, 0] = np.nan
    table[10:400, 1] = np.nan
    fitted = EmpiricalDistribution.fit(table)
    again = EmpiricalDistribution.from_state(fitted.state())
    assert [column.size for column in again.sorted_scores] == [370, 10, 400]
    np.testing.assert_array_equal(again(table), fitted(table))


def test_inverses_return_the_scores(table: np.ndarray) -> None:
    for kind in (RobustScaling, EmpiricalDistribution):
        fitted = kind.fit(table)
        np.testing.assert_allclose(fitted.inverse(fitted(table)), table, rtol=1e-9, atol=1e-9)


def test_inverses_stop_at_the_training_range(table: np.ndarray) -> None:
    ends = np.array([[-0.5] * 3, [0.0] * 3, [1.0] * 3, [1.5] * 3])
    for kind in (RobustScaling, EmpiricalDistribution):
        scores = kind.fit(table).inverse(ends)
        np.testing.assert_array_equal(scores[:2], np.tile(table.min(axis=0), (2, 1)))
        np.testing.assert_array_equal(scores[2:], np.tile(table.max(axis=0), (2, 1)))
