"""Paired tests over sessions that share images, against closed forms, a brute-force oracle and simulation."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from defnet import DataError
from defnet.evaluation.paired_tests import corrected_paired_t, holm

DIFFERENCES = [0.012, 0.008, -0.003, 0.021, 0.015, 0.004, 0.009, -0.001, 0.011, 0.006]


def test_without_overlap_it_is_the_paired_t_test() -> None:
    found = corrected_paired_t(DIFFERENCES, test_share=0)
    expected = stats.ttest_1samp(DIFFERENCES, 0)
    np.testing.assert_allclose([found.statistic, found.p_value], [expected.statistic, expected.pvalue], rtol=1e-12)
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], [interval.low, interval.high], rtol=1e-12)


@pytest.mark.parametrize("share", [1 / 9, 2 / 7, 1.0])
def test_the_correction_divides_t_by_the_root_of_one_plus_n_times_the_share(share: float) -> None:
    """(1/n + share) s² is (1 + n share) times s²/n."""
    found = corrected_paired_t(DIFFERENCES, test_share=share)
    factor = np.sqrt(1 + len(DIFFERENCES) * share)
    plain = stats.ttest_1samp(DIFFERENCES, 0)
    np.testing.assert_allclose(found.statistic, plain.statistic / factor, rtol=1e-12)
    np.testing.assert_allclose(found.p_value, 2 * stats.t(9).sf(plain.statistic / factor), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, stats.sem(DIFFERENCES) * factor, rtol=1e-12)
    np.testing.assert_allclose(
        [found.low, found.high], stats.t(9, np.mean(DIFFERENCES), found.standard_error).interval(0.95), rtol=1e-12
    )


def _rejections(sessions: NDArray[np.float64], share: float) -> float:
    return float(np.mean([corrected_paired_t(row, test_share=share).p_value < 0.05 for row in sessions]))


def test_the_plain_test_finds_too_many_differences_over_overlapping_sessions() -> None:
    """Two learners that are equally good on the population: each regresses y = x₁ + x₂ + e on one of the two.

    A replicate is a data set of 100 images and ten sessions of it, 70 trained on and 20 tested on. The plain test calls
    a difference of the two far more often than one time in twenty, the corrected one about as often as it claims to.
    """
    generator = np.random.default_rng(0)
    differences = np.empty((600, 10))
    for replicate in range(600):
        x = generator.normal(size=(100, 2))
        y = x.sum(1) + generator.normal(size=100)
        for session in range(10):
            order = generator.permutation(100)
            train, test = order[:70], order[80:]
            slope = (x[train] * y[train, None]).sum(0) / (x[train] ** 2).sum(0)
            errors = ((y[test, None] - slope * x[test]) ** 2).mean(0)
            differences[replicate, session] = errors[0] - errors[1]
    assert _rejections(differences, 0) > 0.2
    assert 0.01 < _rejections(differences, 2 / 7) < 0.08


def test_a_difference_in_every_session_alike() -> None:
    assert corrected_paired_t([0.1] * 3, test_share=0.2).p_value == 0
    nothing = corrected_paired_t([0.0] * 3, test_share=0.2)
    assert (nothing.p_value, nothing.statistic, nothing.low, nothing.high) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("differences", "share", "message"),
    [
        ([0.1], 0.2, "two sessions or more"),
        ([[0.1, 0.2]], 0.2, "two sessions or more"),
        ([0.1, float("nan")], 0.2, "could not be computed"),
        ([0.1, 0.2], -0.2, "0 or more, got -0.2"),
    ],
)
def test_what_cannot_be_tested_is_said(differences: list[float], share: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        corrected_paired_t(differences, test_share=share)


def test_holm_is_the_closure_of_bonferroni() -> None:
    """A hypothesis falls where every set of hypotheses that holds it falls by Bonferroni; over all sets, by force."""
    generator = np.random.default_rng(1)
    for size in (1, 2, 5, 8):
        for _ in range(20):
            p = np.round(generator.uniform(size=size) ** 3, 2)  # with ties
            expected = [
                max(
                    min(1.0, len(chosen) * min(p[list(chosen)]))
                    for count in range(1, size + 1)
                    for chosen in combinations(range(size), count)
                    if i in chosen
                )
                for i in range(size)
            ]
            np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_holm_bounds_false_findings_where_single_tests_do_not() -> None:
    p = np.random.default_rng(2).uniform(size=(4000, 12))
    assert np.mean((p < 0.05).any(1)) > 0.4
    assert np.mean([(holm(row) < 0.05).any() for row in p]) < 0.06


@pytest.mark.parametrize("p", [[0.1, 1.2], [0.1, float("nan")], [[0.1]]])
def test_holm_takes_probabilities(p: list[float]) -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        holm(p)


def test_holm_of_nothing() -> None:
    assert holm([]).shape == (0,)
