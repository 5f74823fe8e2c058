import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from map_score_fusion import METHODS, ScoreFusion, uncertainty_agreement
from map_score_fusion.cli import app
from map_score_fusion.methods.base import FittingLog
from map_score_fusion.methods.baselines import MeanRank

METRICS = ["psnr", "ssim", "lpips", "gmsd"]
COMMANDS = ["list", "fit", "predict", "evaluate", "compare", "report", "score"]


def run(*arguments, code=0):
    result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory, rated_table):
    """A table to fit to, another to test on, and a model."""
    root = tmp_path_factory.mktemp("tables")
    rated_table(seed=1).to_csv(root / "train.csv", index=False)
    rated_table(images=120, seed=2).to_csv(root / "test.csv", index=False)
    run("fit", root / "train.csv", "--out", root / "model", "--method", "mean-rank")
    return root


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_examples_and_imports_nothing_heavy(command):
    code = (
        "import sys; sys.argv = ['map-score-fusion', *sys.argv[1:]]\n"
        "import atexit; atexit.register(lambda: print('IMPORTED', *sys.modules))\n"
        "from map_score_fusion.cli import app; app()"
    )
    arguments = [sys.executable, "-c", code, *command, "--help"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    text, imported = done.stdout.rsplit("IMPORTED", 1)
    assert not {"torch", "pandas", "scipy", "sklearn", "matplotlib", "piq"} & set(imported.split())
    if command:
        assert f"map-score-fusion {command[0]}" in text
        assert "Exit code" in text
    assert "bool" not in text


def test_list_has_every_method():
    assert set(METHODS) <= set(run("list", "--format", "table").stdout.split())
    rows = json.loads(run("list", "--format", "json").stdout)
    assert [row["method"] for row in rows] == list(METHODS)
    assert run("--version").stdout.startswith("map-score-fusion ")


def test_fit_says_what_it_goes_by_and_what_it_left_out(files):
    result = run("fit", files / "train.csv", "--out", files / "other", "--method", "mean-rank")
    for text in ("whole numbers and no known metric): image, level", "human ratings, by the name): mos"):
        assert text in result.stderr
    assert "1 infinite scores were clipped" in result.stderr
    assert result.stdout.startswith("metric,direction,direction_source,weight")
    fusion = ScoreFusion.load(files / "other")
    assert list(fusion.feature_names_in_) == METRICS
    assert list(fusion.metric_summary_["direction"]) == ["higher", "higher", "lower", "lower"]
    direct = ScoreFusion("mean-rank", random_state=0)
    with pytest.warns(match="infinite"):
        direct.fit(pd.read_csv(files / "train.csv")[METRICS])
    test = pd.read_csv(files / "test.csv")
    with pytest.warns(match="infinite"):
        assert (fusion.predict(test) == direct.predict(test)).all()
    shown = run("fit", files / "train.csv", "--out", files / "other", "--format", "table").stdout
    assert "200 images, 4 metrics that count as" in shown


def test_fit_takes_the_users_word(files):
    result = run(
        "fit", files / "train.csv", "--out", files / "two", "--columns", "psnr", "--columns", "gmsd",
        "--columns", "level", "--exclude", "level", "--higher-is-better", "gmsd", "--lower-is-better", "psnr",
        "--method", "rrf", "--seed", "3",
    )  # fmt: skip
    fusion = ScoreFusion.load(files / "two")
    assert (fusion.method, fusion.random_state) == ("rrf", 3)
    assert list(fusion.metric_summary_.index) == ["psnr", "gmsd"]
    assert list(fusion.metric_summary_["direction"]) == ["lower", "higher"]
    assert "not used" not in result.stderr
    level = run("fit", files / "train.csv", "--out", files / "two", "--columns", "psnr", "--columns", "level")
    assert "level" in level.stdout


def test_ratings_do_not_enter_a_fit_by_accident(files, tmp_path):
    error = run("fit", files / "train.csv", "--out", tmp_path / "m", "--columns", "psnr", "--columns", "mos", code=2)
    assert "--metrics names 'mos', which is human ratings" in error.stderr
    table = pd.read_csv(files / "train.csv").rename(columns={"mos": "opinion"})
    table.to_csv(tmp_path / "opinion.csv", index=False)
    run("fit", tmp_path / "opinion.csv", "--out", tmp_path / "m", "--mos", "opinion")
    assert "opinion" not in ScoreFusion.load(tmp_path / "m").metric_summary_.index
    error = run(
        "fit", tmp_path / "opinion.csv", "--out", tmp_path / "m", "--mos", "opinion", "--columns", "opinion", code=2
    )
    assert "human ratings" in error.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--columns", "nope"], "--metrics names 'nope', which is no column; the columns are image, psnr"),
        (["--exclude", "nope"], "--exclude names 'nope'"),
        (["--mos", "nope"], "--mos names 'nope'"),
        (["--columns", "image"], "is a label"),
        (["--method", "best"], "method is 'best'; it must be one of "),
        (["--higher-is-better", "level"], "higher_is_better names 'level', which is no column"),
        (["--higher-is-better", "psnr", "--lower-is-better", "psnr"], "'psnr' is in both"),
        (["--columns", "psnr", "--exclude", "psnr"], "no column of scores is left"),
    ],
)
def test_fit_refuses_in_one_line(files, tmp_path, options, message):
    labels = pd.read_csv(files / "train.csv", dtype={"image": str}).assign(image=lambda table: "i" + table["image"])
    labels.to_csv(tmp_path / "train.csv", index=False)
    result = run("fit", tmp_path / "train.csv", "--out", tmp_path / "m", *options, code=2)
    message = message.replace("is a label", "holds 'i0000' in row 0, no number")
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "m").exists()


