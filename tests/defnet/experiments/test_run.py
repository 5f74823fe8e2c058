"""One run of an experiment: trained once, judged once, written down whole, and gone on with after a stop."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from defnet import ConfigError, DataError, DataRoots, TrainConfig, load_scorer
from defnet.evaluation.judging import judge, labelled_images
from defnet.experiments.found_runs import found_runs
from defnet.experiments.prediction_table import evidence_of, read_predictions
from defnet.experiments.protocol import Run, all_runs, run_all
from defnet.experiments.result import Result, read_result, write_result
from defnet.experiments.run import of_session, run
from defnet.model.names import MODEL_FILE
from defnet.training.loop import Training
from defnet.training.reporter import Silent
from iqa_datasets.testing import make_fake

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> DataRoots:
    folder = tmp_path_factory.mktemp("experiments")
    for name in ("live-challenge", "tid2013"):
        make_fake(name, folder, images=40)
    return DataRoots(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def made(
    make_config: MakeConfig, places: DataRoots, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("made") / "run"
    return folder, run(make_config(), 2, places, folder, name="all", zero_shot=["tid2013"], cache=cache)


def test_the_files_say_all_of_a_run(made: tuple[Path, Result], places: DataRoots) -> None:
    folder, result = made
    assert read_result(folder).model_dump_json() == result.model_dump_json()
    assert (result.name, result.session, result.seed, result.device) == ("all", 2, 0, "cpu")
    assert result.config.data[0].session == 2
    assert result.config.data[0].path is None
    assert set(result.versions) >= {"defnet", "torch"}
    table = read_predictions(folder)
    parts = places.load("live-challenge", 2)
    for part in ("val", "test"):
        rows = table[table["part"] == part]
        assert set(rows["image"]) == {
            Path(path).relative_to(parts.root).as_posix() for path in parts.part(part).records["image_path"]
        }
        assert result.data["live-challenge"].images[part] == len(rows)
    assert result.data["tid2013"].images == {"all": 40} == {"all": (table["dataset"] == "tid2013").sum()}


def test_figures_are_those_of_the_predictions(made: tuple[Path, Result]) -> None:
    folder, result = made
    table = read_predictions(folder)
    for part, figures in (*result.figures.items(), ("all", result.zero_shot)):
        for name, found in figures.items():
            rows = table[(table["part"] == part) & (table["dataset"] == name)]
            assert found["images"] == len(rows) > 3
            assert (rows["score"] == rows["loc"]).all()
            expected = stats.spearmanr(rows["score"], rows["quality"])[0]
            np.testing.assert_allclose(found["srcc"], expected, rtol=1e-12)
            deviation = np.sqrt(rows["beta"] * (1 + 1 / rows["nu"]) / rows["alpha_minus_one"])
            error = (rows["quality"] - rows["loc"]).abs()
            np.testing.assert_allclose(found["error_spearman"], stats.spearmanr(deviation, error)[0], rtol=1e-9)
            t = stats.t(
                df=2 * (rows["alpha_minus_one"] + 1),
                loc=rows["loc"],
                scale=np.sqrt(
                    result.variance_scale * rows["beta"] * (1 + rows["nu"]) / rows["nu"] / (rows["alpha_minus_one"] + 1)
                ),
            )
            np.testing.assert_allclose(found["nll"], -t.logpdf(rows["quality"]).mean(), rtol=1e-9)


def test_predictions_are_those_of_the_model_file(made: tuple[Path, Result], places: DataRoots) -> None:
    folder, result = made
    images = labelled_images(places, ["live-challenge"], 2, "test")
    table = read_predictions(folder)
    rows = table[table["part"] == "test"].reset_index(drop=True)
    scores = load_scorer(folder, device="cpu").score(images.paths)
    np.testing.assert_allclose(rows["loc"], [score.quality for score in scores], atol=2e-3)
    np.testing.assert_allclose(rows["expected_quality"], [score.expected_quality for score in scores], atol=2e-3)
    np.testing.assert_allclose(rows["quality"], images.quality, rtol=1e-6)
    assert list(rows["scene_top"]) == [score.scene for score in scores]
    figures = judge(load_scorer(folder, device="cpu"), images).by_dataset["live-challenge"]
    # The pool holds half precision, and few images' ranks change by a tie or so.
    assert abs(figures["rmse"] - result.figures["test"]["live-challenge"]["rmse"]) < 2e-3


def test_the_evidence_of_views_fuses_to_that_of_the_image(made: tuple[Path, Result]) -> None:
    """Eqs. 24 and 25 by hand from the local and global columns: δ is the mean over pairs of each pair's fused δ."""
    table = read_predictions(made[0])
    local, image = evidence_of(table, "local_"), evidence_of(table, "global_")
    pairs = []
    for crop in range(3):
        pair_nu = local.nu[:, crop] + image.nu
        pairs.append((local.nu[:, crop] * local.loc[:, crop] + image.nu * image.loc) / pair_nu)
    np.testing.assert_allclose(table["loc"], sum(pairs) / 3, rtol=1e-5)


