import numpy as np
import pandas as pd
import pytest

from map_score_fusion import ScoreFusion, ScoreTableError, agreement, compare, evaluate_fusion
from map_score_fusion.comparison import AVERAGE
from map_score_fusion.methods.baselines import MeanScaled

METRICS = ["psnr", "ssim", "lpips", "gmsd"]
pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


def test_evaluation_holds_the_agreement_of_each_score(rated_table):
    train, test = rated_table(seed=1), rated_table(images=120, seed=2)
    fusion = ScoreFusion("mean-rank").fit(train[METRICS])
    ratings = test["mos"].where(test.index > 9)
    found = evaluate_fusion(fusion, {"one": (test, ratings)}, resamples=20, seed=3)
    figures = found.figures.set_index("name")
    assert list(figures.index) == ["fused", *METRICS]
    assert list(figures["kind"]) == ["fused"] + ["metric"] * 4
    direct = {"fused": fusion.predict(test), "psnr": test["psnr"], "lpips": -test["lpips"], "gmsd": -test["gmsd"]}
    for name, values in direct.items():
        expected = agreement(values, ratings, resamples=20, seed=3)
        row = figures.loc[name]
        assert (row["images"], row["left_out"]) == (expected.images, expected.left_out)
        assert (row["srcc"], row["plcc"], row["krcc"]) == (expected.srcc, expected.plcc, expected.krcc)
        assert (row["plcc_low"], row["plcc_high"]) == expected.plcc_interval
    assert (figures["srcc"] > 0.5).all()
    assert figures.loc["lpips", "left_out"] == 10
    assert list(found.noise.index) == METRICS
    assert found.noise["gmsd"] == pytest.approx(np.nanmean(fusion.score_uncertainty(test)[:, 3]))
    assert found.uncertainty["one"].images == 110


def test_averages_are_weighted_by_the_tables_sizes(rated_table):
    fusion = ScoreFusion("mean-rank").fit(rated_table()[METRICS])
    tables = {str(size): (table := rated_table(images=size, seed=size), table["mos"]) for size in (50, 150)}
    figures = evaluate_fusion(fusion, tables).figures
    rows = figures[figures["name"] == "ssim"].set_index("table")
    assert rows.loc[AVERAGE, "images"] == 200
    expected = 0.25 * rows.loc["50", "srcc"] + 0.75 * rows.loc["150", "srcc"]
    assert rows.loc[AVERAGE, "srcc"] == pytest.approx(expected)
    assert "srcc_low" not in figures


def test_comparison_holds_every_method_and_metric(rated_table):
    train, test = rated_table(seed=1), rated_table(images=120, seed=2)
    seen = []
    methods = ["mean-rank", "rrf", "first-component"]
    found = compare(train[METRICS], {"t": (test, test["mos"])}, methods=methods, random_state=4, watch=seen.append)
    assert list(found.figures["name"]) == [*methods, *METRICS]
    assert seen == [*methods, *methods, *METRICS]
    assert found.not_run == {}
    assert set(found.seconds) == set(methods)
    assert any("infinite" in text for text in found.warned["rrf"])
    fused = ScoreFusion("first-component", random_state=4).fit(train[METRICS]).predict(test)
    row = found.figures.set_index("name").loc["first-component"]
    assert row["srcc"] == pytest.approx(agreement(fused, test["mos"]).srcc)


def test_ratings_never_change_a_fit(rated_table):
    """Two columns of ratings that disagree: the methods' figures against a third are the same."""
    train = rated_table(seed=1)
    first = compare(train[METRICS], {"t": (train, train["mos"])}, methods=["mean-rank", "weighted-rrf"])
    shuffled = train.assign(mos=train["mos"].sample(frac=1, random_state=0).to_numpy())
    second = compare(shuffled[METRICS], {"t": (shuffled, train["mos"])}, methods=["mean-rank", "weighted-rrf"])
    pd.testing.assert_frame_equal(first.figures, second.figures)


def test_methods_that_cannot_run_are_listed_with_the_reason(rated_table, monkeypatch):
    def refuse(*arguments):
        raise ScoreTableError("needs the metric VSI")

    monkeypatch.setattr(MeanScaled, "fit", refuse)
    train = rated_table()
    found = compare(train[METRICS], {"t": (train, train["mos"])}, methods=["mean-rank", "mean-scaled"])
    assert found.not_run == {"mean-scaled": "needs the metric VSI"}
    with pytest.raises(ScoreTableError, match="no method could be run: mean-scaled: needs the metric VSI"):
        compare(train[METRICS], {"t": (train, train["mos"])}, methods=["mean-scaled"])


def test_refuses_what_is_not_as_documented(rated_table):
    table = rated_table()
    with pytest.raises(ScoreTableError, match="method is 'best'; it must be one of"):
        compare(table[METRICS], {"t": (table, table["mos"])}, methods=["best"])
    with pytest.raises(ScoreTableError, match="t has no column 'gmsd', which the fit has"):
        compare(table[METRICS], {"t": (table.drop(columns="gmsd"), table["mos"])}, methods=["rrf"])
