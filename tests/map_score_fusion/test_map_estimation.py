"""The paper's methods as wholes: fitting, amortised inference (its section 3.3), free z (3.2), rank fusion (3.4)."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from map_score_fusion.methods import map_estimation
from map_score_fusion.methods.map_estimation import (
    MapEstimation,
    RankFusionM,
    RankFusionMS,
    ScoreFusionM,
    ScoreFusionMS,
)
from map_score_fusion.scaling import EmpiricalDistribution, RobustScaling

METHODS = [ScoreFusionMS, RankFusionMS, ScoreFusionM, RankFusionM]
LEVELS = np.array([0.05, 0.1, 0.15, 0.2, 0.1])


def made_table(rows: int = 400, seed: int = 0, levels: np.ndarray = LEVELS) -> tuple[np.ndarray, np.ndarray]:
    """Qualities (N,), and scores (N, M) of metrics with this much noise, each bent in its own way."""
    generator = np.random.default_rng(seed)
    quality = generator.uniform(size=rows)
    scores = quality[:, None] ** np.linspace(0.4, 1.6, levels.size) + generator.normal(0.0, levels, (rows, levels.size))
    return quality, scores


def fitted(method: MapEstimation, scores: np.ndarray, seed: int = 0) -> MapEstimation:
    return method.fit(scores, [f"metric {column}" for column in range(scores.shape[1])], np.random.default_rng(seed))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of some steps, for what does not depend on a good fit."""
    monkeypatch.setattr(map_estimation, "ROUND", 20)
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS", 2)
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS_FREE", 2)


@pytest.fixture(scope="module")
def converged() -> tuple[ScoreFusionMS, np.ndarray, np.ndarray]:
    quality, scores = made_table()
    return fitted(ScoreFusionMS(), scores), quality, scores


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("amortised", [True, False])
@pytest.mark.parametrize("kind", METHODS)
def test_the_same_seed_gives_the_same_bits(kind: type[MapEstimation], amortised: bool) -> None:
    _, scores = made_table()
    scores[::5, 1] = np.nan
    first, again = (fitted(kind(amortised=amortised), scores, seed=4) for _ in range(2))
    for one, other in zip(first.predict_std(scores), again.predict_std(scores), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.log == again.log
    if amortised:
        assert np.any(fitted(kind(), scores, seed=5).predict(scores) != first.predict(scores))


@pytest.mark.usefixtures("short")
def test_the_global_generators_are_neither_used_nor_moved() -> None:
    _, scores = made_table()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = fitted(ScoreFusionMS(), scores)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    np.testing.assert_array_equal(fitted(ScoreFusionMS(), scores).predict(scores), first.predict(scores))


@pytest.mark.usefixtures("short")
def test_rank_fusion_is_score_fusion_on_normalised_ranks() -> None:
    # Section 3.4: r in place of x in Eq. 6.
    class AsGiven:
        @classmethod
        def fit(cls, _: np.ndarray) -> "AsGiven":
            return cls()

        def __call__(self, scores: np.ndarray) -> np.ndarray:
            return scores

    class OnGivenScale(ScoreFusionMS):
        scaling_kind = AsGiven  # type: ignore[assignment]

    _, scores = made_table()
    ranks = (stats.rankdata(scores, axis=0) - 0.5) / len(scores)
    on_ranks = fitted(OnGivenScale(), ranks)
    np.testing.assert_allclose(on_ranks.predict(ranks), fitted(RankFusionMS(), scores).predict(scores), rtol=1e-9)


@pytest.mark.usefixtures("short")
def test_rank_fusion_does_not_change_with_increasing_maps_of_the_scores() -> None:
    _, scores = made_table()
    np.testing.assert_array_equal(
        fitted(RankFusionMS(), np.exp(3 * scores)).predict(np.exp(3 * scores)),
        fitted(RankFusionMS(), scores).predict(scores),
    )


def test_a_fit_is_on_a_plateau_of_the_training_loss(converged: tuple[ScoreFusionMS, np.ndarray, np.ndarray]) -> None:
    objective = np.array(converged[0].log.objective)
    falls = -np.diff(objective)
    assert converged[0].log.converged
    assert falls.size > 1
    assert falls[-1] < map_estimation.PLATEAU * LEVELS.size
    assert np.all(falls[:-1] >= map_estimation.PLATEAU * LEVELS.size)


def test_a_fit_that_is_not_on_a_plateau_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS", 1)
    log = fitted(ScoreFusionM(), made_table(100)[1]).log
    assert not log.converged
    assert log.messages == ("the loss was still falling after 200 steps, where the fit stopped.",)


def test_the_fused_score_is_better_than_the_median_metric_on_new_images(
    converged: tuple[ScoreFusionMS, np.ndarray, np.ndarray],
) -> None:
    quality, scores = made_table(2000, seed=9)
    fused = stats.spearmanr(converged[0].predict(scores), quality).statistic
    assert fused > np.median([stats.spearmanr(column, quality).statistic for column in scores.T])


@pytest.mark.parametrize("kind", [ScoreFusionMS, RankFusionMS])
def test_metrics_of_pure_noise_get_nearly_no_weight(kind: type[MapEstimation]) -> None:
    # The paper's Table 2, on a made table.
    _, scores = made_table(1000, levels=np.array([0.1, 0.12, 0.15, 0.15, 0.2]))
    with_noise = np.hstack([scores, np.random.default_rng(1).uniform(size=(1000, 2))])
    method = fitted(kind(), with_noise)
    assert method.weights(with_noise).mean(0)[-2:].max() < 0.05
    omega = method.summary()["mean_omega"]
    assert omega[-2:].min() > omega[:-2].max()


def test_a_heywood_collapse_is_reported_with_its_figures() -> None:
    # One good metric among bad ones, so that the encoder soon copies it.
    _, scores = made_table(600, levels=np.array([0.02, 0.3, 0.3, 0.3]))
    method = fitted(ScoreFusionMS(), scores)
    [message] = [message for message in method.log.messages if "Heywood" in message]
    omega = method.summary()["mean_omega"]
    weight = method.weights(scores).mean(0)[0]
    assert omega[0] < 0.03
    assert weight > 0.8
    assert message == (
        f"Heywood collapse: the noise of 'metric 0' (ω̃ {omega[0]:.2g}, weight {weight:.0%}) has nearly gone "
        f"(median ω̃ of the other metrics: {np.median(omega[1:]):.2g}), and the fused score is becoming a copy; the "
        "likelihood has no maximum there."
    )


@pytest.mark.usefixtures("short")
def test_no_collapse_is_reported_where_the_weights_are_even() -> None:
    assert not any("Heywood" in message for message in fitted(ScoreFusionMS(), made_table()[1]).log.messages)


def test_free_z_reaches_at_least_the_objective_of_a_grid_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_estimation, "MAX_ROUNDS_FREE", 2)
    _, scores = made_table(200)
    scores[::4, 2] = np.nan
    method = fitted(ScoreFusionMS(amortised=False), scores)
    scaled = torch.from_numpy(method.scaling(scores))
    latent = torch.from_numpy(method.predict(scores))
    found = method.observation.log_posterior(latent, scaled)
    grid = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)
    searched = torch.stack([method.observation.log_posterior(grid, row).max() for row in scaled])
    assert torch.all(found >= searched - 1e-7)
    # and no less than what the joint optimisation of the fit had come to
    assert -float(found.mean()) <= method.log.objective[-1]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("amortised", [True, False])
