import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from iqa_datasets.agreement import fit_logistic
from map_score_fusion import (
    ScoreTableError,
    agreement,
    agreement_difference,
    size_weighted,
)
from map_score_fusion.bootstrap import Resampling, _below, _groups, _net_concordance, correlation_draws


@pytest.fixture(params=["plain", "ties", "falling", "long tail"])
def scores_and_ratings(request):
    generator = np.random.default_rng(3)
    quality = generator.uniform(size=150)
    scores = quality + generator.normal(scale=0.2, size=150)
    ratings = 1 + 4 * quality
    match request.param:
        case "ties":
            return np.round(scores, 1), np.round(ratings)
        case "falling":
            return -scores, ratings
        case "long tail":
            return np.exp(3 * scores), ratings
    return scores, ratings


def test_rank_correlations_are_those_of_scipy(scores_and_ratings):
    x, y = scores_and_ratings
    found = agreement(x, y)
    assert found.srcc == pytest.approx(scipy.stats.spearmanr(x, y).statistic, abs=1e-12)
    assert found.krcc == pytest.approx(scipy.stats.kendalltau(x, y).statistic, abs=1e-12)
    assert (found.images, found.left_out, found.note) == (150, 0, "")
    assert found.srcc_interval is None


@settings(deadline=None, max_examples=50)
@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_plcc_does_not_depend_on_units(shift, scale, rating_shift, rating_scale):
    generator = np.random.default_rng(0)
    x = generator.normal(size=60)
    y = np.tanh(x) + generator.normal(scale=0.3, size=60)
    plain = agreement(x, y).plcc
    moved = agreement(shift + scale * x, rating_shift + rating_scale * y).plcc
    assert moved == pytest.approx(plain, abs=1e-4)


def test_infinite_scores_are_the_best_or_worst():
    x = np.array([-np.inf, 0.1, 0.2, 0.3, 0.4, 0.5, np.inf, np.inf])
    y = np.arange(8.0)
    found = agreement(x, y, resamples=50)
    clipped = np.clip(x, -1, 1)
    assert found.srcc == scipy.stats.spearmanr(clipped, y).statistic
    assert found.krcc == scipy.stats.kendalltau(clipped, y).statistic
    assert 0.9 < found.plcc <= 1
    assert np.isfinite([*found.srcc_interval, *found.plcc_interval, *found.krcc_interval]).all()


def test_figures_rest_on_the_images_that_have_both():
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(2, 40))
    missing_x, missing_y = x.copy(), y.copy()
    missing_x[:7] = np.nan
    missing_y[5:12] = np.nan
    found = agreement(missing_x, missing_y)
    assert (found.images, found.left_out) == (28, 12)
    assert found.srcc == agreement(x[12:], y[12:]).srcc


@pytest.mark.parametrize(
    ("scores", "ratings", "why"),
    [
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], "5 images have both a score and a rating; 6 are the fewest"),
        ([1.0] * 8, range(8), "all 8 images have the same score"),
        (range(8), [2.0] * 8, "all 8 images have the same rating"),
        ([np.nan] * 8, range(8), "0 images"),
    ],
)
def test_says_why_there_is_no_figure(scores, ratings, why):
    found = agreement(list(scores), list(ratings), resamples=10)
    assert np.isnan([found.srcc, found.plcc, found.krcc]).all()
    assert why in found.note


@pytest.mark.parametrize(
    ("scores", "ratings", "options", "message"),
    [
        ([1, 2], [1, 2, 3], {}, r"shapes \(2,\) and \(3,\)"),
        ([[1, 2]], [[1, 2]], {}, "two vectors"),
        ([1, 2], [1, np.inf], {}, "the rating of row 1 is infinite"),
        ([1, 2], [1, 2], {"resamples": -1}, "resamples must be 0 or more"),
        ([1, 2], [1, 2], {"confidence": 1.0}, "confidence between 0 and 1"),
    ],
)
def test_refuses_what_is_not_as_documented(scores, ratings, options, message):
    with pytest.raises(ScoreTableError, match=message):
        agreement(scores, ratings, **options)
    for pair in ([scores, ratings[: len(scores)]], [ratings[: len(scores)], scores]):
        with pytest.raises(ScoreTableError, match=message):
            agreement_difference(*pair, ratings, **options)


def test_the_intervals_of_a_difference_hold_it_and_change_their_sign_with_the_order(scores_and_ratings):
    x, y = scores_and_ratings
    other = x + np.random.default_rng(1).normal(scale=2 * x.std(), size=len(x))
    found = agreement_difference(x, other, y, resamples=50)
    each = agreement(x, y), agreement(other, y)
    turned = agreement_difference(other, x, y, resamples=50)
    for figure in ("srcc", "plcc", "krcc"):
        difference = getattr(each[0], figure) - getattr(each[1], figure)
        assert getattr(found, figure) == pytest.approx(difference, abs=1e-12)
        low, high = getattr(found, f"{figure}_interval")
        assert low < difference < high
        assert getattr(turned, f"{figure}_interval") == pytest.approx((-high, -low), abs=1e-9)


