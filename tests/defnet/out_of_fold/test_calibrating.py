"""Calibrating a model by what was left out: whole, on a made-up data set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from defnet import DataRoots, TrainConfig, load_scorer, read_info, train
from defnet.errors import CheckpointError, ConfigError, DataError
from defnet.model.model_file import add_reliability, load_reliability
from defnet.out_of_fold import calibrating
from defnet.out_of_fold.calibrating import PREDICTIONS_FILE, calibrate_model
from defnet.training import loop as training_loop
from defnet.training.folder import read_config
from iqa_datasets import load
from iqa_datasets.testing import FakeDataset


@pytest.fixture(scope="module")
def fifty_roots(fifty: FakeDataset) -> DataRoots:
    return DataRoots(fifty.root.parent)


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, fifty_roots: DataRoots, make_config: Callable[..., TrainConfig]
) -> Path:
    """The folder of a run on every image there is, without a validation part."""
    folder = tmp_path_factory.mktemp("whole")
    data = [{"name": "live-challenge", "session": "seeded-1:1/0/0", "batch_size": 8}]
    train(make_config(data=data, select_by="last"), fifty_roots, folder, cache=folder / "pools", device="cpu")
    return folder


@pytest.fixture(scope="module")
def calibrated(whole: Path, fifty_roots: DataRoots) -> Path:
    out = whole / "calibrated.safetensors"
    options: dict[str, Any] = {"folds": 3, "families": 2, "cache": whole / "pools", "device": "cpu"}
    calibrate_model(whole, fifty_roots, out, whole / "folds", **options)
    return out


def test_a_run_without_a_validation_part_keeps_its_last_epoch(whole: Path) -> None:
    info = read_info(whole)
    assert (info.epoch, info.validation, info.variance_scale) == (2, {}, 1.0)
    assert info.images["live-challenge"] == {"train": 50, "val": 0}


def test_scores_stay_and_intervals_know_the_distance(
    whole: Path, calibrated: Path, photographs: list[Path], fifty: FakeDataset
) -> None:
    paths = [*photographs[:4], *(Path(record.image_path) for record in load("live-challenge", fifty.root))][:8]
    before, after = (load_scorer(path, device="cpu").score(paths) for path in (whole, calibrated))
    assert [score.quality for score in after] == [score.quality for score in before]
    assert [score.scene_probability for score in after] == [score.scene_probability for score in before]
    reliability = load_reliability(calibrated)
    assert reliability is not None
    reach = reliability.reach(0.95)
    for old, score in zip(before, after, strict=True):
        assert old.familiarity != old.familiarity
        assert 0 < score.familiarity <= 1
        h = (score.aleatoric_std**2 + score.epistemic_std**2) ** 0.5
        assert score.lower == pytest.approx(max(1, score.quality - reach * h), abs=1e-6)
        assert score.upper == pytest.approx(min(5, score.quality + reach * h), abs=1e-6)
        assert any("unlike the photographs" in warning for warning in score.warnings) == (score.familiarity < 0.05)


def test_every_rated_image_is_left_out_once_by_content_and_each_family_once(
    whole: Path, calibrated: Path, fifty: FakeDataset
) -> None:
    info = read_info(calibrated)
    assert info.reliability is not None
    assert info.reliability.images["rated"] == 50
    rows: list[int] = []
    for fold in sorted((whole / "folds").glob("contents-*")):
        with safe_open(fold / PREDICTIONS_FILE, framework="pt") as file:
            rows += file.get_tensor("row").tolist()
        # The fold's run is an ordinary one, which has not seen these.
        config = read_config(fold)
        assert config is not None
        assert len(config.data[0].exclude) == len(file_rows := rows[-len(config.data[0].exclude) :]) == len(file_rows)
    assert sorted(rows) == list(range(50))
    records = load("live-challenge", fifty.root).records
    for families in info.reliability.families:
        folder = whole / "folds" / ("without-" + "-and-".join(name.replace(" ", "-") for name in families))
        config = read_config(folder)
        assert config is not None
        left = {path.rpartition("/")[2] for path in config.data[0].exclude}
        assert len(left) == len(config.data[0].exclude)
    assert len(records) == 50


def test_folds_share_the_views(whole: Path, calibrated: Path) -> None:
    """A fold's model costs steps and no views: there is one pool of each kind, and no image stands in it twice."""
    assert calibrated.exists()
    for kind in ("training", "validation"):
        [pool] = (whole / "pools" / kind).iterdir()
        assert len(list(pool.glob("*.safetensors"))) == 50
    assert not (whole / "folds" / "pools").exists()


