"""Training on data sets of every kind at once: labelled and not, official and one's own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from defnet import DataError, DataRoots, DEFNet, ObjectiveConfig, Targets, TrainConfig, load_scorer, overall_loss, train
from defnet.evaluation.judging import judge, labelled_images
from defnet.model.model_file import read_info
from iqa_datasets.testing import make_fake

MakeConfig = Callable[..., TrainConfig]


class Notes:
    """Remembers what a run says."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.rows: list[Any] = []
        self.notes: list[str] = []
        self._left = 0

    def begin(self, what: str, total: int) -> None:
        assert self._left >= 0, "more was done than there was to do"
        self.begun.append(what)
        self._left = total

    def advance(self, units: int) -> None:
        self._left -= units
        assert self._left >= 0, "more was done than there was to do"

    def epoch(self, row: Any) -> None:
        self.rows.append(row)

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> DataRoots:
    """LIVE In the Wild with LIQE's labels, TID2013 without, and two folders of one's own."""
    folder = tmp_path_factory.mktemp("mixture")
    for name in ("live-challenge", "tid2013"):
        make_fake(name, folder, images=24)
    own = {name: make_fake("folder", folder / name, images=20, seed=n).root for n, name in enumerate("ab")}
    return DataRoots(folder, folders={"holiday": own["a"]})


@pytest.fixture(scope="module")
def mixture(make_config: MakeConfig, places: DataRoots) -> TrainConfig:
    garden = places.root / "b" / places.folders["holiday"].name
    return make_config(
        data=[
            {"name": "live-challenge", "session": 1, "batch_size": 2},
            {"name": "tid2013", "session": "seeded-1", "batch_size": 2},
            {"name": "holiday", "session": "official", "batch_size": 2},
            {"name": "garden", "path": str(garden), "session": "seeded-2", "batch_size": 2},
        ]
    )


