"""`defnet train` with presets and single fields set, and started by `torchrun` and by `accelerate launch`."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from defnet import load_scorer
from defnet.cli import app
from defnet.commands.train import BarReporter
from iqa_datasets.testing import make_fake

SIX = ("live", "csiq", "bid", "live-challenge", "kadid-10k", "koniq-10k")


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The paper's six data sets, made up."""
    folder = tmp_path_factory.mktemp("six")
    for name in SIX:
        make_fake(name, folder, images=24)
    return folder


@pytest.fixture(scope="module")
def small(write_clip: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A tiny CLIP of random weights in the place of ViT-B/32, and two steps in the place of 16,000."""
    clip = write_clip(tmp_path_factory.mktemp("clip") / "clip")
    settings = [
        f"backbone.name=local-dir:{clip}",
        "backbone.pretrained=null",
        "epochs=1",
        "steps_per_epoch=2",
        "crops.test_count=2",
    ]
    return [part for setting in settings for part in ("--set", setting)]


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def launched(launcher: list[str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a launcher does."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "IQA_DATA_ROOT": "", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-W", "ignore", "-m", *launcher, "-m", "defnet", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


def steps_of(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if "step" in row]


class FakeBar:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.details: list[str] = []
        self.speed: float | None = None

    def stage(self, what: str, total: float | None) -> None:
        pass

    def advance(self, units: float) -> None:
        pass

    def detail(self, text: str) -> None:
        self.details.append(text)


def test_the_bar_shows_images_a_second_while_it_trains() -> None:
    bar: Any = FakeBar()
    reporter = BarReporter(bar, 48)
    reporter.begin("training", 100)
    reporter.advance(20)
    assert bar.details == []  # too early to tell
    bar.speed = 2.5
    reporter.advance(1)
    assert bar.details == ["120 images/s"]
    reporter.begin("validating epoch 1", 100)
    reporter.advance(1)
    assert bar.details == ["120 images/s"]


def test_the_papers_mixture_trains(six: Path, small: list[str], tmp_path: Path) -> None:
    done = defnet("train", "paper", "--data-root", six, "--out", tmp_path / "run", *small)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["dataset"] for row in rows} >= set(SIX)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert sum(source["batch_size"] for source in config["data"]) == 48
    assert (config["epochs"], config["backbone"]["pretrained"]) == (1, None)
    for row in steps_of(tmp_path / "run"):
        assert {"fidelity_quality", "fidelity_scene", "fidelity_distortion", "cross", "fusion"} <= set(row)
    assert load_scorer(tmp_path / "run").info.epoch == 1
    # The same command goes on; another field is another run.
    assert defnet("train", "paper", "--data-root", six, "--out", tmp_path / "run", *small).exit_code == 0
    other = defnet("train", "paper", "--data-root", six, "--out", tmp_path / "run", *small, "--set", "seed=1")
    assert other.exit_code == 2
    assert "seed is 0 there and 1 here" in other.stderr
    wrong = defnet("train", "paper", "--data-root", six, "--out", tmp_path / "wrong", "--set", "optimizer.speed=1")
    assert wrong.exit_code == 2
    assert "optimizer.speed: Extra inputs are not permitted" in wrong.stderr


def test_torchrun_trains_one_model_and_speaks_once(six: Path, small: list[str], tmp_path: Path) -> None:
    alone = defnet("train", "paper", "--data-root", six, "--out", tmp_path / "alone", "--device", "cpu", *small)
    assert alone.exit_code == 0
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = ("train", "paper", "--data-root", six, "--device", "cpu", *small)
    done = launched(torchrun, *arguments, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("dataset,") == 1
    assert done.stderr.count("epoch 1 of 1 is kept") == 1
    for one, two in zip(steps_of(tmp_path / "alone"), steps_of(tmp_path / "two"), strict=True):
        assert two == pytest.approx(one, rel=1e-4)
    # An error is said once, too, and without a traceback of this program.
    wrong = launched(torchrun, *arguments, "--out", tmp_path / "two", "--set", "seed=1")
    assert wrong.returncode != 0
    assert wrong.stderr.count("seed is 0 there and 1 here") == 1
    assert "defnet/training" not in wrong.stderr


@pytest.mark.slow
def test_accelerate_launch_trains(six: Path, small: list[str], tmp_path: Path) -> None:
    launcher = ["accelerate.commands.launch", "--cpu", "--num_processes=1", "--num_machines=1", "--mixed_precision=no"]
    done = launched([*launcher, "--dynamo_backend=no"], "train", "paper", "--data-root", six, "--out", tmp_path, *small)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(steps_of(tmp_path)) == 2
