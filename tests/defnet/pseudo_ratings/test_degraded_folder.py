"""Degraded copies of photographs: what is known of them, and what training makes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner

from defnet import ConfigError, DataError, DataRoots, TrainConfig
from defnet.cli import app
from defnet.data.mixture import load_mixture
from defnet.experiments.run import run
from defnet.losses.fidelity import quality_fidelity
from defnet.pseudo_ratings.degraded_folder import DegradedCopies, degrade
from iqa_datasets import load
from iqa_datasets.testing import FakeDataset, make_fake

MakeConfig = Callable[..., TrainConfig]
SAMPLES = Path(__file__).parents[3] / "samples"
COPIES = {
    "name": "degraded",
    "dataset": "folder",
    "of": "live-challenge",
    "session": "seeded-1",
    "batch_size": 6,
    "per_content": 3,
    "pairs": "content",
    "quality_evidence": 0,
}


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return make_fake("live-challenge", tmp_path_factory.mktemp("rated"), images=24)


@pytest.fixture(scope="module")
def made(rated: FakeDataset, tmp_path_factory: pytest.TempPathFactory) -> DegradedCopies:
    return degrade(rated.root / "Images", tmp_path_factory.mktemp("degraded") / "out", workers=1)


@pytest.fixture(scope="module")
def roots(rated: FakeDataset, made: DegradedCopies) -> DataRoots:
    return DataRoots(rated.root.parent, folders={"degraded": made.folder})


@pytest.fixture(scope="module")
def mixture(make_config: MakeConfig) -> Callable[..., TrainConfig]:
    def make(session: int = 1, **changes: object) -> TrainConfig:
        sources = [{"name": "live-challenge", "session": session, "batch_size": 4}, COPIES | changes]
        return make_config(data=sources, objective={"ties": "none"})

    return make


def test_each_photograph_has_its_copies_and_stands_above_them(rated: FakeDataset, made: DegradedCopies) -> None:
    dataset = load("folder", made.folder)
    files = [path.relative_to(rated.root / "Images") for path in (rated.root / "Images").rglob("*") if path.is_file()]
    names = {path.with_suffix("").as_posix() for path in files}
    # Some distortions leave a made-up image as it is, and are left out.
    assert 2.8 * len(files) < len(dataset) == len(made.records) <= 3 * len(files)
    assert set(dataset.records["content"]) == names
    for _, rows in dataset.records.groupby("content"):
        assert sorted(rows["mos"]) in ([0, 1], [0, 0, 1])
        assert rows.loc[rows["mos"] == 0, "distortion"].notna().all()
        original, *copies = (np.asarray(Image.open(path)) for path in rows.sort_values("mos")["image_path"][::-1])
        assert all((copy != original).any() for copy in copies)


@pytest.mark.parametrize("session", [1, 2])
def test_copies_follow_the_session_of_their_photographs(
    roots: DataRoots, made: DegradedCopies, mixture: Callable[..., TrainConfig], session: int
) -> None:
    config = mixture(session)
    table, validation = load_mixture(config, roots)
    stems = [{table.paths[row].stem for row in table.rows_of(number)} for number in (0, 1)]
    originals = {stem for stem in stems[1] if stem in stems[0]}
    assert originals == stems[0]
    assert len(table.rows_of(1)) == made.records["content"].isin(stems[0]).sum()
    assert {stem.split("_")[0] for stem in stems[1]} == stems[0]
    assert len(validation.rows_of(1)) == 0


def test_an_excluded_photograph_takes_its_copies_with_it(
    roots: DataRoots, made: DegradedCopies, mixture: Callable[..., TrainConfig]
) -> None:
    config = mixture()
    table, _ = load_mixture(config, roots)
    path = table.paths[0]
    source = config.data[0].model_copy(update={"exclude": (f"Images/{path.name}",)})
    fewer, _ = load_mixture(config.model_copy(update={"data": (source, config.data[1])}), roots)
    assert len(fewer.rows_of(1)) == len(table.rows_of(1)) - (made.records["content"] == path.stem).sum()
    assert path.stem not in {fewer.paths[row].stem.split("_")[0] for row in fewer.rows_of(1)}


def test_a_run_of_another_session_keeps_the_copies_own(
    roots: DataRoots, mixture: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    result = run(mixture(), 2, roots, tmp_path)
    assert [source.session for source in result.config.data] == [2, "seeded-1"]
    assert set(result.figures["test"]) == set(result.figures["val"]) == {"live-challenge"}
    assert set(pd.read_parquet(tmp_path / "predictions.parquet")["dataset"]) == {"live-challenge"}


def test_copies_of_other_photographs_are_refused(mixture: Callable[..., TrainConfig], tmp_path: Path) -> None:
    other = make_fake("live-challenge", tmp_path, images=12)
    folder = tmp_path / "renamed"
    (folder / "Images").mkdir(parents=True)
    sources = [path for path in (other.root / "Images").iterdir() if path.is_file()][:3]
    for number, source in enumerate(sources):
        (folder / "Images" / f"elsewhere{number}{source.suffix}").write_bytes(source.read_bytes())
    copies = degrade(folder / "Images", tmp_path / "copies", workers=1)
    with pytest.raises(
        DataError, match=r"degraded: holds no copy of a training image of live-challenge; .*'elsewhere0'"
    ):
        load_mixture(mixture(), DataRoots(other.root.parent, folders={"degraded": copies.folder}))


def test_a_mixture_needs_the_photographs_of_its_copies(make_config: MakeConfig) -> None:
    other = {"name": "csiq", "session": 1, "batch_size": 4}
    with pytest.raises(ValidationError, match="degraded holds copies of 'live-challenge', which must be another data"):
        make_config(data=[other, COPIES])
    with pytest.raises(ValidationError, match="no data set of the mixture is judged"):
        make_config(data=[other | {"judged": False}])


def test_pairs_whose_order_is_not_known_are_left_out() -> None:
    estimate = torch.tensor([2.0, 3.0, 1.0], requires_grad=True)
    quality, dataset = torch.tensor([5.0, 1.0, 1.0]), torch.zeros(3, dtype=torch.int64)
    both = quality_fidelity(estimate, quality, dataset, ties="none")
    alone = [quality_fidelity(estimate[[0, place]], quality[[0, place]], dataset[:2]) for place in (1, 2)]
    assert both.item() == pytest.approx(sum(loss.item() for loss in alone) / 2)
    only_ties = quality_fidelity(estimate[1:], quality[1:], dataset[1:], ties="none")
    assert only_ties.item() == 0


def test_the_same_again_goes_on_and_other_settings_are_refused(
    rated: FakeDataset, made: DegradedCopies, tmp_path: Path
) -> None:
    again = degrade(rated.root / "Images", tmp_path / "again", workers=2)
    assert (again.folder / "order.csv").read_bytes() == (made.folder / "order.csv").read_bytes()
    with pytest.raises(ConfigError, match="seed"):
        degrade(rated.root / "Images", again.folder, seed=1, workers=1)
    with pytest.raises(ConfigError, match="per_photograph must be 1 or more, got 0"):
        degrade(rated.root / "Images", tmp_path / "none", per_photograph=0)


def test_the_command_names_what_could_not_be_degraded(rated: FakeDataset, tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    source = next((rated.root / "Images").iterdir())
    (photographs / source.name).write_bytes(source.read_bytes())
    (photographs / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    result = CliRunner().invoke(app, ["degrade", str(photographs), str(tmp_path / "out"), "--workers", "1"])
    assert result.exit_code == 1
    assert "torn.png" in result.stdout
    assert "2 copies of 1 photographs; 1 images with a problem" in result.stderr


def test_metrics_order_the_copies_of_a_photograph(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("chelsea", "coffee"):
        photo = Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize((200, 168))
        photo.save(tmp_path / "photos" / f"{name}.png")
    options: dict[str, Any] = {"per_photograph": 12, "workers": 1}
    plain = degrade(tmp_path / "photos", tmp_path / "out", **options)
    metrics = ("gmsd", "psnr", "haarpsi")
    made = degrade(tmp_path / "photos", tmp_path / "out", metrics=metrics, **options)
    assert set(made.records["image"]) == set(plain.records["image"])
    dataset = load("folder", made.folder)
    for content, rows in dataset.records.groupby("content"):
        copies = made.records[
            (made.records["content"] == content) & (made.records["image"] != made.records["reference"])
        ]
        assert len(copies) == len(rows) - 1 >= 8
        # Above all of them is the photograph, of which that is certain.
        assert (rows["mos"].max(), rows.loc[rows["mos"].idxmax(), "mos_std"]) == (1, 0)
        assert (copies["score_std"] > 0).all()
        assert copies["score"].between(0, 1).all()
        for name, sign in (("gmsd", -1), ("psnr", 1), ("haarpsi", 1)):
            assert copies["score"].corr(sign * copies[name], method="spearman") > 0.7, name
    assert degrade(tmp_path / "photos", tmp_path / "out", metrics=metrics, **options).records.equals(made.records)
    with pytest.raises(ConfigError, match="'ssimm' is unknown"):
        degrade(tmp_path / "photos", tmp_path / "out", metrics=("ssimm",), **options)


def test_what_could_not_be_measured_is_said_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, size in (("chelsea", (200, 168)), ("coffee", (100, 168))):
        Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize(size).save(tmp_path / "photos" / f"{name}.png")
    command = ["degrade", str(tmp_path / "photos"), str(tmp_path / "out"), "--per-photo", "3", "--workers", "1"]
    result = CliRunner().invoke(app, [*command, "--metrics", "ms_ssim,gmsd", "--format", "csv"])
    assert result.exit_code == 1, result.output
    assert "coffee" in result.stdout
    assert "shorter side below" in result.stdout
    assert "3 copies of 1 photographs" in result.stderr
    assert set(load("folder", tmp_path / "out").records["content"]) == {"chelsea"}