@pytest.fixture(scope="module")
def trained(mixture: TrainConfig, places: DataRoots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    notes = Notes()
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(mixture, places, folder, reporter=notes)
    return folder, notes


def test_a_mixture_of_everything_trains(trained: tuple[Path, Notes], mixture: TrainConfig) -> None:
    folder, notes = trained
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps, epochs = [row for row in rows if "step" in row], [row for row in rows if "step" not in row]
    assert len(steps) == 6
    assert all("fidelity_scene" in row for row in steps)
    assert notes.notes == []
    names = [source.name for source in mixture.data]
    for row in epochs:
        assert list(row["by_dataset"]) == names
        correlations = [figures["srcc"] for figures in row["by_dataset"].values()]
        if None not in correlations:
            assert row["validation"]["srcc"] == pytest.approx(sum(correlations) / 4)
        assert row["validation"]["images"] == sum(figures["images"] for figures in row["by_dataset"].values())
        nll = [figures["nll"] for figures in row["by_dataset"].values()]
        assert row["validation"]["nll"] == pytest.approx(sum(nll) / 4)
    info = read_info(folder)
    assert list(info.validation_by_dataset) == names
    assert set(info.variance_scales) <= set(names)
    # Where data lies on this machine stays here.
    assert all(source.path is None for source in info.config.data)
    assert notes.begun[:2] == ["validation views", "training views"]
    assert notes.begun[-1] == "calibrating"
    assert "validating epoch 2" in notes.begun


def test_a_run_goes_on_where_its_data_has_moved(
    trained: tuple[Path, Notes], mixture: TrainConfig, places: DataRoots
) -> None:
    folder, _ = trained
    *first, garden = mixture.data
    folders = {**places.folders, "garden": Path(str(garden.path))}
    elsewhere = mixture.model_copy(update={"data": (*first, garden.model_copy(update={"path": None}))})
    again = train(elsewhere, DataRoots(places.root, folders=folders), folder)
    assert again.by_dataset.keys() == {source.name for source in mixture.data}


def test_what_is_trained_on_can_be_judged_on(trained: tuple[Path, Notes], places: DataRoots) -> None:
    scorer = load_scorer(trained[0])
    table = labelled_images(places, ["holiday", "tid2013"], "seeded-1", "val")
    judgement = judge(scorer, table)
    assert list(judgement.by_dataset) == ["holiday", "tid2013"]
    scores = scorer.score([path for path in table.paths if "tid2013" in str(path)])
    quality = torch.tensor([score.quality for score in scores])
    truth = table.quality[table.rows_of(1)]
    error = (quality - truth).square().mean().sqrt().item()
    assert judgement.by_dataset["tid2013"]["rmse"] == pytest.approx(error, abs=1e-5)
    everything = judge(scorer, labelled_images(places, ["tid2013"]))
    assert everything.mean["images"] == 24


@pytest.mark.parametrize(
    ("names", "session", "part", "message"),
    [
        (["tid2013", "tid2013"], None, None, "each once"),
        ([], None, None, "each once, got none"),
        (["tid2013"], "seeded-1", "tests", "part must be one of"),
        (["tid2013"], "seed", None, "session must be a whole number"),
        (["tid2013"], "1", None, "session 1 is one of LIQE's"),
    ],
)
def test_what_cannot_be_judged(
    names: list[str], session: str | None, part: str | None, message: str, places: DataRoots
) -> None:
    with pytest.raises(DataError, match=message):
        labelled_images(places, names, session, part)


def test_a_task_without_any_label_is_said_and_the_rest_trains(
    make_config: MakeConfig, places: DataRoots, tmp_path: Path
) -> None:
    notes = Notes()
    config = make_config(data=[{"name": "tid2013", "session": "seeded-1", "batch_size": 4}])
    train(config, places, tmp_path / "run", reporter=notes)
    [note] = notes.notes
    assert note.startswith("no training image has a scene label")
    steps = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    for row in steps[:3]:
        assert not [name for name in row if name.endswith("_scene") and not name.startswith("lambda")]
        assert row["fidelity_distortion"] > 0
    state = {row["lambda_scene"] for row in steps if "lambda_scene" in row}
    assert state == {1.0}


def test_everything_that_takes_long_is_shown(make_config: MakeConfig, places: DataRoots, tmp_path: Path) -> None:
    """With images cut afresh, the statistics of the features are computed between validation views and training."""
    notes = Notes()
    config = make_config(
        data=[{"name": "tid2013", "session": "seeded-1", "batch_size": 2}],
        model={"tasks": ["quality", "distortion"]},
        crops={"train_source": "images"},
        epochs=1,
        steps_per_epoch=1,
    )
    train(config, places, tmp_path / "run", reporter=notes)
    stages = ["validation views", "feature statistics", "training", "validating epoch 1", "training", "calibrating"]
    assert notes.begun == stages


def targets(known: list[bool]) -> Targets:
    """Four images, of which some have no scene and no distortion."""
    keep = torch.tensor(known).float()[:, None]
    return Targets(
        quality=torch.tensor([1.5, 2.0, 3.5, 4.5]),
        scenes=torch.eye(9)[:4] * keep,
        distortion=torch.eye(11)[:4] * keep,
        dataset=torch.zeros(4, dtype=torch.int64),
    )


def gradients(model: DEFNet, truth: Targets, rows: slice) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    local = torch.randint(0, 256, (4, 2, 3, 224, 224), dtype=torch.uint8, generator=generator)[rows]
    global_view = torch.randint(0, 256, (4, 3, 224, 224), dtype=torch.uint8, generator=generator)[rows]
    model.zero_grad()
    weights = {"quality": 1.0, "scene": 1.0, "distortion": 1.0}
    truth = Targets(truth.quality[rows], truth.scenes[rows], truth.distortion[rows], truth.dataset[rows])
    loss, _ = overall_loss(model(local, global_view), truth, ObjectiveConfig(), weights)
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_an_unknown_label_has_exactly_no_gradient(make_model: Callable[..., DEFNet]) -> None:
    model = make_model().eval()
    heads = [n for n, _ in model.named_parameters() if "heads.scene." in n or "heads.distortion." in n]
    assert len(heads) == 8
    nothing = gradients(model, targets([False] * 4), slice(None))
    for name in heads:
        assert torch.count_nonzero(nothing[name]) == 0, name
    assert any(torch.count_nonzero(nothing[name]) for name in nothing if "heads.quality." in name)
    everything = gradients(model, targets([True] * 4), slice(None))
    assert all(torch.count_nonzero(everything[name]) for name in heads)
    # Two of four known: the heads learn as if those two alone had been there.
    half, alone = (gradients(model, targets([True, True, False, False]), rows) for rows in (slice(None), slice(2)))
    for name in heads:
        torch.testing.assert_close(half[name], alone[name], rtol=1e-4, atol=1e-6)
