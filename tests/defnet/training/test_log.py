"""The log as lines, tables and events; and the states that are kept."""

import csv
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from defnet import CheckpointError, ConfigError, DataRoots, TrainConfig
from defnet.training import log as log_module
from defnet.training.log import Log, flat
from defnet.training.loop import Training
from defnet.training.state import earlier_states

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def config(make_config: MakeConfig) -> TrainConfig:
    return make_config(epochs=3, steps_per_epoch=4, checkpoint_every=2, checkpoints_kept=3)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def trained(config: TrainConfig, roots: DataRoots, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped once."""
    folder = tmp_path_factory.mktemp("trained")
    Training(config, roots, folder, cache=cache, tensorboard=True).run(stop_after_steps=5)
    assert Training(config, roots, folder, cache=cache, tensorboard=True).run() is not None
    return folder


def rows_of(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row for row in rows if "step" in row], [row for row in rows if "step" not in row]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_tables_say_what_the_log_says(trained: Path) -> None:
    for file, rows in zip(("steps.csv", "epochs.csv"), rows_of(trained), strict=True):
        written = table(trained / file)
        assert len(written) == len(rows) == (12 if file == "steps.csv" else 3)
        for line, row in zip(written, rows, strict=True):
            values = flat(row)
            assert set(values) <= set(line)
            for name, text in line.items():
                value = values.get(name)
                assert text == "" if value is None else float(text) == value, name


def test_every_step_has_every_term_and_weight(trained: Path) -> None:
    columns = set(table(trained / "steps.csv")[0])
    tasks = ("quality", "scene", "distortion")
    terms = {f"{kind}_{task}" for kind in ("fidelity", "cross", "fusion", "lambda") for task in tasks}
    assert columns == terms | {"step", "epoch", "multitask", "cross", "fusion", "total", "gradient_norm"} | {
        "learning_rate",
        "learning_rate_factor",
    }
    for row in table(trained / "steps.csv"):
        assert float(row["learning_rate"]) == pytest.approx(1e-3 * float(row["learning_rate_factor"]))
    epochs = table(trained / "epochs.csv")
    assert {"train.total", "validation.srcc", "validation.live-challenge.srcc", "best_epoch"} <= set(epochs[0])


def test_a_run_that_was_stopped_has_the_tables_of_one_that_was_not(
    trained: Path, config: TrainConfig, roots: DataRoots, cache: Path, tmp_path: Path
) -> None:
    Training(config, roots, tmp_path, cache=cache).run()
    for name in ("log.jsonl", "steps.csv", "epochs.csv"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()
    assert not (tmp_path / "tensorboard").exists()


def test_a_column_that_comes_later_is_there_from_the_start(tmp_path: Path) -> None:
    """As the terms of a task do that no image of the first steps has a label for."""
    with Log(tmp_path, 0) as log:
        assert not (tmp_path / "steps.csv").exists()
        log.step({"step": 0, "epoch": 1, "total": 2.0})
        log.sync()
        log.step({"step": 1, "epoch": 1, "total": 1.0, "fidelity_scene": 0.5})
        log.sync()
        log.step({"step": 2, "epoch": 1, "total": math.nan})
        log.sync()
    assert (tmp_path / "steps.csv").read_text() == ("step,epoch,total,fidelity_scene\n0,1,2.0,\n1,1,1.0,0.5\n2,1,,\n")
    with Log(tmp_path, 1):
        pass
    assert (tmp_path / "steps.csv").read_text() == "step,epoch,total\n0,1,2.0\n"


def test_another_process_writes_nothing(tmp_path: Path) -> None:
    with Log(None, 0, tensorboard=True) as log:
        log.step({"step": 0, "epoch": 1, "total": 2.0})
        log.epoch({"epoch": 1}, 1)
        log.speed(1.0, 0)
        log.sync()
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_has_the_same(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "tensorboard"))
    events.Reload()
    steps, epochs = rows_of(trained)
    for name in ("total", "fidelity_scene", "lambda_quality", "gradient_norm", "learning_rate"):
        found = [(event.step, event.value) for event in events.Scalars(f"step/{name}")]
        # The first call did the fifth step, too, and wrote it; the second goes on from there.
        assert [step for step, _ in found] == list(range(12))
        assert [value for _, value in found] == pytest.approx([row[name] for row in steps], rel=1e-6)
    srcc = {event.step: event.value for event in events.Scalars("epoch/validation.rmse")}
    assert srcc == pytest.approx({4 * row["epoch"]: row["validation"]["rmse"] for row in epochs}, rel=1e-6)
    assert all(event.value > 0 for event in events.Scalars("images_per_second"))


def test_without_tensorboard_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match=r"TensorBoard is not installed .*: pip install 'defnet\[tensorboard\]'"):
        log_module.Log(tmp_path, 0, tensorboard=True)


def step_of(state: Path) -> int:
    with safe_open(state, framework="pt") as file:
        return int(json.loads(file.metadata()["training"])["step"])


def test_the_last_states_are_kept(trained: Path) -> None:
    state = trained / "state.safetensors"
    assert step_of(state) == 12
    earlier = earlier_states(state)
    assert [path.name for path in earlier] == ["state-000000010.safetensors", "state-000000008.safetensors"]
    assert [step_of(path) for path in earlier] == [10, 8]


def test_one_state_is_kept_by_default(make_config: MakeConfig, roots: DataRoots, cache: Path, tmp_path: Path) -> None:
    Training(make_config(), roots, tmp_path, cache=cache).run()
    assert [path.name for path in tmp_path.glob("state*")] == ["state.safetensors"]


def test_a_run_can_be_taken_back_to_an_earlier_state(
    trained: Path, config: TrainConfig, roots: DataRoots, cache: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "log.jsonl"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    (tmp_path / "state-000000010.safetensors").write_bytes((trained / "state-000000010.safetensors").read_bytes())
    (tmp_path / "state.safetensors").write_bytes((trained / "state-000000008.safetensors").read_bytes())
    Training(config, roots, tmp_path, cache=cache).run(stop_after_steps=1)
    # What was of step 10 is of a future that may come otherwise.
    assert [path.name for path in earlier_states(tmp_path / "state.safetensors")] == ["state-000000008.safetensors"]
    assert [row["step"] for row in rows_of(tmp_path)[0]] == list(range(9))
    Training(config, roots, tmp_path, cache=cache).run()
    assert (tmp_path / "log.jsonl").read_bytes() == (trained / "log.jsonl").read_bytes()
    found, wanted = (load_file(folder / "model.safetensors") for folder in (tmp_path, trained))
    assert all(found[name].equal(wanted[name]) for name in wanted)


def test_a_damaged_state_names_the_one_before(
    trained: Path, config: TrainConfig, roots: DataRoots, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "state-000000010.safetensors").write_bytes((trained / "state-000000010.safetensors").read_bytes())
    (tmp_path / "state.safetensors").write_bytes(b"something else")
    with pytest.raises(CheckpointError, match=r"an earlier state can be put in its place: .*state-000000010"):
        Training(config, roots, tmp_path, cache=cache).run()
