import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.stats import norm, rankdata, spearmanr

from map_score_fusion import ScoreFusion
from map_score_fusion.methods.baselines import (
    UNIFORM_STD,
    FirstComponent,
    MeanRank,
    MeanScaled,
    ReciprocalRank,
    WeightedReciprocalRank,
)
from map_score_fusion.scaling import RobustScaling

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(60, 1)) + RNG.normal(size=(60, 4)) * [0.3, 0.5, 0.8, 1.5]
NAMES = ["a", "b", "c", "d"]


def fit(method, scores=SCORES):
    return method.fit(scores, [f"m{index}" for index in range(scores.shape[1])], np.random.default_rng(0))


def test_mean_rank_is_the_mean_of_ranks():
    ranks = (rankdata(SCORES, axis=0) - 0.5) / len(SCORES)
    np.testing.assert_allclose(fit(MeanRank()).predict(SCORES), ranks.mean(axis=1))


def test_mean_scaled_is_the_mean_of_scaled_scores():
    np.testing.assert_allclose(fit(MeanScaled()).predict(SCORES), RobustScaling.fit(SCORES)(SCORES).mean(axis=1))


def test_rrf_ranks_as_the_published_formula():
    ranks = len(SCORES) + 1 - rankdata(SCORES, axis=0)  # 1 is best
    published = np.sum(1 / (60 + ranks), axis=1)
    fused = fit(ReciprocalRank()).predict(SCORES)
    # On the straight line that takes the worst and the best that any image could have to 0 and 1.
    ends = 4 / (60 + len(SCORES) + 0.5), 4 / (60 + 0.5)
    np.testing.assert_allclose(fused, (published - ends[0]) / (ends[1] - ends[0]), rtol=1e-12)


def test_rrf_of_images_beyond_the_training_table():
    method = fit(ReciprocalRank())
    np.testing.assert_allclose(method.predict(np.array([[99.0] * 4, [-99.0] * 4])), [1, 0], atol=1e-15)


def test_weighted_rrf_weighs_by_the_inverse_variance_of_ranks_about_the_others_mean():
    ranks = (rankdata(SCORES, axis=0) - 0.5) / len(SCORES)
    others = (ranks.sum(axis=1, keepdims=True) - ranks) / 3
    precision = 1 / np.mean((ranks - others) ** 2, axis=0)
    method = fit(WeightedReciprocalRank())
    np.testing.assert_allclose(method.metric_weights, precision / precision.sum())
    assert np.all(np.diff(method.metric_weights[1:]) < 0)
    reciprocal = fit(ReciprocalRank())
    np.testing.assert_allclose(method.predict(SCORES), reciprocal._scale(SCORES) @ method.metric_weights)


def test_weights_of_metrics_that_agree_to_the_last_rank_are_finite():
    column = np.arange(10.0)
    method = fit(WeightedReciprocalRank(), np.column_stack([column, column, -column]))
    assert np.all(np.isfinite(method.metric_weights))


def test_the_uncertainty_of_a_mean_is_as_documented():
    method = fit(MeanRank())
    ranks = (rankdata(SCORES, axis=0) - 0.5) / len(SCORES)
    others = (ranks.sum(axis=1, keepdims=True) - ranks) / 3
    noise = np.sqrt(np.mean((ranks - others) ** 2, axis=0))
    np.testing.assert_allclose(method.noise, noise)
    np.testing.assert_allclose(method.score_uncertainty(SCORES), np.tile(noise, (60, 1)))
    expected = np.sqrt(np.sum((0.5 * (ranks - others) ** 2 + 0.5 * noise**2) / 16, axis=1))
    np.testing.assert_allclose(method.predict_std(SCORES)[1], expected)


def test_disagreement_is_uncertain():
    method = fit(MeanRank())
    agreeing, quarrelling = np.full((1, 4), 0.1), np.array([[2.0, -2.0, 2.0, -2.0]])
    assert method.predict_std(quarrelling)[1] > 2 * method.predict_std(agreeing)[1]


def test_missing_scores_are_left_out_of_the_mean():
    method = fit(MeanRank())
    with_missing = SCORES[:3].copy()
    with_missing[0, 1] = with_missing[1, :3] = np.nan
    ranks = method.scaling(SCORES[:3])
    expected = [ranks[0, [0, 2, 3]].mean(), ranks[1, 3], ranks[2].mean()]
    np.testing.assert_allclose(method.predict(with_missing), expected)
    np.testing.assert_allclose(method.weights(with_missing)[:2], [[1 / 3, 0, 1 / 3, 1 / 3], [0, 0, 0, 1]])
    # With one score left, its metric's usual noise is all that is known.
    np.testing.assert_allclose(method.predict_std(with_missing)[1][1], method.noise[3])


