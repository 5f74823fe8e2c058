"""What every registered fusion method must do, behind `ScoreFusion` and alone."""

import pytest
from sklearn.utils.estimator_checks import check_estimator

from map_score_fusion import METHODS, ScoreFusion
from map_score_fusion.methods import map_estimation


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_accepts_the_estimator(method, monkeypatch):
    # The checks make some fifty fits, of which none has to be on a plateau.
    monkeypatch.setattr(map_estimation, "ROUND", 5)
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS", 2)
    results = check_estimator(ScoreFusion(method), on_skip=None)
    assert {result["status"] for result in results} <= {"passed", "skipped"}