@pytest.mark.parametrize("kind", METHODS)
def test_a_saved_state_is_the_same_method(kind: type[MapEstimation], amortised: bool) -> None:
    _, scores = made_table()
    scores[::7, 0] = np.nan
    scores = np.hstack([scores, np.full((len(scores), 1), 3.0)])
    method = fitted(kind(amortised=amortised), scores)
    again = kind.from_state(*method.state())
    assert again.amortised == amortised
    for one, other in zip(method.predict_std(scores), again.predict_std(scores), strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("weights", "score_uncertainty"):
        np.testing.assert_array_equal(getattr(method, name)(scores), getattr(again, name)(scores))
    for name, values in method.summary().items():
        np.testing.assert_array_equal(values, again.summary()[name])


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("amortised", [True, False])
def test_weights_are_shares_without_the_missing(amortised: bool) -> None:
    _, scores = made_table()
    scores[::3, 0] = scores[::4, 2] = np.nan
    weights = fitted(ScoreFusionMS(amortised=amortised), scores).weights(scores)
    assert np.all(weights >= 0.0)
    assert np.all(weights[np.isnan(scores)] == 0.0)
    np.testing.assert_allclose(weights.sum(1), 1.0)


@pytest.mark.usefixtures("short")
def test_amortised_scores_are_the_weighted_means_of_the_scaled_scores() -> None:
    _, scores = made_table()
    scores[::3, 0] = np.nan
    method = fitted(RankFusionMS(), scores)
    mean = np.nansum(method.weights(scores) * method.scaling(scores), axis=1)
    np.testing.assert_allclose(method.predict(scores), mean, rtol=1e-12)


def test_score_uncertainty_is_omega_at_the_fused_score(
    converged: tuple[ScoreFusionMS, np.ndarray, np.ndarray],
) -> None:
    method, _, scores = converged
    scores = scores.copy()
    scores[3, 1] = np.nan
    z = method.predict(scores)[:, None]
    fit = method.summary()
    g = np.log1p(np.exp(fit["g_a"] * z**2 + fit["g_b"] * z + fit["g_c"]))
    expected = np.where(np.isnan(scores), np.nan, np.sqrt(g**2 + fit["sigma"] ** 2))
    np.testing.assert_allclose(method.score_uncertainty(scores), expected, rtol=1e-9)


def test_model_level_uncertainty_is_one_number_for_each_metric() -> None:
    _, scores = made_table(200)
    method = fitted(ScoreFusionM(), scores)
    assert set(method.summary()) == {"f_a", "f_b", "f_c", "sigma", "mean_omega"}
    np.testing.assert_array_equal(
        method.score_uncertainty(scores), np.broadcast_to(method.summary()["sigma"], scores.shape)
    )


def test_curves_are_those_of_scores_drawn_from_the_model(
    converged: tuple[ScoreFusionMS, np.ndarray, np.ndarray],
) -> None:
    method, _, scores = converged
    grid = np.array([0.1, 0.5, 0.9])
    curves = method.curves(grid)
    fit = method.summary()
    generator = np.random.default_rng(0)
    for row, z in enumerate(grid):
        omega = np.log1p(np.exp(fit["g_a"] * z**2 + fit["g_b"] * z + fit["g_c"]))
        noise = stats.skewnorm.rvs(fit["alpha"], scale=omega, size=(200_000, omega.size), random_state=generator)
        noise += generator.normal(0.0, fit["sigma"], noise.shape)
        drawn = method.scaling.inverse(fit["f_c"] - np.exp(fit["f_a"] * (z - fit["f_b"])) + noise)
        spread = drawn.std(axis=0)
        assert np.all(np.abs(curves["expected"][row] - drawn.mean(axis=0)) < 0.02 * spread)
        assert np.all(np.abs(curves["lower"][row] - np.quantile(drawn, 0.16, axis=0)) < 0.02 * spread)
        assert np.all(np.abs(curves["upper"][row] - np.quantile(drawn, 0.84, axis=0)) < 0.02 * spread)
    assert np.all(curves["expected"] <= scores.max(axis=0))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("amortised", [True, False])
def test_a_constant_column_is_left_out_and_named(amortised: bool) -> None:
    _, scores = made_table()
    with_constant = np.insert(scores, 1, 5.0, axis=1)
    method = fitted(ScoreFusionMS(amortised=amortised), with_constant)
    expected = "all training scores of 'metric 1' are the same, so it was left out (weight 0)."
    assert expected in method.log.messages
    without = fitted(ScoreFusionMS(amortised=amortised), scores)
    np.testing.assert_array_equal(method.predict(with_constant), without.predict(scores))
    np.testing.assert_array_equal(method.weights(with_constant), np.insert(without.weights(scores), 1, 0.0, axis=1))
    assert np.all(method.score_uncertainty(with_constant)[:, 1] == 1.0)
    assert np.isnan(method.summary()["f_a"][1])

    only_constant = np.full((1, 6), np.nan)
    only_constant[0, 1] = 5.0
    score, deviation = method.predict_std(only_constant)
    assert score[0] == 0.5
    assert deviation[0] == pytest.approx(12**-0.5)
    np.testing.assert_array_equal(method.weights(only_constant), [[0, 1, 0, 0, 0, 0]])


@pytest.fixture(scope="module")
def shortest() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_estimation, "ROUND", 2)
        patch.setattr(map_estimation, "MAX_ROUNDS", 2)
        patch.setattr(map_estimation, "MAX_ROUNDS_FREE", 2)
        yield


