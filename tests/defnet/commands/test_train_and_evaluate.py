"""`defnet train` and `defnet evaluate`: from a configuration to figures, and every failure in one line."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from defnet import DataRoots, TrainConfig
from defnet.cli import app


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def one_line(result: Result) -> str:
    """The only line of an error that ends the command."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert result.stderr.startswith("defnet: ")
    return result.stderr.removeprefix("defnet: ")


def toml(config: TrainConfig, **changes: Any) -> str:
    """A configuration as TOML; JSON is TOML for all that stands in one."""

    def table(content: dict[str, Any]) -> str:
        plain = {k: v for k, v in content.items() if v is not None}
        return (
            "{"
            + ", ".join(f"{k} = {table(v) if isinstance(v, dict) else json.dumps(v)}" for k, v in plain.items())
            + "}"
        )

    content = json.loads(config.model_dump_json()) | changes
    data = content.pop("data")
    plain = {k: v for k, v in content.items() if v is not None}
    lines = [f"{k} = {table(v) if isinstance(v, dict) else json.dumps(v)}" for k, v in plain.items()]
    return "\n".join([*lines, f"data = [{', '.join(map(table, data))}]"]) + "\n"


@pytest.fixture
def config_file(tmp_path: Path, make_config: Callable[..., TrainConfig]) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(toml(make_config()))
    assert TrainConfig.from_toml(path) == make_config()
    return path