def references(images, per_reference=10):
    """Ten distorted images of each of some references, but for the first, which has five more."""
    return np.concatenate([np.zeros(5, dtype=int), np.arange(images) // per_reference])[:images]


def places(x, fit):
    _, _, middle, width = fit.parameters
    return scipy.special.expit((x - middle) / width)


@pytest.mark.parametrize("grouped", [False, True])
def test_bootstrap_is_that_of_the_resampled_images(scores_and_ratings, grouped):
    """Against scipy on the very resamples: SRCC exactly; PLCC and KRCC to first order, which leaves their spread."""
    x, y = scores_and_ratings
    images, resamples = len(x), 200
    fit = fit_logistic(x, y)
    group = references(images) if grouped else np.arange(images)
    resampling = Resampling(group, resamples, seed=5)
    srcc, plcc, krcc = correlation_draws(x, y, places(x, fit), resampling)
    counts = np.concatenate(list(resampling.counts())).astype(int)
    if grouped:
        assert all(len(set(row[group == 3])) == 1 for row in counts)
        assert (counts[:, [np.flatnonzero(group == one)[0] for one in range(15)]].sum(axis=1) == 15).all()
    else:
        assert (counts.sum(axis=1) == images).all()
    drawn = [np.repeat(np.arange(images), row) for row in counts]
    assert srcc == pytest.approx([scipy.stats.spearmanr(x[rows], y[rows]).statistic for rows in drawn], abs=1e-9)
    direct = np.array([scipy.stats.kendalltau(x[rows], y[rows]).statistic for rows in drawn])
    assert krcc.std() == pytest.approx(direct.std(), rel=0.1)
    assert krcc.mean() == pytest.approx(direct.mean(), abs=0.1 * direct.std())
    assert np.corrcoef(krcc, direct)[0, 1] > 0.9
    refitted = np.array([fit_logistic(x[rows], y[rows]).correlation for rows in drawn[:30]])
    assert plcc[:30].std() == pytest.approx(refitted.std(), rel=0.15)
    assert np.corrcoef(plcc[:30], refitted)[0, 1] > 0.95
    assert (np.abs(plcc[:30]) <= np.abs(refitted) + 1e-6).all()  # the place and width of the whole are never better


def test_intervals_are_seeded_and_do_not_depend_on_the_pieces(monkeypatch):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    whole = agreement(x, y, resamples=100, seed=1)
    monkeypatch.setattr("map_score_fusion.bootstrap._CELLS", 7 * 50)
    assert agreement(x, y, resamples=100, seed=1) == whole
    assert agreement(x, y, resamples=100, seed=2).srcc_interval != whole.srcc_interval
    low, high = whole.srcc_interval
    assert low < whole.srcc < high
    wider = agreement(x, y, resamples=100, seed=1, confidence=0.99).srcc_interval
    assert wider[0] <= low
    assert wider[1] >= high


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_concordance_is_that_of_all_pairs(points):
    x, y = np.array(points).T
    below = ((x[None] < x[:, None]) & (y[None] < y[:, None])).sum(axis=1)
    assert (_below(x, y) == below).all()
    signs = np.sign(x[:, None] - x[None]) * np.sign(y[:, None] - y[None])
    assert (_net_concordance(_groups(x)[0], _groups(y)[0]) == signs.sum(axis=1)).all()


def test_size_weighted():
    assert size_weighted([0.5, 0.8], [100, 300]) == pytest.approx(0.725)
    assert np.isnan(size_weighted([0.5, float("nan")], [100, 300]))
    with pytest.raises(ScoreTableError, match="one size for each value"):
        size_weighted([0.5], [1, 2])


@pytest.mark.parametrize("sizes", [[0, 0], [1, -1], [-2, 3], [1, np.nan], [1, np.inf]])
def test_sizes_that_weigh_nothing_are_refused(sizes):
    with pytest.raises(ScoreTableError, match="sizes must be finite, at least 0 and not all 0"):
        size_weighted([1, 2], sizes)


CLUSTERS, DISTORTIONS, REPEATS = 25, 40, 100


def clustered(generator, clusters=CLUSTERS):
    """A rating and two metrics of distorted images, which share what is special about their reference. Synthetic."""
    quality = np.tile(np.linspace(-1, 1, DISTORTIONS), clusters)

    def per_reference(scale):
        return np.repeat(generator.normal(scale=scale, size=clusters), DISTORTIONS)

    def noise():
        return generator.normal(scale=0.3, size=len(quality))

    rating = quality + per_reference(0.2) + noise()
    return (
        rating,
        quality + per_reference(0.8) + noise(),
        quality + per_reference(1.2) + noise(),
        np.repeat(np.arange(clusters), DISTORTIONS),
    )


@pytest.fixture(scope="module")
def intervals_of_clustered_images():
    """The truth over all references, and each repeat's intervals: over references, over images, of the difference."""
    rating, good, bad, _ = clustered(np.random.default_rng(99), clusters=20_000)
    srcc = [scipy.stats.spearmanr(score, rating).statistic for score in (good, bad)]
    over_references, over_images, differences = [], [], []
    for repeat in range(REPEATS):
        rating, good, bad, group = clustered(np.random.default_rng(repeat))
        over_references.append(agreement(good, rating, groups=group, resamples=150, seed=repeat).srcc_interval)
        over_images.append(agreement(good, rating, resamples=150, seed=repeat).srcc_interval)
        found = agreement_difference(good, bad, rating, groups=group, resamples=150, seed=repeat)
        differences.append(found.srcc_interval)
    return srcc, *map(np.array, (over_references, over_images, differences))


def held(intervals, truth):
    return np.mean((intervals[:, 0] <= truth) & (truth <= intervals[:, 1]))


@pytest.mark.slow
def test_intervals_over_references_hold_the_truth_where_those_over_images_do_not(intervals_of_clustered_images):
    (truth, _), over_references, over_images, _ = intervals_of_clustered_images
    # 95 % but for three binomial deviations of 100 repeats.
    assert 0.88 < held(over_references, truth) < 0.99
    assert held(over_images, truth) < 0.60
    assert np.median(np.ptp(over_references, axis=1)) > 2 * np.median(np.ptp(over_images, axis=1))


@pytest.mark.slow
def test_intervals_of_a_difference_hold_the_truth(intervals_of_clustered_images):
    (good, bad), _, _, differences = intervals_of_clustered_images
    assert 0.88 < held(differences, good - bad) <= 1


def test_a_difference_is_of_the_images_that_have_both(scores_and_ratings):
    x, y = scores_and_ratings
    other = np.random.default_rng(7).normal(size=len(x)) + y
    holed = other.copy()
    holed[:20] = np.nan
    found = agreement_difference(x, holed, y, resamples=50, seed=1)
    one, two = agreement(x[20:], y[20:]), agreement(other[20:], y[20:])
    assert found.images == len(x) - 20
    assert (found.srcc, found.plcc, found.krcc) == pytest.approx(
        (one.srcc - two.srcc, one.plcc - two.plcc, one.krcc - two.krcc), abs=1e-9
    )
    assert found.srcc_interval[0] < found.srcc < found.srcc_interval[1]
    same = agreement_difference(x, x, y, resamples=50)
    assert (same.srcc, same.srcc_interval, same.krcc_interval) == (0, (0, 0), (0, 0))
    assert "0 images" in agreement_difference(x, x * np.nan, y).note


def test_paired_intervals_are_narrower_than_their_ends_suggest(scores_and_ratings):
    """Two scores that err alike differ by less than their own intervals say."""
    x, y = scores_and_ratings
    near = x + 0.05 * np.random.default_rng(8).normal(size=len(x)) * x.std()
    found = np.ptp(agreement_difference(x, near, y, resamples=300).srcc_interval)
    assert found < 0.5 * np.ptp(agreement(x, y, resamples=300).srcc_interval)


def test_groups_are_checked_and_counted():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 40))
    names = np.array([f"I{row // 10:02}.png" for row in range(40)])
    found = agreement(x, y, groups=names, resamples=50)
    assert found.groups == agreement(x, y, groups=names, resamples=0).groups == 4
    assert agreement(x, y, resamples=0).groups is None
    assert found.srcc_interval == agreement(x, y, groups=np.arange(40) // 10, resamples=50).srcc_interval
    assert found.srcc_interval != agreement(x, y, resamples=50).srcc_interval
    alone = agreement(x, y, groups=["one"] * 40, resamples=50)
    assert alone.srcc_interval is None
    assert alone.groups == 1
    assert "all images are of one group" in alone.note
    with pytest.raises(ScoreTableError, match=r"one entry for each of the 40 images, got shape \(39,\)"):
        agreement(x, y, groups=names[:39])
    with pytest.raises(ScoreTableError, match="the group of row 3 is missing"):
        agreement(x, y, groups=[None if row == 3 else "a" for row in range(40)])
    with pytest.raises(ScoreTableError, match="resamples is 0"):
        agreement_difference(x, y, y, resamples=0)


def test_perfect_scores_have_perfect_intervals():
    found = agreement(np.arange(30), np.arange(30) ** 2, resamples=50)
    assert found.srcc_interval[1] == found.srcc == 1
    assert found.srcc_interval[0] > 0.999