def test_the_same_bits_after_a_kill(
    whole: Path, calibrated: Path, fifty_roots: DataRoots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"folds": 3, "families": 2, "cache": whole / "pools", "device": "cpu"}
    out, folder = tmp_path / "again.safetensors", tmp_path / "folds"
    real: Any = training_loop.Training
    calls: list[str] = []

    class Killed(real):  # type: ignore[misc]
        def run(self, **_: object) -> object:
            calls.append(self.folder.name)
            if len(calls) == 3:
                super().run(stop_after_steps=3)
                raise KeyboardInterrupt
            return super().run()

    monkeypatch.setattr(calibrating, "Training", Killed)
    with pytest.raises(KeyboardInterrupt):
        calibrate_model(whole, fifty_roots, out, folder, **options)
    assert not out.exists()
    kept = (folder / calls[0] / PREDICTIONS_FILE).stat().st_mtime_ns
    calls[:] = ["a", "b", "c"]
    calibrate_model(whole, fifty_roots, out, folder, **options)
    assert calls[3:] == [one.name for one in sorted(folder.iterdir()) if one.is_dir()][2:]  # two were whole
    assert (folder / "contents-1-of-3" / PREDICTIONS_FILE).stat().st_mtime_ns == kept
    assert out.read_bytes() == calibrated.read_bytes()


def test_a_folder_of_another_calibration_is_refused(
    whole: Path, calibrated: Path, fifty_roots: DataRoots, tmp_path: Path
) -> None:
    assert calibrated.exists()
    with pytest.raises(ConfigError, match=r"another configuration: data\.0\.exclude"):
        calibrate_model(
            whole, fifty_roots, tmp_path / "m.safetensors", whole / "folds", folds=3, families=2, seed=1, device="cpu"
        )


def test_what_cannot_be_calibrated_is_said(
    whole: Path, fifty_roots: DataRoots, tmp_path: Path, make_config: Callable[..., TrainConfig]
) -> None:
    out = tmp_path / "m.safetensors"
    with pytest.raises(ConfigError, match="folds must be at least 2, got 1"):
        calibrate_model(whole, fifty_roots, out, tmp_path, folds=1)
    with pytest.raises(DataError, match="cannot be dealt into 51 folds"):
        calibrate_model(whole, fifty_roots, out, tmp_path / "many", folds=51, cache=whole / "pools", device="cpu")
    with pytest.raises(CheckpointError, match="no model 'nothing'"):
        calibrate_model("nothing", fifty_roots, out, tmp_path)
    plain = make_config(model={"evidence": False}, optimizer={"head_learning_rate": None})
    train(plain, fifty_roots, tmp_path / "plain", cache=whole / "pools", device="cpu")
    with pytest.raises(ConfigError, match="no uncertainty to calibrate"):
        calibrate_model(tmp_path / "plain", fifty_roots, out, tmp_path / "f")


def test_the_section_is_replaced_and_its_damage_is_named(calibrated: Path, tmp_path: Path) -> None:
    info, reliability = read_info(calibrated), load_reliability(calibrated)
    assert info.reliability is not None
    assert reliability is not None
    again = tmp_path / "again.safetensors"
    add_reliability(calibrated, again, reliability, info.reliability)
    assert again.read_bytes() == calibrated.read_bytes()
    broken = info.reliability.model_copy(update={"deviation": {**info.reliability.deviation, "unit": -1.0}})
    add_reliability(calibrated, again, reliability, broken)
    with pytest.raises(CheckpointError, match=r"again\.safetensors: a deviation has levels and a unit above 0"):
        load_reliability(again)
    reliability.familiarity.mean[0] = torch.nan
    add_reliability(calibrated, again, reliability, info.reliability)
    with pytest.raises(CheckpointError, match="familiarity: a tensor holds NaN"):
        load_reliability(again)


def test_without_the_section_a_file_is_what_it_was(whole: Path, calibrated: Path) -> None:
    with safe_open(whole / "model.safetensors", framework="pt") as plain, safe_open(calibrated, framework="pt") as more:
        names = set(plain.keys())
        assert {name for name in more.keys() if not name.startswith("reliability.")} == names  # noqa: SIM118
        assert all(torch.equal(plain.get_tensor(name), more.get_tensor(name)) for name in names)
        said = json.loads(more.metadata()["defnet"])
    assert {**said, "reliability": None} == json.loads(read_info(whole).model_dump_json())
    assert load_reliability(whole) is None
