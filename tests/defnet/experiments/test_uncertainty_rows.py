"""Uncertainty from tables of predictions alone, against densities of scipy and fusion written out by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from defnet import DataError, TrainConfig
from defnet.config.model import ModelConfig
from defnet.experiments.found_runs import FoundRun
from defnet.experiments.prediction_table import write_predictions
from defnet.experiments.result import Result
from defnet.experiments.uncertainty_rows import (
    CORRECTIONS,
    FUSIONS,
    fused_evidence,
    uncertainty_rows,
)
from defnet.experiments.uncertainty_table import uncertainty_table

Plant = Callable[..., pd.DataFrame]

MODEL = ModelConfig(train_crops=2)
CROPS = 5


@pytest.fixture(scope="module")
def predictions(plant_predictions: Plant) -> pd.DataFrame:
    """Errors twice as large as stated, and views that differ so that every way to fuse gives something else."""
    table = plant_predictions(overconfidence=2.0)
    generator = np.random.default_rng(7)
    for name, low, high in (("loc", -0.5, 0.5), ("nu", 0.2, 2), ("alpha_minus_one", 0.5, 9), ("beta", 0.05, 0.5)):
        local, image = generator.uniform(low, high, (len(table), CROPS)), generator.uniform(low, high, len(table))
        if name == "loc":
            local, image = local + table[name].to_numpy()[:, None], image + table[name].to_numpy()
        table[f"local_{name}"], table[f"global_{name}"] = list(local), image
    return table


def _by_hand(table: pd.DataFrame, fusion: str, row: int) -> tuple[float, float, float, float]:
    """δ, ν, α, β of one image, by the paper's equations for two experts, one after the other."""

    def views(prefix: str) -> np.ndarray:
        return np.stack([np.asarray(table[prefix + n][row]) for n in ("loc", "nu", "alpha_minus_one", "beta")], -1)

    def plus(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        nu = one[1] + two[1]
        loc = (one[1] * one[0] + two[1] * two[0]) / nu
        spread = one[1] * (one[0] - loc) ** 2 + two[1] * (two[0] - loc) ** 2
        return np.array([loc, nu, one[2] + two[2] + 0.5, one[3] + two[3] + spread / 2])

    local, image = views("local_"), views("global_")
    local[:, 2] += 1
    image[2] += 1
    if fusion == "local-global":
        return tuple(np.mean([plus(view, image) for view in local], axis=0))
    if fusion == "single crop":
        return tuple(plus(local[CROPS // 2], image))
    fused = local[0]
    for view in local[1:]:
        fused = plus(fused, view)
    if fusion == "cross tempered":
        # Every expert's evidence w times: as many copies of each, of which there are w N in all.
        weight = 2 / CROPS
        loc, nu = fused[0], fused[1] * weight
        alpha = weight * (local[:, 2] + 0.5).sum() - 0.5
        fused = np.array([loc, nu, alpha, fused[3] * weight])
    return tuple(fused)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_ways_to_fuse_are_the_papers_equations(predictions: pd.DataFrame, fusion: str) -> None:
    found = fused_evidence(predictions, fusion, MODEL)
    for row in (0, 5, 17):
        expected = _by_hand(predictions, fusion, row)
        np.testing.assert_allclose(
            [found.loc[row], found.nu[row], found.alpha[row], found.beta[row]], expected, rtol=1e-12
        )


def test_softplus_comes_again_where_the_model_has_it_twice(predictions: pd.DataFrame) -> None:
    once = fused_evidence(predictions, "local-global", MODEL)
    twice = fused_evidence(predictions, "local-global", MODEL.model_copy(update={"softplus": "twice"}))
    np.testing.assert_allclose(twice.loc, np.log1p(np.exp(once.loc)), rtol=1e-12)
    np.testing.assert_allclose(twice.alpha, np.log1p(np.exp(once.alpha)), rtol=1e-12)


def test_every_figure_is_that_of_the_predictive_distribution(predictions: pd.DataFrame) -> None:
    rows = uncertainty_rows(predictions, MODEL).set_index(["fusion", "correction"])
    assert set(rows.index) == {(fusion, correction) for fusion in FUSIONS for correction in CORRECTIONS}
    parts = {part: predictions[predictions["part"] == part].reset_index(drop=True) for part in ("val", "test")}
    for fusion in FUSIONS:
        of_part = {}
        for part, table in parts.items():
            loc, nu, alpha, beta = np.array([_by_hand(table, fusion, row) for row in range(len(table))]).T
            of_part[part] = loc, np.sqrt(beta * (1 + nu) / nu / alpha), alpha
        rated = {part: table["quality"].to_numpy() for part, table in parts.items()}

        def nll(log_factor: float, part: str = "val", of_part: dict = of_part, rated: dict = rated) -> float:
            loc, scale, alpha = of_part[part]
            return -stats.t.logpdf(rated[part], 2 * alpha, loc, scale * np.exp(log_factor / 2)).mean()

        fitted = optimize.minimize_scalar(nll, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10}).x
        loc, scale, alpha = of_part["test"]
        y = rated["test"]
        for correction, factor in (("as trained", 0.0), ("variance scale", fitted)):
            row = rows.loc[(fusion, correction)]
            t = stats.t(2 * alpha, loc, scale * np.exp(factor / 2))
            np.testing.assert_allclose(row["nll"], -t.logpdf(y).mean(), rtol=1e-6)
            for level in (50, 80, 95):
                lower, upper = t.interval(level / 100)
                assert row[f"coverage_{level}"] == np.mean((lower <= y) & (y <= upper))
                cut = np.clip(upper, 1, 5) - np.clip(lower, 1, 5)
                np.testing.assert_allclose(row[f"width_{level}"], cut.mean(), rtol=1e-6)
            np.testing.assert_allclose(row["error_spearman"], stats.spearmanr(t.std(), abs(y - loc))[0], rtol=1e-9)
        np.testing.assert_allclose(rows.loc[(fusion, "variance scale"), "variance_scale"], np.exp(fitted), rtol=1e-5)
        error = rated["val"] - of_part["val"][0]
        rival = stats.norm(loc, np.sqrt(np.mean(error**2)))
        np.testing.assert_allclose(rows.loc[(fusion, "as trained"), "nll_constant"], -rival.logpdf(y).mean(), rtol=1e-9)


def test_conformal_intervals_are_counted_on_validation(predictions: pd.DataFrame) -> None:
    """By hand: the ⌈(n + 1) c⌉-th smallest of the errors in units of the stated scale."""
    row = uncertainty_rows(predictions, MODEL).set_index(["fusion", "correction"]).loc[("cross tempered", "conformal")]
    scores = []
    for part in ("val", "test"):
        table = predictions[predictions["part"] == part].reset_index(drop=True)
        loc, nu, alpha, beta = np.array([_by_hand(table, "cross tempered", i) for i in range(len(table))]).T
        scores.append(abs(table["quality"] - loc) / np.sqrt(beta * (1 + nu) / nu / alpha))
    for level in (50, 80, 95):
        rank = -(-(len(scores[0]) + 1) * level // 100)
        reach = np.sort(scores[0])[rank - 1]
        assert row[f"coverage_{level}"] == np.mean(scores[1] <= reach)
    assert np.isnan(row["nll"])


def test_a_factor_that_was_planted_is_found(plant_predictions: Plant) -> None:
    """Errors are twice as large as stated: the factor is 4, coverage is far too low before and right after."""
    table = plant_predictions(3, overconfidence=2.0, val=3000, test=3000)
    rows = uncertainty_rows(table, MODEL).set_index(["fusion", "correction"]).loc["local-global"]
    assert abs(rows.loc["variance scale", "variance_scale"] - 4) < 0.4
    assert rows.loc["as trained", "coverage_95"] < 0.72
    for correction in ("variance scale", "conformal"):
        assert abs(rows.loc[correction, "coverage_95"] - 0.95) < 0.015
        assert abs(rows.loc[correction, "coverage_50"] - 0.50) < 0.03
    assert rows.loc["variance scale", "nll"] < rows.loc["variance scale", "nll_constant"]
    assert rows.loc["variance scale", "ause"] == rows.loc["as trained", "ause"]


def test_the_table_has_medians_over_sessions_of_means_over_seeds(
    make_config: Callable[..., TrainConfig],
    plant_predictions: Plant,
    plant_result: Callable[..., Result],
    tmp_path: Path,
) -> None:
    runs, expected = [], []
    for session in (1, 2, 3):
        own = []
        for seed in (0, 1):
            table = plant_predictions(10 * session + seed, val=30, test=30)
            result = plant_result(make_config(seed=seed), table, name="all", session=session)
            runs.append(_found(tmp_path / f"{session}-{seed}", result, table))
            rows = uncertainty_rows(table, MODEL, ["single crop"])
            own.append(rows[rows["correction"] == "as trained"].iloc[0]["nll"])
        expected.append(np.mean(own))
    table = uncertainty_table(runs)
    rows = {row[:3]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert list(rows) == [("live-challenge", fusion, kind) for fusion in FUSIONS for kind in CORRECTIONS]
    cell = rows["live-challenge", "single crop", "as trained"]["NLL"]
    quartiles = np.quantile(expected, [0.25, 0.5, 0.75])
    np.testing.assert_allclose([cell.lower, cell.median, cell.upper], quartiles, rtol=1e-12)
    assert cell.sessions == 3
    conformal = rows["live-challenge", "single crop", "conformal"]
    assert conformal["NLL"] is None
    assert conformal["coverage 95 %"].sessions == 3
    assert conformal["runs"] == 6


def _found(folder: Path, result: Result, table: pd.DataFrame) -> FoundRun:
    folder.mkdir()
    write_predictions(folder / "predictions.parquet", table)
    return FoundRun(folder, result)


def test_what_cannot_be_judged_is_said(predictions: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no validation part"):
        uncertainty_rows(predictions[predictions["part"] == "test"], MODEL)
    with pytest.raises(DataError, match="no test part"):
        uncertainty_rows(predictions[predictions["part"] == "val"], MODEL)
    with pytest.raises(DataError, match="the model states no uncertainty"):
        uncertainty_rows(predictions.drop(columns="loc"), MODEL)
    with pytest.raises(DataError, match="no run that states"):
        uncertainty_table([])


def test_only_what_training_taught_is_judged(
    make_config: Callable[..., TrainConfig],
    plant_predictions: Plant,
    plant_result: Callable[..., Result],
    tmp_path: Path,
) -> None:
    table = plant_predictions(val=20, test=20)
    without = table.drop(columns=[name for name in table if name.endswith(("loc", "nu", "beta", "minus_one"))])
    config = make_config(objective={"fusion": False})
    runs = [
        _found(tmp_path / name, plant_result(config, there, name=name), there)
        for name, there in (("M+U", table), ("liqe", without))
    ]
    rows = uncertainty_table(runs).rows
    assert {row[1] for row in rows} == {"cross untempered", "cross tempered"}
    assert {row[-1] for row in rows} == {1}