@pytest.mark.usefixtures("shortest")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_table_gives_scores_in_the_unit_interval(data: st.DataObject) -> None:
    rows, metrics = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 12))
    values = st.one_of(st.sampled_from([0.0, 1.0, -1e300, 1e300]), st.floats(-100, 100), st.just(np.nan))
    table = np.array(
        data.draw(st.lists(st.lists(values, min_size=metrics, max_size=metrics), min_size=rows, max_size=rows))
    )
    table[0] = np.where(np.isnan(table[0]), 2.0, table[0])
    table[np.isnan(table).all(axis=1), 0] = 1.0
    kind = data.draw(st.sampled_from(METHODS))
    method = fitted(kind(amortised=data.draw(st.booleans())), table)
    scores, deviations = method.predict_std(table)
    assert np.all((scores >= 0.0) & (scores <= 1.0))
    assert np.all((deviations >= 0.0) & (deviations <= 1.0))
    np.testing.assert_array_equal(method.predict(table), scores)
    weights = method.weights(table)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert np.all(weights[np.isnan(table)] == 0.0)
    uncertainty = method.score_uncertainty(table)
    np.testing.assert_array_equal(np.isnan(uncertainty), np.isnan(table))
    assert np.all(uncertainty[~np.isnan(table)] > 0.0)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("amortised", [True, False])
def test_a_row_does_not_depend_on_the_others(amortised: bool) -> None:
    _, scores = made_table(60)
    scores[::3, 0] = np.nan
    method = fitted(ScoreFusionMS(amortised=amortised), scores)
    together = np.stack(method.predict_std(scores))
    alone = np.hstack([np.stack(method.predict_std(row[None])) for row in scores])
    np.testing.assert_allclose(together, alone, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("kind", "scaling"), [(ScoreFusionMS, RobustScaling), (RankFusionMS, EmpiricalDistribution)])
@pytest.mark.usefixtures("short")
def test_score_and_rank_fusion_differ_in_their_scaling(kind: type[MapEstimation], scaling: type) -> None:
    _, scores = made_table()
    np.testing.assert_array_equal(fitted(kind(), scores).scaling(scores), scaling.fit(scores)(scores))
