"""What every registered fusion method must do, behind `ScoreFusion` and alone."""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from map_score_fusion import METHODS, ScoreFusion

TAKES_ANY_TABLE = [name for name, entry in METHODS.items() if not entry.needs_columns]


@pytest.mark.parametrize("method", TAKES_ANY_TABLE)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_the_estimator(method):
    # A published formula needs columns of certain names, which the checks' arrays do not have.
    results = check_estimator(ScoreFusion(method), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