@pytest.mark.parametrize("method", [MeanRank, MeanScaled, ReciprocalRank, WeightedReciprocalRank, FirstComponent])
def test_one_metric_says_nothing_of_its_error(method):
    fitted = fit(method(), SCORES[:, :1])
    fused, deviation = fitted.predict_std(SCORES[:, :1])
    np.testing.assert_array_equal(rankdata(fused), rankdata(SCORES[:, 0]))
    np.testing.assert_allclose(deviation, UNIFORM_STD)
    np.testing.assert_allclose(fitted.score_uncertainty(SCORES[:, :1]), UNIFORM_STD)


def principal_component(scores):
    normal = norm.ppf((rankdata(scores, axis=0) - 0.5) / len(scores))
    standard = normal / normal.std(axis=0)
    eigenvalues, eigenvectors = np.linalg.eigh(np.corrcoef(standard, rowvar=False))
    direction = eigenvectors[:, -1] * np.sign(eigenvectors[:, -1].sum())
    return standard, eigenvalues, direction


def test_first_component_is_in_the_order_of_the_principal_component():
    standard, _, direction = principal_component(SCORES)
    fused = fit(FirstComponent()).predict(SCORES)
    np.testing.assert_allclose(spearmanr(fused, standard @ direction).statistic, 1)


def test_first_components_model_has_the_largest_eigenvalue_and_the_mean_of_the_rest():
    _, eigenvalues, direction = principal_component(SCORES)
    method = fit(FirstComponent())
    np.testing.assert_allclose(method.noise_variance, eigenvalues[:-1].mean())
    covariance = np.outer(method.loadings, method.loadings) + method.noise_variance * np.eye(4)
    np.testing.assert_allclose(covariance @ direction, eigenvalues[-1] * direction)


def test_first_component_is_the_mean_and_deviation_of_the_posterior():
    method = fit(FirstComponent())
    scores = SCORES[:4].copy()
    scores[1, 0] = scores[2, 1:] = np.nan
    fused, deviation = method.predict_std(scores)
    for row in range(4):
        held = ~np.isnan(scores[row])
        loadings, x = method.loadings[held], method._normal_scores(scores[[row]])[0, held]
        # Bayes for Gaussians by matrices, in place of the sums of the code.
        covariance = np.outer(loadings, loadings) + method.noise_variance * np.eye(held.sum())
        gain = loadings @ np.linalg.inv(covariance)
        posterior = norm(gain @ x, np.sqrt(1 - gain @ loadings))
        moments = [quad(lambda s, p=p, d=posterior: norm.cdf(s) ** p * d.pdf(s), -9, 9, limit=200)[0] for p in (1, 2)]
        np.testing.assert_allclose(fused[row], moments[0], atol=1e-7)
        np.testing.assert_allclose(deviation[row], np.sqrt(moments[1] - moments[0] ** 2), atol=1e-6)
    assert deviation[2] > deviation[0]


def test_first_component_leaves_out_what_goes_against_the_rest():
    scores = np.column_stack([SCORES, -SCORES[:, 0]])
    method = fit(FirstComponent(), scores)
    assert method.loadings[4] == 0
    assert method.log.messages == ("m4: against the first principal component, so left out with weight 0",)
    only_that = np.full((1, 5), np.nan)
    only_that[0, 4] = 1.0
    np.testing.assert_allclose(method.predict_std(only_that), [[0.5], [UNIFORM_STD]], rtol=1e-12)
    np.testing.assert_array_equal(method.weights(only_that), [[0, 0, 0, 0, 1]])


def test_mean_of_ranks_on_real_tables(real_scores):
    """The two figures that the comparison of methods starts from: 0.861 on (a) and 0.833 on (c)."""
    kadid = pd.read_csv(real_scores / "vqmt_kadid10k.csv")
    nine = [name for name in kadid if name.startswith(("DSSIM", "SSIMULACRA", "Butteraugli"))]
    assert len(nine) == 9
    fusion = ScoreFusion("mean-rank").fit(kadid[nine])
    found, sizes = [], []
    tests = {"tid2013": "mos", "csiq": "dmos", "live2": "dmos_new", "ivc": "mos", "jpegxr": "mos"}
    for name, column in tests.items():
        test = pd.read_csv(real_scores / f"vqmt_{name}.csv")
        found.append(abs(spearmanr(fusion.predict(test), test[column]).statistic))
        sizes.append(len(test))
    assert round(float(np.average(found, weights=sizes)), 3) == 0.833

    eight = ["DSSIM", "SSIMULACRA", "Butteraugli", "Butteraugli_XL_3m", "psnr", "ssim", "sg_essim", "lgv"]
    six = pd.read_csv(real_scores / "kadid10k_6metrics.csv")
    with pytest.warns(match="infinite scores were clipped"):
        fusion = ScoreFusion("mean-rank").fit(kadid.merge(six, on="dist_img")[eight])
    tid, six = pd.read_csv(real_scores / "vqmt_tid2013.csv"), pd.read_csv(real_scores / "tid2013_6metrics.csv")
    both = tid.assign(key=tid["dist_img"].str.lower()).merge(
        six.drop(columns="mos").assign(key=six["image_name"].str.lower()), on="key"
    )
    assert len(both) == 3000
    assert round(float(spearmanr(fusion.predict(both), both["mos"]).statistic), 3) == 0.861
