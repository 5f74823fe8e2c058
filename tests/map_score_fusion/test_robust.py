"""The default method against direct computation, and the two traps that it was made to avoid."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import spearmanr, t

from map_score_fusion import ScoreFusion
from map_score_fusion.methods.robust import CURVE_BINS, DEGREES_OF_FREEDOM, Robust, _curves

pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


def made_scores(rows=2000, noise=(0.05, 0.1, 0.1, 0.2, 0.3), seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.uniform(size=rows)
    return quality[:, None] + np.array(noise) * rng.standard_t(4, size=(rows, len(noise))), quality


def fit(scores):
    return Robust().fit(scores, [f"m{index}" for index in range(scores.shape[1])], np.random.default_rng(0))


@pytest.fixture(scope="module")
def fitted():
    scores, quality = made_scores()
    return fit(scores), scores, quality


def exponents(method):
    """Proportional to weight times noise, with the number of witnesses as their sum."""
    powers = method.metric_weights * method.variances
    return powers / powers.sum() * np.sum(method.agreement / method.agreement.max() / method.likeness.sum(axis=1))


def log_posterior(method, positions, z, powers):
    """By scipy's own t distribution, up to a constant."""
    scales = np.sqrt(method.variances)
    return np.sum(powers * t.logpdf((positions - z) / scales, DEGREES_OF_FREEDOM))


def test_the_fused_score_is_a_mode(fitted):
    method, scores, _ = fitted
    positions, fused = method.scaling(scores), method.predict(scores)
    for row in range(200):
        near = (max(fused[row] - 0.02, 0), min(fused[row] + 0.02, 1))
        found = minimize_scalar(
            lambda z, row=row: -log_posterior(method, positions[row], z, exponents(method)),
            bounds=near, method="bounded", options={"xatol": 1e-10},
        )  # fmt: skip
        assert fused[row] == pytest.approx(found.x, abs=1e-5)


def test_the_fused_score_is_the_weighted_mean_of_the_ranks(fitted):
    method, scores, _ = fitted
    positions = method.scaling(scores)
    fused, weights, uncertainty = method.predict(scores), method.weights(scores), method.score_uncertainty(scores)
    np.testing.assert_allclose((weights * positions).sum(axis=1), fused, atol=1e-7)
    precisions = exponents(method) / uncertainty**2
    np.testing.assert_allclose(weights, precisions / precisions.sum(axis=1, keepdims=True), rtol=1e-9)


def test_where_all_scores_agree_the_fused_score_is_the_best_weighted_mean(fitted):
    method, scores, _ = fitted
    alike = np.quantile(scores, [0.2, 0.5, 0.8], axis=0)
    expected = np.broadcast_to(method.metric_weights, alike.shape)
    np.testing.assert_allclose(method.weights(alike), expected, atol=1e-4)
    np.testing.assert_allclose(method.predict(alike), [0.2, 0.5, 0.8], atol=1e-3)


def test_a_score_that_is_far_off_counts_as_twelve_degrees_of_freedom_say(fitted):
    method, scores, _ = fitted
    squares = (method.scaling(scores) - method.predict(scores)[:, None]) ** 2
    shares = method.metric_weights / (1 + squares / (12 * method.variances))
    np.testing.assert_allclose(method.weights(scores), shares / shares.sum(axis=1, keepdims=True), rtol=1e-6)


def test_a_metric_that_is_not_needed_still_scores_an_image_that_has_no_other():
    rng = np.random.default_rng(5)
    quality = rng.uniform(size=500)
    table = np.column_stack([quality, quality + 0.01 * rng.normal(size=500), rng.permutation(quality)])
    method = fit(table)
    assert method.metric_weights[2] < 1e-3
    only = np.full((2, 3), np.nan)
    only[:, 2] = 0.2, 0.8
    np.testing.assert_allclose(method.weights(only), [[0, 0, 1], [0, 0, 1]])
    assert np.isfinite(method.predict_std(only)).all()


