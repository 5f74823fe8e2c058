"""`defnet calibrate` as a person runs it: figures, the file, and what wrong uses say."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from defnet import DataRoots, TrainConfig, train
from defnet.cli import app
from iqa_datasets.testing import FakeDataset


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture(scope="module")
def model(
    tmp_path_factory: pytest.TempPathFactory, fifty: FakeDataset, make_config: Callable[..., TrainConfig]
) -> Path:
    folder = tmp_path_factory.mktemp("run")
    data = [{"name": "live-challenge", "session": "seeded-1:1/0/0", "batch_size": 8}]
    config = make_config(data=data, select_by="last", epochs=1)
    train(config, DataRoots(fifty.root.parent), folder, cache=folder / "pools", device="cpu")
    return folder


def test_from_a_run_to_scores_that_say_how_familiar_an_image_is(
    model: Path, fifty: FakeDataset, tmp_path: Path, photographs: list[Path]
) -> None:
    out = tmp_path / "calibrated.safetensors"
    done = run("calibrate", model, "--data-root", fifty.root.parent, "--out", out, "--folds", "2", "--families", "1",
               "--cache", model / "pools", "--device", "cpu")  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = {row["figure"]: row["value"] for row in csv.DictReader(done.stdout.splitlines())}
    assert figures["images.rated"] == "50"
    assert float(figures["width_95"]) > 0
    assert float(figures["deviation.degrees_of_freedom"]) > 2
    assert "contents-1-of-2 (1 of 3): 25 training images left out" in done.stderr
    assert f"score with it: defnet score PATH... --model {out}" in done.stderr
    scored = run("score", *photographs[:3], "--model", out, "--device", "cpu")
    assert scored.exit_code == 0, scored.output
    for row in csv.DictReader(scored.stdout.splitlines()):
        assert 0 < float(row["familiarity"]) <= 1
        assert ("unlike the photographs" in row["warnings"]) == (float(row["familiarity"]) < 0.05)
    said = json.loads(run("info", out, "--format", "json").stdout)["reliability"]
    assert (said["folds"], said["images"]["rated"]) == (2, 50)
    assert said["deviation"]["unit"] == float(figures["deviation.unit"])
    assert run("export", out, tmp_path / "hub").exit_code == 0
    card = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "the last; no image was held back for validation" in card
    assert "## What it knows of its limits" in card
    assert "Trained anew with 2 folds of contents" in card
    assert "## Figures on validation" not in card
    judged = run("evaluate", out, "--data", "live-challenge", "--data-root", fifty.root.parent, "--device", "cpu")
    assert judged.exit_code == 0, judged.output
    [row] = csv.DictReader(judged.stdout.splitlines())
    assert 0 <= float(row["unfamiliar"]) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "m.pt"], "--out: a model file's name ends in .safetensors, got m.pt"),
        (["--out", "nowhere/m.safetensors"], "--out: the folder nowhere does not exist"),
        (["--out", "m.safetensors"], "live-challenge: nobody knows where it lies"),
        (["--out", "m.safetensors", "--folds", "1"], "should be greater than or equal to 2"),
        (["--out", "m.safetensors", "--families", "-1"], "should be greater than or equal to 0"),
    ],
)
def test_wrong_uses_are_one_line_and_2(
    options: list[str], message: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IQA_DATA_ROOT", raising=False)
    done = run("calibrate", model, *options)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("calibrate", "nothing", "--data-root", tmp_path, "--out", tmp_path / "m.safetensors")
    assert done.exit_code == 2
    assert done.stderr.startswith("defnet: no model 'nothing'")