def test_a_metric_with_failures_is_not_taken_for_a_label(files, tmp_path):
    table = pd.read_csv(files / "train.csv").astype({"ssim": object})
    table.loc[9, "ssim"] = "failed"
    table = table.rename(columns={"ssim": "my_metric"})
    table.to_csv(tmp_path / "train.csv", index=False)
    result = run("fit", tmp_path / "train.csv", "--out", tmp_path / "m", code=2)
    assert "column 'my_metric' is mostly numbers, but holds 'failed' in row 9" in result.stderr
    result = run("fit", tmp_path / "train.csv", "--out", tmp_path / "m", "--id-column", "my_metric")
    assert list(ScoreFusion.load(tmp_path / "m").metric_summary_.index) == ["psnr", "lpips", "gmsd"]


@pytest.mark.parametrize("path", ["nowhere.csv", "empty.csv", "noise.parquet"])
def test_files_that_are_no_tables(path, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "noise.parquet").write_bytes(b"no parquet")
    result = run("fit", tmp_path / path, "--out", tmp_path / "m", code=2)
    assert path in result.stderr
    assert result.stderr.count("\n") <= 2


def read(path):
    match path.suffix:
        case ".csv":
            return pd.read_csv(path, dtype={"image": str})
        case ".parquet":
            return pd.read_parquet(path)
    return pd.read_json(path, lines=path.suffix == ".jsonl", dtype={"image": str}, convert_axes=False)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl", ".json"])