def test_the_powers_add_up_to_the_number_of_witnesses(fitted):
    method, scores, _ = fitted
    copied = fit(np.hstack([scores, np.repeat(scores[:, [0]], 10, axis=1)]))
    assert method._exponents.sum() == pytest.approx(exponents(method).sum())
    assert 2.5 < method._exponents.sum() < 5
    assert copied._exponents.sum() == pytest.approx(method._exponents.sum(), rel=0.25)


def test_the_standard_deviation_is_the_posteriors(fitted):
    method, scores, _ = fitted
    positions = method.scaling(scores[:20])
    _, found = method.predict_std(scores[:20])
    grid = np.linspace(0, 1, 101)
    for row, deviation in enumerate(found):
        peak = max(log_posterior(method, positions[row], z, exponents(method)) for z in grid)

        def moment(z, power, row=row, peak=peak):
            return z**power * np.exp(log_posterior(method, positions[row], z, exponents(method)) - peak)

        mass, mean, square = (quad(moment, 0, 1, args=(power,))[0] for power in range(3))
        assert deviation == pytest.approx(np.sqrt(square / mass - (mean / mass) ** 2), rel=1e-4)


def test_a_missing_score_takes_part_with_its_conditional_expectation(fitted):
    method, scores, _ = fitted
    holed = scores[:50].copy()
    holed[::2, 0] = np.nan
    holed[::3, 3] = np.nan
    completed = holed.copy()
    present = ~np.isnan(holed)
    positions = method.scaling(holed)
    for row, there in enumerate(present):
        inverse = np.linalg.inv(method.covariance[np.ix_(there, there)])
        expected = method.means[~there] + method.covariance[np.ix_(~there, there)] @ inverse @ (
            positions[row, there] - method.means[there]
        )
        positions[row, ~there] = np.clip(expected, 0, 1)
    assert np.isnan(completed).any()
    np.testing.assert_allclose(method.predict(holed), method._mode(positions), atol=1e-9)
    # Fewer scores, less certain; and what is missing has no weight.
    whole = method.predict_std(scores[:50])[1]
    less = method.predict_std(holed)[1]
    assert np.mean(less[::6]) > np.mean(whole[::6])
    assert np.all(method.weights(holed)[~present] == 0)


def test_better_metrics_get_more_weight(fitted):
    method, scores, quality = fitted
    assert np.all(np.diff(method.summary()["noise"])[[0, 2, 3]] > 0)
    weights = method.weights(scores).mean(axis=0)
    assert np.all(np.diff(weights)[[0, 2, 3]] < 0)
    mean_of_ranks = method.scaling(scores).mean(axis=1)
    assert spearmanr(method.predict(scores), quality).statistic > spearmanr(mean_of_ranks, quality).statistic + 0.01


@pytest.mark.parametrize("copies", [1, 5, 20])
def test_copies_of_a_metric_change_nothing(copies):
    scores, quality = made_scores()
    alone = fit(scores)
    rng = np.random.default_rng(1)
    near = scores[:, [4]] + 1e-4 * rng.normal(size=(len(scores), copies))
    together = np.hstack([scores, near])
    method = fit(together)
    assert np.mean(np.abs(method.predict(together) - alone.predict(scores))) < 0.01
    kept = spearmanr(alone.predict(scores), quality).statistic
    assert spearmanr(method.predict(together), quality).statistic > kept - 0.005
    assert method.weights(together)[:, 4:].sum(axis=1).mean() < 1.5 * alone.weights(scores)[:, 4].mean() + 0.01


def test_metrics_of_pure_noise_get_no_weight():
    scores, quality = made_scores()
    noise = np.random.default_rng(2).uniform(size=(len(scores), 3))
    together = np.hstack([scores, noise])
    method = fit(together)
    assert method.weights(together)[:, 5:].mean(axis=0).max() < 0.02
    kept = spearmanr(fit(scores).predict(scores), quality).statistic
    assert spearmanr(method.predict(together), quality).statistic > kept - 0.005


