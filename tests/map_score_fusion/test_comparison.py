import numpy as np
import pytest

from map_score_fusion import ScoreFusion, ScoreTableError, agreement, agreement_difference, compare, evaluate_fusion
from map_score_fusion.comparison import AVERAGE
from map_score_fusion.methods.baselines import MeanRank, MeanScaled

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


def test_ratings_never_change_a_fit(rated_table, monkeypatch):
    """Every fit sees the metrics and nothing else, and its scores are those of a fit where no ratings exist."""
    seen = []
    fit = MeanRank.fit

    def watched(self, scores, names, generator):
        seen.append((list(names), scores.copy()))
        return fit(self, scores, names, generator)

    train = rated_table(seed=1)
    alone = ScoreFusion("mean-rank").fit(train[METRICS])
    oriented = alone.oriented_scores(train)
    fused = alone.predict(train)
    monkeypatch.setattr(MeanRank, "fit", watched)
    for ratings in (train["mos"], train["mos"].sample(frac=1, random_state=0).reset_index(drop=True)):
        found = compare(train[METRICS], {"t": (train, ratings)}, methods=["mean-rank"])
        figures = found.figures.set_index("name").loc["mean-rank"]
        assert figures["srcc"] == agreement(fused, ratings).srcc
    assert [names for names, _ in seen] == [METRICS] * 2
    for _, scores in seen:
        np.testing.assert_array_equal(scores, oriented)


def test_a_column_of_ratings_is_not_fitted(rated_table):
    train = rated_table(seed=1)
    with pytest.raises(ScoreTableError, match="the column 'mos' of the table to fit is human ratings by its name"):
        compare(train[[*METRICS, "mos"]], {"t": (train, train["mos"])}, methods=["mean-rank"])


def test_differences_are_paired_and_against_the_one_asked_for(rated_table):
    train, test = rated_table(seed=1), rated_table(images=120, seed=2)
    methods = ["mean-rank", "rrf"]
    groups = {"t": np.arange(120) // 8}
    found = compare(train[METRICS], {"t": (test, test["mos"])}, methods=methods, groups=groups, resamples=30)
    rows = found.differences.set_index("name")
    assert set(found.differences["against"]) == {"mean-rank"}
    assert list(rows.index) == ["rrf", *METRICS]
    fused = {name: ScoreFusion(name, random_state=0).fit(train[METRICS]).predict(test) for name in methods}
    expected = agreement_difference(
        fused["rrf"], fused["mean-rank"], test["mos"], groups=groups["t"], resamples=30, seed=0
    )
    assert rows.loc["rrf", "srcc"] == pytest.approx(expected.srcc)
    assert (rows.loc["rrf", "srcc_low"], rows.loc["rrf", "srcc_high"]) == pytest.approx(expected.srcc_interval)
    assert rows.loc["lpips", "images"] == 115
    figures = found.figures.set_index("name")
    assert (
        figures.loc["rrf", "srcc_low"]
        == agreement(fused["rrf"], test["mos"], groups=groups["t"], resamples=30).srcc_interval[0]
    )
    other = compare(
        train[METRICS], {"t": (test, test["mos"])}, methods=methods, groups=groups, resamples=30, against="ssim"
    ).differences
    assert list(other["name"]) == [*methods, "psnr", "lpips", "gmsd"]
    with pytest.raises(ScoreTableError, match="against is 'best'; it must be one of mean-rank, psnr"):
        compare(train[METRICS], {"t": (test, test["mos"])}, methods=["mean-rank"], against="best")
    with pytest.raises(ScoreTableError, match="groups name 'u', which is no table; the tables are t"):
        compare(train[METRICS], {"t": (test, test["mos"])}, methods=methods, groups={"u": groups["t"]})
    assert compare(train[METRICS], {"t": (test, test["mos"])}, methods=["rrf"]).differences.empty


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