def test_a_run_without_uncertainty_has_scores_and_no_figures_of_it(
    make_config: MakeConfig, places: DataRoots, cache: Path, tmp_path: Path
) -> None:
    config = make_config(objective={"cross": False, "fusion": False}, model={"tasks": ["quality", "scene"]}, epochs=1)
    result = run(config, 2, places, tmp_path / "run", cache=cache)
    table = read_predictions(tmp_path / "run")
    assert (table["score"] == table["expected_quality"]).all()
    assert not {"loc", "local_nu", "global_beta", "distortion_top"} & set(table)
    figures = result.figures["test"]["live-challenge"]
    assert not {"nll", "coverage_95", "distortion_accuracy"} & set(figures)
    assert "scene_accuracy" in figures
    assert result.constant_std is None
    assert read_result(tmp_path / "run").model_dump_json() == result.model_dump_json()


def test_a_run_that_is_there_is_not_made_again(
    made: tuple[Path, Result], make_config: MakeConfig, places: DataRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, result = made

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr(Training, "run", never)
    again = run(make_config(), 2, places, folder, name="all", zero_shot=["tid2013"])
    assert again.model_dump_json() == result.model_dump_json()


def test_another_configuration_or_other_data_is_refused(
    made: tuple[Path, Result], make_config: MakeConfig, places: DataRoots
) -> None:
    folder, _ = made
    with pytest.raises(ConfigError, match=r"epochs is 2 there and 3 here"):
        run(make_config(epochs=3), 2, places, folder, zero_shot=["tid2013"])
    with pytest.raises(ConfigError, match=r"session is 2 there and 1 here"):
        run(make_config(), 1, places, folder, zero_shot=["tid2013"])


def test_a_run_is_judged_on_further_data_without_being_trained_again(
    make_config: MakeConfig, places: DataRoots, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = make_config(epochs=1), tmp_path / "run"
    alone = run(config, 2, places, folder, cache=cache)
    monkeypatch.setattr(Training, "run", None)
    judged = run(config, 2, places, folder, zero_shot=["tid2013"], cache=cache)
    assert set(judged.zero_shot) == {"tid2013"}
    assert json.dumps(judged.figures) == json.dumps(alone.figures)
    # What was judged already stays, and what is there is enough where less is asked for.
    assert run(config, 2, places, folder).model_dump_json() == judged.model_dump_json()
    changed = judged.model_copy(
        update={"data": judged.data | {"tid2013": judged.data["tid2013"].model_copy(update={"sha256": "0"})}}
    )
    write_result(folder, changed)
    with pytest.raises(DataError, match="other data: tid2013 differs"):
        run(config, 2, places, folder, zero_shot=["tid2013"])


def test_changed_ratings_are_other_data(make_config: MakeConfig, cache: Path, tmp_path: Path) -> None:
    fake = make_fake("folder", tmp_path / "data", images=30)
    roots = DataRoots(folders={"mine": fake.root})
    config = make_config(data=[{"name": "mine", "session": "official", "batch_size": 4}], epochs=1)
    run(config, "seeded-1", roots, tmp_path / "run", cache=cache)
    changed = 0
    for path in fake.root.glob("*.csv"):
        lines = path.read_text().splitlines()
        header = lines[0].split(",")
        cells = lines[1].split(",")
        for column, cell in enumerate(cells):
            if header[column] in ("mos", "score", "quality", "rating"):
                cells[column] = str(float(cell) * 0.99)
                changed += 1
        path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    assert changed == 1
    with pytest.raises(DataError, match="other data: mine differs"):
        run(config, "seeded-1", roots, tmp_path / "run", cache=cache)


def _but_time(result: Result) -> str:
    return result.model_dump_json(exclude={"seconds"}, indent=1)  # as text: NaN equals nothing, not even itself


class _Stops(Silent):
    """Stops a run when something has been begun so many times."""

    def __init__(self, what: str, times: int = 1) -> None:
        self.what, self.left = what, times

    def begin(self, what: str, total: int) -> None:
        assert total > 0
        self.left -= what == self.what
        if self.left == 0 and what == self.what:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("what", "times"), [("training", 2), ("validating epoch 2", 1), ("predicting", 2)])
def test_a_stopped_run_goes_on_to_the_same_end(
    what: str,
    times: int,
    made: tuple[Path, Result],
    make_config: MakeConfig,
    places: DataRoots,
    tmp_path: Path,
    cache: Path,
) -> None:
    folder = tmp_path / "run"
    options: dict[str, Any] = {"name": "all", "zero_shot": ["tid2013"], "cache": cache}
    with pytest.raises(KeyboardInterrupt):
        run(make_config(), 2, places, folder, reporter=_Stops(what, times), **options)
    assert not (folder / "result.json").exists()
    result = run(make_config(), 2, places, folder, **options)
    assert _but_time(result) == _but_time(made[1])
    pd.testing.assert_frame_equal(read_predictions(folder), read_predictions(made[0]))
    assert not (folder / "state.safetensors").exists()


_watched: list[list[str]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watched and isinstance(arguments[0], str | Path):
        _watched[-1].append(str(arguments[0]))


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """Every file that the process opens, by whatever reader, in order."""
    sys.addaudithook(_watch)
    _watched.append([])
    yield _watched[-1]
    _watched.clear()


@pytest.mark.parametrize("source", ["pool", "images"])
def test_test_images_are_opened_only_when_the_model_is_written(
    source: str, make_config: MakeConfig, places: DataRoots, tmp_path: Path, opened: list[str]
) -> None:
    at_the_end: list[list[str]] = []

    class Watches(Silent):
        def begin(self, what: str, total: int) -> None:
            if what == "calibrating" and total:
                at_the_end.append(list(opened))

    folder = tmp_path / "run"
    config = make_config(crops={"train_source": source}, epochs=1)
    run(config, 3, places, folder, reporter=Watches())
    parts = places.load("live-challenge", 3)
    test = set(parts.part("test").records["image_path"])
    [before] = at_the_end
    assert before
    assert not test & set(before)
    assert test <= set(opened), "the counting reader saw none of the final evaluation, so it proves nothing"
    assert (folder / MODEL_FILE).exists()


def test_training_images_with_content_elsewhere_are_left_out(make_config: MakeConfig, places: DataRoots) -> None:
    dataset = places.load("live-challenge", 1)
    config, _ = of_session(make_config(), 1, places)
    contents = dataset.records.set_index("image_path")
    excluded = {(dataset.root / path).as_posix() for path in config.data[0].exclude}
    for path, row in contents.iterrows():
        elsewhere = ((contents["content"] == row["content"]) & (contents["session_part"] != "train")).any()
        shared = row["session_part"] == "train" and elsewhere
        assert shared == (Path(str(path)).as_posix() in excluded)


def test_a_set_of_runs_is_the_same_in_two_processes(
    make_config: MakeConfig, places: DataRoots, tmp_path: Path, cache: Path
) -> None:
    configs = {"long": make_config(), "short": make_config(epochs=1)}
    runs = all_runs(configs, [1, 2])
    assert [str(entry.folder) for entry in runs] == [
        "long/session-1/seed-0", "short/session-1/seed-0", "long/session-2/seed-0", "short/session-2/seed-0",
    ]  # fmt: skip
    one = run_all(runs, places, tmp_path / "one", cache=cache)
    two = run_all(runs, places, tmp_path / "two", cache=cache, jobs=2)
    assert [result.name for result in two] == ["long", "short", "long", "short"]
    for first, second in zip(one, two, strict=True):
        assert _but_time(first) == _but_time(second)
    assert len(found_runs(tmp_path / "two")) == 4


def test_missing_data_sets_are_named_before_anything_is_trained(
    make_config: MakeConfig, places: DataRoots, tmp_path: Path
) -> None:
    config = make_config(
        data=[
            {"name": "live-challenge", "session": 1, "batch_size": 2},
            {"name": "csiq", "session": 1, "batch_size": 2},
        ]
    )
    with pytest.raises(DataError) as error:
        run_all([Run("mixture", config, 1)], places, tmp_path / "runs", zero_shot=["spaq"])
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert "CSIQ" in lines[0]
    assert "SPAQ" in lines[1]
    assert not (tmp_path / "runs").exists()


def test_a_damaged_result_is_refused_in_a_sentence(made: tuple[Path, Result], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no finished run"):
        read_result(tmp_path)
    content = json.loads((made[0] / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**content, "epoch": "three"}))
    with pytest.raises(DataError, match=r"is not the result of a run: epoch"):
        read_result(tmp_path)