def test_one_metric_far_off_does_not_take_the_image_with_it():
    scores, _ = made_scores()
    method = fit(scores)
    good = np.full((1, 5), 0.9)
    off = good.copy()
    off[0, 1] = 0.0
    # A weighted mean would move by 0.9 times the weight of the one.
    usual = method.weights(good)[0, 1]
    assert abs(method.predict(off) - method.predict(good)).item() < 0.6 * 0.9 * usual
    assert method.weights(off)[0, 1] < 0.6 * usual
    assert method.score_uncertainty(off)[0, 1] > 1.5 * method.score_uncertainty(good)[0, 1]
    assert method.predict_std(off)[1].item() > method.predict_std(good)[1].item()


def test_the_curves_lie_in_the_training_range_and_never_fall(fitted):
    method, scores, _ = fitted
    curves = method.curves(np.linspace(0, 1, 33))
    for name in ("expected", "lower", "upper"):
        assert np.all(np.diff(curves[name], axis=0) >= 0)
        assert np.all((curves[name] >= scores.min(axis=0)) & (curves[name] <= scores.max(axis=0)))
    assert np.all(curves["lower"] <= curves["expected"])
    assert np.all(curves["expected"] <= curves["upper"])
    inside = [
        np.mean(
            (scores[:, metric] >= np.interp(method.predict(scores), np.linspace(0, 1, 33), curves["lower"][:, metric]))
            & (
                scores[:, metric]
                <= np.interp(method.predict(scores), np.linspace(0, 1, 33), curves["upper"][:, metric])
            )
        )
        for metric in range(5)
    ]
    # At the ends a good metric's scores are denser than a curve that never falls can follow.
    assert np.all((np.array(inside) > 0.63) & (np.array(inside) < 0.85))


def test_half_of_the_scores_lie_above_the_expected_one(fitted):
    method, scores, _ = fitted
    grid = np.linspace(0, 1, 201)
    expected = method.curves(grid)["expected"]
    fused = method.predict(scores)
    # The most precise metric shows a shift of the curve by a bin, 1/64 of the scale, best.
    middle = (fused > 0.1) & (fused < 0.9)
    above = scores[middle, 0] > np.interp(fused[middle], grid, expected[:, 0])
    assert above.mean() == pytest.approx(0.5, abs=0.04)


def test_a_few_images_that_a_metric_misjudges_do_not_lift_its_curve():
    scores, quality = made_scores(rows=300, noise=(0.02, 0.05, 0.05, 0.05))
    scores[np.argsort(quality)[:5], 0] = 1.0
    expected = fit(scores).curves(np.linspace(0, 1, 33))["expected"][:, 0]
    assert expected[8] < 0.35


def test_a_stretch_of_few_images_does_not_lift_the_curve_above_it():
    # Nothing but five images that the metric misjudges below 0.2, and a thousand that it judges rightly above.
    right = np.linspace(0.2, 1.0, 1000)
    fused = np.concatenate([np.full(5, 0.05), right])
    ranks = np.concatenate([np.full(5, 0.95), right])[:, None]
    median = _curves(ranks, fused)[0, :, 0]
    assert np.all(np.diff(median) >= 0)
    middles = (np.arange(CURVE_BINS) + 0.5) / CURVE_BINS
    above = middles > 0.3
    np.testing.assert_allclose(median[above], middles[above], atol=0.03)


def test_a_monotone_change_of_a_metric_changes_nothing(fitted):
    method, scores, _ = fitted
    changed = scores.copy()
    changed[:, 0] = np.exp(3 * scores[:, 0])
    changed[:, 2] = -1 / (5 + scores[:, 2])
    np.testing.assert_allclose(fit(changed).predict(changed), method.predict(scores), atol=1e-9)


def test_it_is_the_default():
    assert ScoreFusion().method == "robust"


def test_a_row_has_the_same_bits_whatever_comes_with_it(fitted):
    method, scores, _ = fitted
    together = method.predict(scores)
    for rows in (slice(0, 1), slice(3, 40), slice(100, 1900)):
        np.testing.assert_array_equal(method.predict(scores[rows]), together[rows])