@pytest.mark.parametrize("source", ["test.csv", "test.parquet"])
@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_predict_gives_what_the_model_gives_in_any_format_and_pieces(files, tmp_path, suffix, source):
    test = pd.read_csv(files / "test.csv", dtype={"image": str})
    test.to_parquet(files / "test.parquet")
    out = tmp_path / f"fused{suffix}"
    run("predict", files / "model", files / source, "--out", out, "--std", "--weights", "--uncertainty", "--rows", "50")
    found = read(out)
    fusion = ScoreFusion.load(files / "model")
    fused, std = fusion.predict(test, return_std=True)
    assert list(found.columns[:8]) == [
        "image",
        "level",
        "mos",
        "mos_std",
        "fused_score",
        "fused_rank",
        "fused_rank_std",
        "outside_range",
    ]
    assert list(found["image"]) == list(test["image"])
    assert found["mos"].to_numpy() == pytest.approx(test["mos"].to_numpy())
    assert found["fused_score"].to_numpy() == pytest.approx(fused, abs=1e-12)
    assert found["fused_rank_std"].to_numpy() == pytest.approx(std, abs=1e-12)
    assert found["fused_rank"].to_numpy() == pytest.approx(fusion.ranks(test)[0], abs=1e-12)
    assert (found["outside_range"] == fusion.outside_range(test).sum(axis=1)).all()
    assert found[[f"weight_{name}" for name in METRICS]].to_numpy() == pytest.approx(fusion.weights(test), abs=1e-12)
    uncertainty = found[[f"uncertainty_{name}" for name in METRICS]].to_numpy()
    np.testing.assert_allclose(uncertainty, fusion.score_uncertainty(test), atol=1e-12)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_predict_passes_labels_through_as_they_stand(files, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        'image,set,psnr,ssim,lpips,gmsd\n007,NA,30,0.9,0.1,0.1\n008,"a, ""b""",31,,nan,\n,1e5,20,0.5,0.6,0.2\n'
    )
    lines = run("predict", files / "model", table).stdout.splitlines()
    assert lines[0] == "image,set,fused_score,outside_range"
    assert [line.rsplit(",", 2)[0] for line in lines[1:]] == ["007,NA", '008,"a, ""b"""', ",1e5"]
    lines = run("predict", files / "model", table, "--id-column", "image").stdout.splitlines()
    assert lines[0] == "image,fused_score,outside_range"
    records = run("predict", files / "model", table, "--out", tmp_path / "o.jsonl")
    assert "wrote 3 rows" in records.stderr
    first = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])
    assert (first["image"], first["set"]) == ("007", "NA")


def test_predict_counts_rows_without_any_score(files, tmp_path):
    table = pd.read_csv(files / "test.csv")
    table.loc[[3, 60], METRICS] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    result = run("predict", files / "model", tmp_path / "gaps.csv", "--out", tmp_path / "o.csv", "--rows", "50", code=1)
    assert "2 of 120 rows hold no score of a metric with weight" in result.stderr
    assert list(np.flatnonzero(pd.read_csv(tmp_path / "o.csv")["fused_score"].isna())) == [3, 60]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "o.txt"], "--out must end in .csv, .json, .jsonl, .parquet"),
        (["--id-column", "nope"], "--id-column names 'nope'"),
    ],
)
def test_predict_refuses_in_one_line(files, options, message):
    assert message in run("predict", files / "model", files / "test.csv", *options, code=2).stderr


