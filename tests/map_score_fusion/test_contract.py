"""What every registered fusion method must do, behind `ScoreFusion` and alone."""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from map_score_fusion import METHODS, ScoreFusion


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_the_estimator(method):
    results = check_estimator(ScoreFusion(method), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
