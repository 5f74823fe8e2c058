import numpy as np
import pytest
import scipy.stats

from map_score_fusion import ScoreTableError, rank_deviations, uncertainty_agreement


def test_uncertainty_is_compared_with_the_error_of_the_ranks():
    generator = np.random.default_rng(2)
    ratings = generator.permutation(400).astype(float)
    std = generator.uniform(10, 100, size=400)
    fused = ratings + generator.normal(size=400) * std
    found = uncertainty_agreement(fused, std, ratings)
    error = np.abs(scipy.stats.rankdata(fused) - scipy.stats.rankdata(ratings)) / 400
    assert found.images == 400
    of_rank = rank_deviations(fused, std)
    assert found.spearman == pytest.approx(scipy.stats.spearmanr(of_rank, error).statistic)
    assert found.spearman > 0.2
    assert found.coverage == np.mean(error <= 2 * of_rank)
    assert 0.85 < found.coverage < 1
    assert uncertainty_agreement(fused, std / 4, ratings).coverage < found.coverage - 0.3
    assert list(found.quarter_errors) == sorted(found.quarter_errors)
    assert np.mean(found.quarter_errors) == pytest.approx(error.mean())
    # All of one deviation: ranks on an even grid have one deviation too, but at the ends.
    assert np.isnan(uncertainty_agreement(ratings, np.zeros(400), ratings[::-1]).spearman)


def test_the_rank_is_uncertain_where_scores_are_dense():
    fused = np.concatenate([np.linspace(0, 0.1, 90), np.linspace(0.2, 1, 10)])
    found = rank_deviations(fused, np.full(100, 0.02))
    assert found[10:80].min() > 5 * found[91:].max()
    # By its definition, image by image.
    for index in (0, 45, 95):
        inside = np.mean(np.abs(fused - fused[index]) < 0.02)
        assert found[index] == pytest.approx(inside / 2, abs=0.006)
    missing = rank_deviations([0.1, np.nan, 0.3], [0.1, 0.1, np.nan])
    np.testing.assert_array_equal(np.isnan(missing), [False, True, True])
    assert np.isnan(rank_deviations([np.nan], [0.1])).all()


@pytest.mark.parametrize("deviations", [[0.1], 0.1, [[0.1, 0.1, 0.1]], np.ones((3, 3))])
def test_shapes_that_would_broadcast_are_refused(deviations):
    with pytest.raises(ScoreTableError, match="two vectors of one length, got shapes"):
        rank_deviations([0.1, 0.2, 0.3], deviations)


def test_negative_deviations_are_refused():
    with pytest.raises(ScoreTableError, match=r"the deviation of row 1 is -0\.1; deviations are at least 0"):
        rank_deviations([0.1, 0.2, 0.3], [0.1, -0.1, 0.2])