def test_predict_leaves_no_half_file(files, tmp_path):
    lines = (files / "test.csv").read_text().splitlines()
    broken = lines[100].split(",")
    broken[1] = "oops"
    (tmp_path / "bad.csv").write_text("\n".join([*lines[:100], ",".join(broken), *lines[101:]]))
    (tmp_path / "o.csv").write_text("old")
    result = run("predict", files / "model", tmp_path / "bad.csv", "--out", tmp_path / "o.csv", "--rows", "30", code=2)
    assert "row 99 of column 'psnr' holds 'oops'" in result.stderr
    assert (tmp_path / "o.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "o.csv"]
    missing = pd.read_csv(files / "test.csv").drop(columns="gmsd")
    missing.to_csv(tmp_path / "bad.csv", index=False)
    assert "no column 'gmsd'" in run("predict", files / "model", tmp_path / "bad.csv", code=2).stderr
    missing.assign(gmsd=1.0, fused_score=1).to_csv(tmp_path / "bad.csv", index=False)
    assert "'fused_score' is there already" in run("predict", files / "model", tmp_path / "bad.csv", code=2).stderr
    assert "holds no model" in run("predict", tmp_path, files / "test.csv", code=2).stderr


def test_evaluate_shows_and_writes_the_figures(files, tmp_path):
    plot = tmp_path / "noise.svg"
    options = ["--mos", "mos", "--resamples", "50"]
    result = run("evaluate", files / "model", files / "test.csv", *options, "--plot", plot, "--format", "table")
    assert re.search(r"fused +fused +0\.\d{3} \(0\.\d{3} to \d\.\d{3}\)", result.stdout)
    assert "95% bootstrap intervals" in result.stdout
    assert "<svg" in plot.read_text()
    rows = json.loads(run("evaluate", files / "model", files / "test.csv", *options, "--format", "json").stdout)
    fused = rows[0]
    assert (fused["name"], fused["images"]) == ("fused", 120)
    table = pd.read_csv(files / "test.csv")
    fusion = ScoreFusion.load(files / "model")
    with pytest.warns(match="infinite"):
        scores = fusion.predict(table)
    assert fused["srcc"] == pytest.approx(pd.Series(scores).corr(table["mos"], method="spearman"))
    assert fused["srcc_low"] < fused["srcc"] < fused["srcc_high"]
    with pytest.warns(match="infinite"):
        expected = uncertainty_agreement(*fusion.ranks(table), table["mos"])
    assert fused["deviation_coverage"] == pytest.approx(expected.coverage)
    assert fused["deviation_correlation"] == pytest.approx(expected.spearman)
    assert fused["quarter_error_4"] == pytest.approx(expected.quarter_errors[3])
    assert [row["name"] for row in rows if row["noise"] is not None] == METRICS
    out = tmp_path / "figures.parquet"
    run("evaluate", files / "model", files / "test.csv", *options, "--out", out)
    assert pd.read_parquet(out)["srcc"].tolist() == pytest.approx([row["srcc"] for row in rows])


def test_evaluate_over_tables_and_other_directions(files, tmp_path):
    table = pd.read_csv(files / "test.csv").assign(mos=lambda table: -table["mos"])
    table.to_csv(tmp_path / "worse.csv", index=False)
    arguments = ["evaluate", files / "model", "--resamples", "0", "--format", "csv"]
    upside_down = run(*arguments, tmp_path / "worse.csv", "--mos", "mos")
    assert "write --mos worse.csv:-mos" in upside_down.stderr
    expected = run(*arguments, files / "test.csv", "--mos", "mos").stdout
    for options in (["--mos", "mos", "--mos-lower-is-better"], ["--mos=-mos"], ["--mos", "worse.csv:-mos"]):
        right = run(*arguments, tmp_path / "worse.csv", *options)
        assert "write --mos" not in right.stderr
        assert right.stdout.replace("worse,", "test,") == expected
    both = run(*arguments, files / "test.csv", files / "train.csv", "--mos", "mos").stdout
    assert set(pd.read_csv(io.StringIO(both))["table"]) == {"test", "train", "size-weighted average"}
    assert "--mos names 'nope'" in run(*arguments, files / "test.csv", "--mos", "nope", code=2).stderr
    assert "row 0 of column 'image'" in _labels(files, tmp_path)


def test_each_table_has_ratings_of_its_own(files, tmp_path):
    pd.read_csv(files / "test.csv").rename(columns={"mos": "quality"}).to_csv(tmp_path / "tid.csv", index=False)
    table = pd.read_csv(files / "test.csv").assign(dmos=lambda table: -table["mos"]).drop(columns="mos")
    table.to_csv(tmp_path / "csiq.csv", index=False)
    arguments = ["evaluate", files / "model", tmp_path / "tid.csv", tmp_path / "csiq.csv", "--resamples", "0"]
    arguments += ["--format", "csv"]
    found = pd.read_csv(io.StringIO(run(*arguments, "--mos", "tid.csv:quality", "--mos", "csiq:-dmos").stdout))
    of_one, of_other = (found[found["table"] == name].reset_index(drop=True)["srcc"] for name in ("tid", "csiq"))
    assert of_one.tolist() == pytest.approx(of_other.tolist())
    assert (of_one > 0.5).all()
    mixed = run(*arguments, "--mos", "quality", "--mos", "csiq.csv:-dmos").stdout
    assert pd.read_csv(io.StringIO(mixed))["srcc"].tolist() == pytest.approx(found["srcc"].tolist())
    for options, message in [
        (["--mos", "tid.csv:quality"], "csiq.csv: its column of ratings is not said; add --mos csiq.csv:COLUMN"),
        (
            ["--mos", "quality", "--mos", "dmos"],
            "--mos is given as quality and as dmos; where files differ, write a fi",
        ),
        (["--mos", "tid:quality", "--mos", "tid.csv:mos"], "--mos is given twice for"),
        (["--mos", "quality", "--mos", "csiq.csv:-mos"], "--mos names 'mos', which is no column"),
    ]:
        assert message in run(*arguments, *options, code=2).stderr


def _labels(files, tmp_path):
    table = pd.read_csv(files / "test.csv", dtype={"image": str}).assign(image=lambda table: "i" + table["image"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    return run("evaluate", files / "model", tmp_path / "labels.csv", "--mos", "image", code=2).stderr


def test_compare_has_all_methods_and_metrics(files, tmp_path):
    arguments = ["compare", files / "test.csv", "--mos", "mos", "--fit-on", files / "train.csv"]
    chosen = ["--method", "mean-rank", "--method", "rrf"]
    result = run(*arguments, *chosen, "--resamples", "50", "--format", "csv")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table["name"]) == ["mean-rank", "rrf", *METRICS]
    assert (table["srcc_low"] < table["srcc_high"]).all()
    fused = pd.read_csv(
        io.StringIO(run("evaluate", files / "model", files / "test.csv", "--mos", "mos", "--resamples", "50").stdout)
    ).loc[0]
    assert table.loc[0, "srcc"] == pytest.approx(fused["srcc"])
    assert table.loc[0, "krcc_high"] == pytest.approx(fused["krcc_high"])
    assert table.loc[1, "srcc_difference"] == pytest.approx(table.loc[1, "srcc"] - table.loc[0, "srcc"])
    assert np.isnan(table.loc[0, "srcc_difference"])
    assert (table["srcc_difference_low"] < table["srcc_difference_high"])[1:].all()
    shown = run(*arguments, *chosen, "--resamples", "50", "--format", "table", "--against", "ssim").stdout
    assert "200 images, 4 metrics), without ratings" in shown
    assert "SRCC above: that of the row less that of ssim" in shown
    assert re.search(r"rrf +method .* [+-]0\.\d{3} \([+-]0\.\d{3} to [+-]0\.\d{3}\) +120", shown)
    out = tmp_path / "figures.json"
    run(*arguments, *chosen, "--resamples", "50", "--out", out)
    assert [row["name"] for row in json.loads(out.read_text())] == list(table["name"])
    assert "method is 'best'" in run(*arguments, "--method", "best", code=2).stderr
    assert "against is 'best'" in run(*arguments, *chosen, "--against", "best", code=2).stderr


def test_the_ratings_that_are_named_are_no_metric_whatever_their_name(files, tmp_path):
    pd.read_csv(files / "train.csv").rename(columns={"mos": "judged"}).to_csv(tmp_path / "table.csv", index=False)
    arguments = ["compare", tmp_path / "table.csv", "--mos", "judged", "--method", "mean-rank", "--resamples", "0"]
    table = pd.read_csv(io.StringIO(run(*arguments, "--format", "csv").stdout))
    assert set(table["name"]) == {"mean-rank", *METRICS}


def test_intervals_are_over_references_where_asked_for(files, tmp_path):
    table = pd.read_csv(files / "test.csv").assign(reference=lambda table: [f"I{row // 12}" for row in table.index])
    table.to_csv(tmp_path / "test.csv", index=False)
    arguments = ["evaluate", files / "model", tmp_path / "test.csv", "--mos", "mos", "--resamples", "50"]
    over_images = run(*arguments)
    assert "10 references by the column 'reference' have 120 images" in over_images.stderr
    assert "add --groups test.csv:reference" in over_images.stderr
    over_references = run(*arguments, "--groups", "reference")
    assert "add --groups" not in over_references.stderr
    assert run(*arguments, "--groups", "test:reference").stdout == over_references.stdout
    assert over_images.stdout != over_references.stdout
    assert "bootstrap intervals over references" in run(*arguments, "--groups", "reference", "--format", "table").stdout
    assert "--groups names 'nope', which is no column" in run(*arguments, "--groups", "nope", code=2).stderr


def test_a_methods_name_is_said_once(files, monkeypatch):
    """The paper's methods once began their warnings with their own name, and `compare` put it before that."""
    monkeypatch.setattr(MeanRank, "fit", _fit_with_a_message(MeanRank.fit))
    arguments = ["compare", files / "test.csv", "--mos", "mos", "--resamples", "0", "--method", "mean-rank"]
    found = run(*arguments, "--method", "rrf")
    assert found.stderr.count("mean-rank") == 1
    assert "warning: mean-rank: something" in found.stderr


def _fit_with_a_message(fit):
    def with_message(self, *arguments):
        fit(self, *arguments)
        self.log = FittingLog(messages=("mean-rank: something",))
        return self

    return with_message


def test_a_method_that_was_asked_for_and_cannot_run_is_exit_code_1(files):
    arguments = ["compare", files / "test.csv", "--mos", "mos", "--resamples", "0", "--method", "mean-rank"]
    found = run(*arguments, "--method", "weighted-sum", code=1)
    assert "weighted-sum was not run: the method 'weighted-sum' needs coefficients" in found.stderr
    with_weights = run(*arguments, "--method", "weighted-sum", "--coefficient", "psnr=1", "--coefficient", "ssim=20")
    assert "weighted-sum" in with_weights.stdout
    assert "--coefficient is 'psnr'" in run(*arguments, "--coefficient", "psnr", code=2).stderr


def test_fit_takes_exponents_by_name(files, tmp_path):
    run(
        "fit", files / "train.csv", "--out", tmp_path / "m", "--method", "weighted-product",
        "--coefficient", "ssim=0.5", "--coefficient", "psnr=2", "--metrics", "ssim,psnr",
    )  # fmt: skip
    fusion = ScoreFusion.load(tmp_path / "m")
    assert fusion.coefficients == {"ssim": 0.5, "psnr": 2.0}
    error = run("fit", files / "train.csv", "--out", tmp_path / "m", "--coefficient", "ssim=0.5", code=2).stderr
    assert "coefficients mean nothing to the method 'robust'" in error


def test_a_few_ratings_correct_a_fit(files, tmp_path):
    table = pd.read_csv(files / "train.csv")
    table["mos"] = table["mos"].where(table.index % 5 == 0)
    table.assign(dmos=-table["mos"]).drop(columns="mos").to_csv(tmp_path / "few.csv", index=False)
    arguments = ["fit", tmp_path / "few.csv", "--out", tmp_path / "m"]
    result = run(*arguments, "--mos=-dmos", "--use-ratings", "--format", "table")
    assert "corrected by 40 ratings" in result.stdout
    assert ScoreFusion.load(tmp_path / "m").method_.ratings == 40
    assert "ratings fall as fused scores rise" in run(*arguments, "--mos", "dmos", "--use-ratings", code=2).stderr
    assert "--use-ratings needs --mos" in run(*arguments, "--use-ratings", code=2).stderr
    run(*arguments, "--mos", "dmos")
    assert not hasattr(ScoreFusion.load(tmp_path / "m").method_, "ratings")


def test_scores_on_another_scale_are_exit_code_1(files, tmp_path):
    """Six metrics multiplied by 100: once exit code 0 and not a word."""
    table = pd.read_csv(files / "test.csv")
    table[METRICS] *= 100
    table.to_csv(tmp_path / "scaled.csv", index=False)
    result = run("predict", files / "model", tmp_path / "scaled.csv", "--std", "--rows", "50", code=1)
    assert result.stderr.count("warning: scores far outside the range of the fit, in 120 of 120 rows: psnr 100.0%") == 1
    found = pd.read_csv(io.StringIO(result.stdout))
    assert (found["outside_range"] >= 3).mean() > 0.9
    assert found["fused_rank_std"].median() > 0.2


def test_compare_runs_each_method_or_says_why_not(files):
    """Those that need no training of a network, which the contract's tests run."""
    chosen = [name for name, entry in METHODS.items() if entry.module == "baselines"]
    options = [part for name in chosen for part in ("--method", name)]
    result = run(
        "compare", files / "test.csv", "--mos", "mos", "--fit-on", files / "train.csv", "--resamples", "0", "--format",
        "json", *options,
    )  # fmt: skip
    ran = {row["name"] for row in json.loads(result.stdout) if row["kind"] == "method"}
    assert ran == set(chosen)
    assert "was not run" not in result.stderr


def test_report_is_written(files, tmp_path):
    out = tmp_path / "report.html"
    result = run("report", files / "model", files / "test.csv", "--out", out, "--id-column", "image")
    assert f"wrote {out}" in result.stderr
    assert "test.csv" in out.read_text(encoding="utf-8")
    assert "must end in .html" in run("report", files / "model", files / "test.csv", "--out", "r.txt", code=2).stderr
    assert "names 'no'" in run("report", files / "model", files / "test.csv", "--id-column", "no", code=2).stderr


@pytest.fixture
def folders(tmp_path):
    generator = np.random.default_rng(0)
    for folder in ("references", "distorted"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        picture = generator.integers(0, 256, size=(32, 40, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "references" / f"{name}.png")
        for level in (2, 3):
            Image.fromarray(picture // level).save(tmp_path / "distorted" / f"{name}_{level}.png")
    return tmp_path / "references", tmp_path / "distorted"


def test_score_then_fit(folders, tmp_path):
    references, distorted = folders
    out = tmp_path / "scores.csv"
    result = run("score", references, distorted, "--metrics", "psnr,gmsd,vsi", "--out", out)
    assert "4 rows, 4 of them new" in result.stderr
    table = pd.read_csv(out)
    assert list(table.columns) == ["image", "reference", "psnr", "gmsd", "vsi", "problem"]
    run("fit", out, "--out", tmp_path / "model")
    assert list(ScoreFusion.load(tmp_path / "model").metric_summary_.index) == ["psnr", "gmsd", "vsi"]
    again = run("score", references, distorted, "--metrics", "psnr,gmsd,vsi", "--out", out)
    assert "holds 4 of 4 images already" in again.stderr
    assert "4 rows, 0 of them new" in again.stderr
    (distorted / "c_1.png").write_bytes(b"")
    faulty = run("score", references, distorted, "--metrics", "psnr,gmsd,vsi", "--out", out, code=1)
    assert "c_1.png: no reference has a name that begins this one's; " in faulty.stderr
    assert "1 of the rows have a problem" in faulty.stderr
    assert (
        "was made with metrics" in run("score", references, distorted, "--metrics", "ssim", "--out", out, code=2).stderr
    )


def test_score_without_references_and_by_a_table(folders, tmp_path):
    references, distorted = folders
    out = tmp_path / "scores.csv"
    run("score", distorted, "--metrics", "tv", "--out", out)
    assert list(pd.read_csv(out).columns) == ["image", "reference", "tv", "problem"]
    for path in list(references.iterdir()):
        path.rename(distorted / path.name)
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("distorted,reference\na_2.png,a.png\nb_3.png,b.png\n")
    run("score", distorted, "--pairs", pairs, "--metrics", "psnr", "--out", out, "--overwrite")
    table = pd.read_csv(out)
    assert list(table["image"]) == ["a_2.png", "b_3.png"]
    assert list(table["reference"]) == ["a.png", "b.png"]
    error = run("score", distorted, distorted, "--out", out, code=2).stderr
    assert "each image would be its own reference" in error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "score needs the folder of images"),
        (["a", "b", "c"], "score needs the folder of images"),
        (["nowhere"], "nowhere is not a folder"),
        (["nowhere", "--out", "o.txt"], "--out must end in .csv"),
    ],
)
def test_score_refuses_in_one_line(options, message):
    assert message in run("score", *options, code=2).stderr


def test_score_lists_its_metrics_and_the_papers():
    shown = run("score", "--list-metrics", "--format", "table").stdout
    assert "fsimc" in shown
    assert "QASD" in shown
    rows = json.loads(run("score", "--list-metrics", "--format", "json").stdout)
    assert {row["metric"]: row["better"] for row in rows}["gmsd"] == "lower"


def test_as_a_program(files):
    """Through the installed script: exit codes, streams, and no traceback."""
    program = Path(sys.executable).with_name("map-score-fusion")
    done = subprocess.run([program, "predict", files / "none", files / "test.csv"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("map-score-fusion: ")
    assert "Traceback" not in done.stderr
    process = subprocess.Popen(
        [program, "predict", files / "model", files / "test.csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # as `head` does when it has enough
    assert b"Traceback" not in process.stderr.read()
    process.wait()