def test_train_evaluate_and_score(config_file: Path, roots: DataRoots, photographs: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained = defnet("train", config_file, "--data-root", roots.root, "--out", run)
    assert trained.exit_code == 0
    [summary] = csv.DictReader(io.StringIO(trained.stdout))
    assert summary["dataset"] == "live-challenge"
    assert summary["part"] == "val"
    assert summary["epoch"] in ("1", "2")
    assert f"epoch {summary['epoch']} of 2 is kept" in trained.stderr
    assert f"--model {run}" in trained.stderr
    for number in (1, 2):
        assert f"epoch   {number}" in trained.stderr
    # Again: it is finished already.
    again = defnet("train", config_file, "--data-root", roots.root, "--out", run, "--format", "json")
    [row] = json.loads(again.stdout)
    assert {name: str(value) for name, value in row.items() if value is not None} == {
        name: value for name, value in summary.items() if value
    }
    common = ("evaluate", "--model", run, "--data", "live-challenge", "--session", "1", "--data-root", roots.root)
    [figures] = json.loads(defnet(*common, "--format", "json").stdout)
    assert figures["images"] == 5
    assert (figures["dataset"], figures["session"], figures["part"]) == ("live-challenge", "1", "test")
    assert {"srcc", "plcc", "srcc_expected", "coverage_95", "nll", "scene_accuracy", "scene_majority"} <= set(figures)
    lines = [line.split() for line in defnet(*common, "--format", "table").stdout.splitlines()]
    assert ["live-challenge"] in lines
    table = dict(line for line in lines if len(line) == 2)
    assert float(table["srcc"]) == pytest.approx(figures["srcc"], abs=1e-3)
    assert float(table["coverage_95"]) == pytest.approx(figures["coverage_95"], abs=1e-3)
    [validation] = json.loads(defnet(*common, "--part", "val", "--format", "json").stdout)
    assert validation["images"] == 2
    assert validation["rmse"] == pytest.approx(float(summary["rmse"]), abs=1e-3)
    assert defnet("score", photographs[0], "--model", run).exit_code == 0


def test_errors_of_train_are_told_plainly(
    config_file: Path, make_config: Callable[..., TrainConfig], roots: DataRoots, tmp_path: Path
) -> None:
    def error(text: str | None, *options: str | Path, root: Path = roots.root) -> str:
        if text is not None:
            config_file.write_text(text)
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        return one_line(defnet("train", config_file, "--data-root", root, "--out", run, *options))

    good = toml(make_config())
    data = [{"name": "live-challenge", "session": 1, "batch_size": 4}]
    assert "small.toml: not a valid training configuration:\ndefnet:   epoch: Extra inputs" in error(
        "epoch = 3\n" + good
    )
    assert "small.toml: not valid TOML" in error("epochs = = 3")
    assert "nowhere" in error(good, root=tmp_path / "nowhere")
    assert "unknown data set 'live-chalenge'" in error(toml(make_config(), data=[{**data[0], "name": "live-chalenge"}]))
    assert "live-challenge: exclude names 'x.bmp'" in error(
        toml(make_config(), data=[{**data[0], "exclude": ["x.bmp"]}])
    )
    assert "session" in error(toml(make_config(), data=[{**data[0], "session": 11}]))
    assert "device 'abacus' cannot be used here" in error(good, "--device", "abacus")
    assert "backbone: There is no backbone 'ViT-Z'" in error(toml(make_config(), backbone={"name": "ViT-Z"}))
    assert "backbone.lite: stages must be ascending" in error(
        toml(make_config(), backbone={"lite": {"stages": [2, 1]}})
    )
    missing = {"pretrained": str(tmp_path / "weights.pth")}
    assert f"backbone: There is no weights file {tmp_path / 'weights.pth'}" in error(
        toml(make_config(), backbone=missing)
    )
    assert "no configuration 'nothing': it is neither a TOML file nor a shipped one (clip, " in one_line(
        defnet("train", "nothing", "--data-root", roots.root, "--out", tmp_path / "r")
    )


def test_train_refuses_a_folder_of_another_run(
    config_file: Path, make_config: Callable[..., TrainConfig], roots: DataRoots, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(make_config(seed=5).model_dump_json(indent=2) + "\n")
    found = one_line(defnet("train", config_file, "--data-root", roots.root, "--out", run))
    assert found == (
        f"{run}: holds a run with another configuration: seed is 5 there and 0 here; give another folder\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "live-chalenge"], "unknown data set 'live-chalenge'"),
        (["--part", "tests"], "part must be one of train, val, test, got 'tests'"),
        (["--session", "11"], "session"),
        (["--labels", "{tmp}/none"], "none"),
        (["--data-root", "{tmp}"], "ChallengeDB_release"),
    ],
)
def test_errors_of_evaluate_are_one_line(
    options: list[str], message: str, model_file: Path, roots: DataRoots, tmp_path: Path
) -> None:
    base = {"--data": "live-challenge", "--session": "1", "--data-root": str(roots.root)}
    chosen = base | {options[0]: options[1].format(tmp=tmp_path)}
    result = defnet("evaluate", model_file, *(word for option in chosen.items() for word in option))
    assert message in one_line(result)


def test_evaluate_leaves_no_image_out(model_file: Path, tmp_path: Path) -> None:
    from iqa_datasets.testing import make_fake

    fake = make_fake("live-challenge", tmp_path, images=20)
    dataset = DataRoots(tmp_path).load("live-challenge", 1).part("test")
    victim = Path(dataset[0].image_path)
    victim.write_bytes(victim.read_bytes()[:500])
    assert fake.root == victim.parents[1]
    arguments = ("--data", "live-challenge", "--session", "1", "--data-root", tmp_path)
    assert f"{victim}: is damaged or truncated" in one_line(defnet("evaluate", model_file, *arguments))


def test_the_data_root_comes_from_the_environment(model_file: Path, roots: DataRoots) -> None:
    arguments = ["evaluate", str(model_file), "--data", "live-challenge", "--session", "1", "--format", "json"]
    result = CliRunner().invoke(app, arguments, env={"IQA_DATA_ROOT": str(roots.root)})
    assert json.loads(result.stdout)[0]["images"] == 5


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of LIQE's, one that LIQE does not know, and a folder of one's own."""
    from iqa_datasets.testing import make_fake

    folder = tmp_path_factory.mktemp("several")
    make_fake("live-challenge", folder, images=24)
    make_fake("tid2013", folder, images=24)
    make_fake("folder", folder / "own", images=20)
    return folder


def test_the_epochs_line_and_the_table_say_each_data_sets_figures(
    make_config: Callable[..., TrainConfig], several: Path, tmp_path: Path
) -> None:
    sources = [
        {"name": "live-challenge", "session": 1, "batch_size": 2},
        {"name": "holiday", "session": "seeded-1", "batch_size": 2},
    ]
    (tmp_path / "mixed.toml").write_text(toml(make_config(), data=sources))
    places = ("--data-root", several, "--data-root", f"holiday={several / 'own' / 'my-data-set'}")
    arguments = ("train", tmp_path / "mixed.toml", *places, "--out", tmp_path / "run")
    done = defnet(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    rows = {row["dataset"]: row for row in json.loads(done.stdout)}
    assert list(rows) == ["live-challenge", "holiday", "mean"]
    assert rows["mean"]["nll"] == pytest.approx((rows["live-challenge"]["nll"] + rows["holiday"]["nll"]) / 2)
    assert rows["mean"]["images"] == rows["live-challenge"]["images"] + rows["holiday"]["images"]
    epochs = [line for line in done.stderr.splitlines() if line.startswith("defnet: epoch   ")]
    assert len(epochs) == 2
    for line in epochs:
        assert "SRCC of each: live-challenge " in line
        assert ", holiday " in line
    table = defnet(*arguments, "--format", "table").stdout.splitlines()
    assert any(line.split() == ["live-challenge", "holiday", "mean"] for line in table)


def test_evaluate_takes_any_data_and_any_kind_of_session(model_file: Path, several: Path, tmp_path: Path) -> None:
    common = ("evaluate", "--model", model_file, "--data-root", several)
    own = ("--data-root", f"holiday={several / 'own' / 'my-data-set'}")
    whole = json.loads(defnet(*common, "--data", "tid2013", "--format", "json").stdout)
    assert [(row["dataset"], row["images"], row["part"]) for row in whole] == [("tid2013", 24, "all")]
    both = ("--data", "tid2013", "--data", "holiday", *own, "--session", "seeded-1")
    rows = json.loads(defnet(*common, *both, "--part", "train", "--format", "json").stdout)
    assert [row["dataset"] for row in rows] == ["tid2013", "holiday", "mean"]
    assert rows[2]["srcc"] == pytest.approx((rows[0]["srcc"] + rows[1]["srcc"]) / 2)
    assert rows[0]["images"] < 24
    for suffix in ("csv", "json", "jsonl"):
        out = tmp_path / f"figures.{suffix}"
        assert defnet(*common, "--data", "holiday", *own, "--session", "official", "--out", out).stdout == ""
        assert "holiday" in out.read_text()
    assert "band_logistic" in rows[0]


def test_score_and_evaluate_agree_on_the_model_and_on_what_it_says(
    model_file: Path, several: Path, tmp_path: Path
) -> None:
    """The same option names it, and the figures follow from the scores."""
    images = sorted((several / "tid2013" / "distorted_images").iterdir())
    scored = defnet("score", *images, "--model", model_file, "--format", "csv")
    quality = {Path(row["path"]).name: float(row["quality"]) for row in csv.DictReader(io.StringIO(scored.stdout))}
    common = ("--data", "tid2013", "--data-root", several, "--format", "json")
    [by_option] = json.loads(defnet("evaluate", "--model", model_file, *common).stdout)
    [by_argument] = json.loads(defnet("evaluate", model_file, *common).stdout)
    assert by_option == by_argument
    table = DataRoots(several).load("tid2013")
    errors = [quality[Path(record.image_path).name] - record.quality for record in table]
    assert by_option["rmse"] == pytest.approx((sum(e**2 for e in errors) / len(errors)) ** 0.5, abs=1e-5)
    [shipped] = json.loads(defnet("evaluate", *common).stdout)
    assert shipped["rmse"] != pytest.approx(by_option["rmse"], abs=1e-3)
    [named] = json.loads(defnet("evaluate", "--model", "lite2", *common).stdout)
    assert named == shipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lite", "--model", "lite"], "the model is given twice"),
        (["--part", "test"], "--part test needs a --session, such as --session seeded-1"),
        (["--out", "figures.txt"], "--out must end in .csv, .json, .jsonl, .parquet"),
        (["--out", "figures.csv", "--format", "json"], "--format is about standard output"),
        (["--data", "tid2013"], "each once"),
        (["--data-root", "/one"], "two folders of all data sets"),
        (["--session", "seed"], "session must be a whole number"),
        (["--session", "1"], "tid2013: session 1 is one of LIQE's"),
    ],
)
def test_what_evaluate_cannot_do(options: list[str], message: str, several: Path) -> None:
    assert message in one_line(defnet("evaluate", "--data", "tid2013", "--data-root", several, *options))


def test_ctrl_c_says_what_is_kept(
    config_file: Path, roots: DataRoots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from defnet.training import loop

    original = loop.train_step

    def interrupted(state: Any, config: Any, step: int, *rest: Any) -> Any:
        if step == 5:
            raise KeyboardInterrupt
        return original(state, config, step, *rest)

    monkeypatch.setattr(loop, "train_step", interrupted)
    run = tmp_path / "run"
    result = defnet("train", config_file, "--data-root", roots.root, "--out", run)
    assert result.exit_code == 130
    assert f"interrupted; the last state is kept in {run}, and the same command goes on from it" in result.stderr
    monkeypatch.undo()
    assert defnet("train", config_file, "--data-root", roots.root, "--out", run).exit_code == 0


def test_a_path_that_cannot_be_written_to_is_one_line(config_file: Path, roots: DataRoots, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = one_line(defnet("train", config_file, "--data-root", roots.root, "--out", tmp_path / "file" / "run"))
    assert "file" in found
