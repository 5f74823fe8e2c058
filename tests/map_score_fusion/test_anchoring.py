import warnings

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr
from sklearn.base import clone

from map_score_fusion import FusionWarning, ScoreFusion, ScoreTableError
from map_score_fusion.anchoring import PENALTIES, _slopes
from map_score_fusion.metric_errors import angular

pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


def misleading(rows=1500, seed=0):
    """Three metrics that share an error, and a fourth that is right: without ratings nobody can know. Synthetic."""
    generator = np.random.default_rng(seed)
    quality = generator.uniform(size=rows)
    shared = 0.35 * generator.normal(size=(rows, 1))
    three = quality[:, None] + shared + 0.12 * generator.normal(size=(rows, 3))
    return np.column_stack([three, quality + 0.05 * generator.normal(size=rows)]), quality


def some(quality, count, seed=0):
    ratings = np.full(len(quality), np.nan)
    rated = np.random.default_rng(seed).choice(len(quality), count, replace=False)
    ratings[rated] = 1 + 4 * quality[rated]
    return ratings


def fit(scores, ratings, **arguments):
    return ScoreFusion(**{"higher_is_better": True, "random_state": 0, "use_ratings": True, **arguments}).fit(
        scores, ratings
    )


def test_ratings_correct_what_the_metrics_share():
    scores, quality = misleading()
    plain = ScoreFusion(higher_is_better=True, random_state=0).fit(scores)
    before = spearmanr(plain.predict(scores), quality).statistic
    found = [spearmanr(fit(scores, some(quality, count)).predict(scores), quality).statistic for count in (10, 30, 100)]
    assert found[0] > before - 0.01
    assert found[1] > before + 0.03
    assert found[2] > 0.97
    fusion = fit(scores, some(quality, 100))
    assert fusion.metric_summary_.loc["x3", "rating_share"] > 0.5
    assert fusion.metric_summary_.loc["x3", "weight"] > plain.metric_summary_.loc["x3", "weight"] + 0.3


def test_ratings_of_nothing_change_little(made_table):
    table, quality = made_table()
    plain = ScoreFusion(random_state=0).fit(table)
    for seed in range(3):
        noise = some(np.random.default_rng(seed).permutation(quality), 10, seed)
        if spearmanr(plain.predict(table), noise, nan_policy="omit").statistic < -0.5:
            continue
        found = spearmanr(fit(table, noise, higher_is_better=None).predict(table), quality).statistic
        assert found > spearmanr(plain.predict(table), quality).statistic - 0.1


def test_without_the_users_word_no_rating_is_used(made_table):
    table, quality = made_table()
    plain = ScoreFusion(random_state=0).fit(table)
    with pytest.warns(FusionWarning, match="ratings for some images were given, and are not used"):
        again = ScoreFusion(random_state=0).fit(table, some(quality, 50))
    np.testing.assert_array_equal(again.predict(table), plain.predict(table))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FusionWarning)
        warnings.filterwarnings("ignore", "the direction of")
        ScoreFusion(random_state=0).fit(table, quality)  # those of a pipeline's later steps


@pytest.mark.parametrize("method", ["robust", "mean-rank", "first-component"])
def test_the_results_are_as_the_interface_says(method, made_table, check_results):
    table, quality = made_table(missing=0.05)
    fusion = fit(table, some(quality, 60), method=method, higher_is_better=None)
    check_results(fusion, table)
    assert fusion.method_.shares.sum() == pytest.approx(1)
    assert np.all(fusion.method_.shares >= 0)
    ranks, deviations = fusion.ranks(table)
    error = np.abs(ranks - (rankdata(quality) - 0.5) / len(quality))
    assert 0.9 < np.mean(error <= 2 * deviations) <= 1


def test_the_fused_score_is_the_mean_that_the_weights_say(made_table):
    table, quality = made_table()
    fusion = fit(table, some(quality, 60), higher_is_better=None)
    method = fusion.method_
    oriented = fusion.oriented_scores(table)
    own = angular(method.reference(method.base.predict(oriented)[:, None]))[:, 0]
    positions = angular(method.scaling(oriented))
    expected = method.shares[0] * own + positions @ method.shares[1:]
    np.testing.assert_allclose(fusion.predict(table), expected, atol=1e-12)


def test_it_is_saved_and_repeated(tmp_path, made_table):
    table, quality = made_table(missing=0.05)
    ratings = some(quality, 60)
    fusion = fit(table, ratings, higher_is_better=None)
    fusion.save(tmp_path / "model")
    loaded = ScoreFusion.load(tmp_path / "model")
    for one in (loaded, clone(fusion).fit(table, ratings)):
        np.testing.assert_array_equal(one.predict(table), fusion.predict(table))
        np.testing.assert_array_equal(one.ranks(table)[1], fusion.ranks(table)[1])
        np.testing.assert_array_equal(one.weights(table), fusion.weights(table))


def test_rated_images_count_whatever_the_sample():
    scores, quality = misleading(rows=3000)
    fusion = fit(scores, some(quality, 100), max_fit_rows=500)
    assert fusion.method_.ratings == 100
    assert fusion.n_fit_rows_ == 500


def test_with_an_infinite_penalty_the_ratings_only_set_the_scale():
    generator = np.random.default_rng(0)
    positions, ratings = generator.uniform(size=(20, 4)), generator.uniform(size=20)
    assert PENALTIES[0] == np.inf
    slopes = _slopes(positions, ratings, np.inf)
    assert np.all(slopes[1:] == 0)
    far = _slopes(positions, ratings, 1e9)
    np.testing.assert_allclose(far, slopes, atol=1e-6)


@pytest.mark.parametrize(
    ("ratings", "match"),
    [
        (lambda _: None, "use_ratings=True needs y"),
        (lambda quality: some(quality, 5), "5 images have a rating and a score; at least 6 are needed"),
        (lambda quality: np.where(np.isnan(some(quality, 9)), np.nan, 3.0), "all 9 ratings are 3; they tell no images"),
        (lambda quality: -some(quality, 40), r"ratings fall as fused scores rise .*-0\.\d\d over 40 images"),
        (lambda quality: quality[:-1], r"for each of the 400 images, got shape \(399,\)"),
        (lambda quality: np.where(quality == quality[3], np.inf, quality), "the rating of row 3 is infinite"),
        (lambda quality: ["good", *quality[1:]], "the rating of row 0 is 'good', which is no number"),
    ],
)
def test_wrong_ratings_are_named(ratings, match, made_table):
    table, quality = made_table()
    with pytest.raises(ScoreTableError, match=match):
        fit(table, ratings(quality), higher_is_better=None)
