"""Which epoch is kept."""

import math

import pytest

from defnet.training.selection import selection_figure

FIGURES = {"srcc": 0.8, "plcc": 0.5, "nll": 1.2}


@pytest.mark.parametrize(
    ("select_by", "expected"), [("srcc", 0.8), ("plcc", 0.5), ("srcc+plcc", 1.3), ("nll", -1.2), ("last", 7)]
)
def test_the_figure_that_is_asked_for(select_by: str, expected: float) -> None:
    assert selection_figure(FIGURES, select_by, 7) == pytest.approx(expected)


def test_both_correlations_count() -> None:
    """An epoch that is better by one of them alone may be worse by both."""
    one, other = {"srcc": 0.80, "plcc": 0.50}, {"srcc": 0.79, "plcc": 0.70}
    assert selection_figure(one, "srcc+plcc", 1) < selection_figure(other, "srcc+plcc", 2)
    assert selection_figure(one, "srcc", 1) > selection_figure(other, "srcc", 2)


@pytest.mark.parametrize("select_by", ["srcc", "srcc+plcc", "nll"])
def test_what_could_not_be_computed_loses(select_by: str) -> None:
    assert selection_figure(dict.fromkeys(FIGURES, math.nan), select_by, 1) == -math.inf
