"""The folder of a run: gone on with after an upgrade, and refused with the names of what differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from defnet import ConfigError, DataRoots, TrainConfig
from defnet.training import precision as precision_module
from defnet.training.folder import claim, read_config
from defnet.training.loop import Training
from defnet.training.precision import resolve_precision

MakeConfig = Callable[..., TrainConfig]


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "config.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def as_version_0(content: dict[str, Any]) -> None:
    """Without the version, and without the fields that have come since."""
    del content["version"], content["model"]["evidence_crops"], content["crops"]["short_side"]
    del content["accumulate"], content["checkpoints_kept"]
    for source in content["data"]:
        del source["dataset"], source["path"]


def test_a_run_goes_on_after_an_upgrade_that_added_fields_with_defaults(
    make_config: MakeConfig, roots: DataRoots, tmp_path: Path
) -> None:
    config = make_config(epochs=3)
    Training(config, roots, tmp_path / "whole", cache=tmp_path / "pools").run()
    assert Training(config, roots, tmp_path / "run", cache=tmp_path / "pools").run(stop_after_steps=4) is None
    rewrite(tmp_path / "run", as_version_0)
    # Its state counted no steps and knew no figures of single data sets.
    state = tmp_path / "run" / "state.safetensors"
    with safe_open(state, framework="pt") as file:
        progress = json.loads(file.metadata()["training"])
    assert progress["step"] == 4
    for field in ("counts", "best_by_dataset"):
        assert progress.pop(field)
    save_file(load_file(state), state, {"training": json.dumps(progress)})
    assert Training(config, roots, tmp_path / "run", cache=tmp_path / "pools").run() is not None
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "run")]
    assert logs[0] == logs[1]


def test_a_real_difference_names_its_fields(make_config: MakeConfig, tmp_path: Path) -> None:
    claim(tmp_path, make_config())
    claim(tmp_path, make_config())
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, make_config(seed=1, model={"evidence_crops": 15}))
    assert str(caught.value) == (
        f"{tmp_path}: holds a run with another configuration: model.evidence_crops is None there and 15 here; "
        "seed is 0 there and 1 here; give another folder"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config.json: is not a configuration"),
        ("[]", "config.json: is not a configuration"),
        ('{"version": 7}', "config.json: the configuration has version 7; this version of defnet knows 0 to 2"),
        ('{"version": 2, "data": []}', "config.json: is not a configuration of this version of defnet: data: "),
        (
            '{"version": 2, "data": [{"name": "a", "session": 1, "batch_size": 1}], "momentum": 1}',
            "config.json: is not a configuration of this version of defnet: momentum: Extra",
        ),
    ],
)
def test_a_configuration_that_is_none(text: str, message: str, make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        claim(tmp_path, make_config())


def test_a_run_may_go_on_in_other_parts_and_keep_more_states(make_config: MakeConfig, tmp_path: Path) -> None:
    claim(tmp_path, make_config())
    claim(tmp_path, make_config(accumulate=2, checkpoints_kept=3))
    with pytest.raises(ConfigError, match="checkpoint_every is 2 there and 7 here"):
        claim(tmp_path, make_config(accumulate=2, checkpoint_every=7))


def test_what_a_killed_run_was_writing_goes(make_config: MakeConfig, tmp_path: Path) -> None:
    for name in (".state.1.0.part.safetensors", ".config.json.9.part"):
        (tmp_path / name).write_text("half")
    claim(tmp_path, make_config())
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [("cpu", None, "fp32"), ("cuda", (8, 0), "bf16"), ("cuda", (9, 0), "bf16"), ("cuda", (7, 5), "fp32")],
)
def test_auto_is_bf16_on_a_gpu_that_has_it(
    device: str, capability: Any, expected: str, make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_module.torch.cuda, "get_device_capability", lambda _: capability)
    config = make_config(precision="auto")
    assert resolve_precision(config, torch.device(device), None).precision == expected
    for asked in ("fp32", "bf16"):
        assert resolve_precision(make_config(precision=asked), torch.device(device), None).precision == asked
    # Wherever a run goes on, it computes in what it began with.
    other = "fp32" if expected == "bf16" else "bf16"
    found = config.model_copy(update={"precision": other})
    assert resolve_precision(config, torch.device(device), found).precision == other


def test_what_is_written_says_what_was_computed_in(make_config: MakeConfig, roots: DataRoots, tmp_path: Path) -> None:
    Training(make_config(precision="auto"), roots, tmp_path, device="cpu").run(stop_after_steps=1)
    found = read_config(tmp_path)
    assert found is not None
    assert found.precision == "fp32"
    Training(make_config(precision="auto"), roots, tmp_path, device="cpu").run(stop_after_steps=1)
    with pytest.raises(ConfigError, match="precision is 'fp32' there and 'bf16' here"):
        Training(make_config(precision="bf16"), roots, tmp_path, device="cpu").run()


def test_a_gpu_gets_more_views_at_once_than_a_cpu(make_config: MakeConfig) -> None:
    from defnet.model.initial_model import build_model

    backbone = build_model(make_config()).backbone
    assert backbone._views_per_forward(torch.device("cuda")) >= 256
    assert backbone._views_per_forward(torch.device("cpu")) <= 16
