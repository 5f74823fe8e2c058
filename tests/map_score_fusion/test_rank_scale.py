"""The deviation of the fused rank holds what it says on data of which the truth is known, whatever the method."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr, uniform

from map_score_fusion import METHODS, ScoreFusion
from map_score_fusion.methods import class_of
from map_score_fusion.metric_errors import angular
from map_score_fusion.rank_correlation import correlation_of_pairs
from map_score_fusion.rank_scale import UNKNOWN_RANK_STD, RankScale, drawn_table, loadings

pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")

NOISES = {
    "five of uneven quality": (0.05, 0.1, 0.1, 0.2, 0.3),
    "three alike": (0.1, 0.1, 0.1),
    "two": (0.1, 0.2),
    "eight good ones": (0.05,) * 8,
    "six bad ones": (0.2,) * 6,
}


def drawn(noise, rows=2000, seed=0, copies=0):
    """Scores of a uniform quality with errors of heavy tails, a t distribution of 4 degrees of freedom. Synthetic."""
    generator = np.random.default_rng(seed)
    quality = generator.uniform(size=rows)
    scores = quality[:, None] + np.array(noise) * generator.standard_t(4, size=(rows, len(noise)))
    near = scores[:, :1] + 0.1 * noise[0] * generator.normal(size=(rows, copies))
    return np.hstack([scores, near]), (rankdata(quality) - 0.5) / rows


def held(fusion, scores, truth):
    ranks, deviations = fusion.ranks(scores)
    return np.mean(np.abs(ranks - truth) <= 2 * deviations)


@pytest.mark.parametrize("case", NOISES)
@pytest.mark.parametrize("copies", [0, 3])
def test_two_deviations_hold_what_they_should_on_data_of_the_model(case, copies):
    scores, truth = drawn(NOISES[case], copies=copies)
    fusion = ScoreFusion(higher_is_better=True, random_state=0).fit(scores)
    assert 0.93 <= held(fusion, scores, truth) <= 0.97
    fresh, their_truth = drawn(NOISES[case], seed=1, copies=copies)
    assert 0.93 <= held(fusion, fresh, their_truth) <= 0.97


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.module == "baselines"])
def test_every_methods_deviations_mean_the_same(method):
    scores, truth = drawn(NOISES["five of uneven quality"])
    fusion = ScoreFusion(method, higher_is_better=True, random_state=0).fit(scores)
    assert 0.92 <= held(fusion, scores, truth) <= 0.98


def test_missing_scores_are_part_of_the_calibration():
    scores, truth = drawn(NOISES["three alike"])
    scores[np.random.default_rng(3).uniform(size=scores.shape) < 0.3] = np.nan
    some = ~np.isnan(scores).all(axis=1)
    fusion = ScoreFusion(higher_is_better=True, random_state=0).fit(scores[some])
    assert 0.93 <= held(fusion, scores[some], truth[some]) <= 0.97
    _, deviations = fusion.ranks(scores[some])
    one_left = np.isnan(scores[some]).sum(axis=1) == 2
    assert deviations[one_left].mean() > 1.3 * deviations[np.isnan(scores[some]).sum(axis=1) == 0].mean()


def test_larger_deviations_mean_larger_errors():
    scores, truth = drawn(NOISES["five of uneven quality"], rows=5000)
    ranks, deviations = ScoreFusion(higher_is_better=True, random_state=0).fit(scores).ranks(scores)
    assert spearmanr(deviations, np.abs(ranks - truth)).statistic > 0.1


def test_predict_gives_the_same_deviation_as_ranks():
    scores, _ = drawn(NOISES["two"], rows=100)
    fusion = ScoreFusion(higher_is_better=True, random_state=0).fit(scores)
    np.testing.assert_array_equal(fusion.predict(scores, return_std=True)[1], fusion.ranks(scores)[1])
    np.testing.assert_allclose(fusion.ranks(scores)[0], (rankdata(fusion.predict(scores)) - 0.5) / 100)


def test_of_one_metric_nothing_is_known():
    scores, _ = drawn((0.1,), rows=50)
    np.testing.assert_allclose(ScoreFusion(higher_is_better=True).fit(scores).ranks(scores)[1], UNKNOWN_RANK_STD)
    assert pytest.approx(uniform.std()) == UNKNOWN_RANK_STD


def test_the_drawn_table_is_like_the_given_one():
    scores, _ = drawn(NOISES["five of uneven quality"], copies=2)
    scores[np.random.default_rng(3).uniform(size=len(scores)) < 0.4, 1] = np.nan
    made, quality = drawn_table(scores, np.random.default_rng(0))
    assert made.shape[1] == 7
    assert np.isnan(made[:, 1]).mean() == pytest.approx(0.4, abs=0.03)
    ranks = pd.DataFrame(scores).corr("spearman").to_numpy()
    np.testing.assert_allclose(pd.DataFrame(made).corr("spearman").to_numpy(), ranks, atol=0.05)
    assert np.nanmin(made) >= np.nanmin(scores)
    # The better metric is nearer to the quality, and copies are no nearer than what they are copies of.
    near = [spearmanr(column, quality, nan_policy="omit").statistic for column in made.T]
    assert near[0] > near[3] > near[4]
    assert near[5] == pytest.approx(near[0], abs=0.03)


def test_loadings_are_found_again():
    generator = np.random.default_rng(0)
    true = np.array([0.95, 0.9, 0.8, 0.6, 0.4])
    values = generator.normal(size=(20_000, 1)) * true + generator.normal(size=(20_000, 5)) * np.sqrt(1 - true**2)
    found = loadings(correlation_of_pairs(values), np.full((5, 5), 20_000))
    np.testing.assert_allclose(found, true, atol=0.04)
    two = loadings(np.array([[1.0, 0.64], [0.64, 1.0]]), np.full((2, 2), 500))
    np.testing.assert_allclose(two, 0.8, atol=1e-6)


def test_deviations_are_wide_where_fused_scores_are_dense():
    """By its definition: offset and slope times half the share of training scores within the score's own deviation."""
    scores, _ = drawn(NOISES["three alike"], rows=300)
    method = class_of("robust")().fit(scores, ["a", "b", "c"], np.random.default_rng(0))
    fused, std = method.predict_std(scores)
    scale = RankScale.fit(method, scores, fused, np.random.default_rng(0))
    for row in (0, 100, 200):
        share = np.mean(np.abs(fused - fused[row]) < std[row]) / 2
        found = scale.deviations(fused[[row]], std[[row]]).item()
        assert found == pytest.approx(scale.offset + scale.slope * share, abs=0.01 * scale.slope + 1e-9)
    assert scale.slope > 0
    assert angular(scale.ranks(np.array([-1.0, 2.0]))).tolist() == [0, 1]
