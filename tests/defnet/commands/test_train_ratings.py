"""`defnet train --ratings`: from a folder of photographs and a table to a model and a summary that a person reads."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from defnet import ModelInfo, load_scorer, read_info
from defnet.cli import app
from iqa_datasets import agreement

SAYS = ("--range", "0", "100")


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def train(rated: Any, out: Path, *more: str | Path, start: str | Path, epochs: int = 2) -> Result:
    images = () if "--images" in more else ("--images", rated.images)
    ways = ("--start", start, "--epochs", str(epochs), "--device", "cpu")
    return defnet("train", "--ratings", rated.table, *images, *SAYS, "--out", out, *ways, *more)


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return str(result.stderr.splitlines()[-1])


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and what it was made of; the tests leave both as they are."""

    rated: Any
    out: Path
    result: Result


@pytest.fixture(scope="module")
def run(make_rated: Callable[[Path], Any], model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = tmp_path_factory.mktemp("rated")
    rated = make_rated(place)
    result = train(rated, place / "run", start=model_file)
    assert result.exit_code == 0, result.output
    return Finished(rated, place / "run", result)


def test_a_table_and_a_folder_come_to_a_model_and_a_summary(run: Finished, model_file: Path) -> None:
    out, result, rated = run.out, run.result, run.rated
    info = read_info(out)
    assert info.config.start is not None
    assert info.config.start.model == model_file.name  # where it lies is no part of what a run is
    assert info.images == {"ratings": {"train": 34, "val": 7}}
    assert info.config.data[0].session == "seeded-1:0.7/0.15/0.15"
    [figures] = csv.DictReader(io.StringIO(result.stdout))
    assert float(figures["srcc"]) == info.validation["srcc"]
    # Every photograph is accounted for.
    said = result.stderr
    assert "48 rated photographs, ratings from " in said
    assert "on the scale 0 to 100, higher = better; columns: image = image, rating = rating, std = std" in said
    assert re.search(r"2 photographs in .*photos have no rating, and no part: 48\.\w+, 49\.\w+", said)
    assert "34 to train on, 7 validation, 7 held out" in said
    # The summary's predictions are what scoring gives, on the table's own scale.
    predictions = list(csv.DictReader((out / "summary" / "predictions.csv").open(encoding="utf-8")))
    assert [row["part"] for row in predictions] == ["validation"] * 7 + ["held out"] * 7
    given = {row["image"]: float(row["rating"]) for row in rated.rows}
    assert all(float(row["rating"]) == pytest.approx(given[row["name"]], abs=1e-4) for row in predictions)
    scores = load_scorer(out, device="cpu").score([rated.images / row["name"] for row in predictions])
    for row, score in zip(predictions, scores, strict=True):
        for column, value in (("predicted", score.quality), ("lower", score.lower), ("upper", score.upper)):
            assert float(row[column]) == pytest.approx((value - 1) * 25, abs=0.05)
    page = (out / "summary" / "index.html").read_text(encoding="utf-8")
    held_out = [row for row in predictions if row["part"] == "held out"]
    order = agreement([float(row["predicted"]) for row in held_out], [float(row["rating"]) for row in held_out]).srcc
    assert f"On the 7 held out photographs the order agrees with the ratings at SRCC {order:.3f}" in page
    assert f"Before, {model_file} had" in page
    assert "34 photographs were learnt from, in 2 epochs of 3 steps." in page


def test_the_page_stands_alone_and_the_pictures_are_pictures(run: Finished) -> None:
    folder = run.out / "summary"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert {match.split(":", 1)[0] for match in re.findall(r'(?:src|href)="([^"]*)"', page)} == {"data"}
    assert "<script" not in page
    names = {"agreement.png", "reliability.png", "worst.png"}
    assert {path.name for path in folder.iterdir()} == names | {"index.html", "predictions.csv"}
    for name in names:
        pixels = np.asarray(Image.open(folder / name).convert("L"))
        assert min(pixels.shape) > 300
        assert pixels.std() > 10, f"{name} is blank"


def test_a_finished_run_says_the_same_again_and_other_ratings_are_refused(run: Finished, model_file: Path) -> None:
    out, first, rated = run.out, run.result, run.rated
    again = train(rated, out, start=model_file)
    assert again.stdout == first.stdout
    rows = [dict(row) for row in rated.rows]
    rows[0]["rating"] = "50.5"
    rated.write(rows)
    message = refused(train(rated, out, start=model_file))
    assert "its run began with other ratings, or another scale or session of them" in message
    rated.write()
    assert "seed is 0 there and 5 here" in refused(train(rated, out, "--seed", "5", start=model_file))


def test_a_model_of_ratings_is_told_its_limits_by_the_same_ratings(
    run: Finished, model_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mine.safetensors"
    says = ("--ratings", run.rated.table, "--images", run.rated.images, *SAYS)
    ways = ("--out", out, "--folds", "2", "--cache", run.out / "pools", "--device", "cpu")
    assert "which is not found here; say where it lies (--start)" in refused(defnet("calibrate", run.out, *says, *ways))
    assert "is another model than the configuration was written with" in refused(
        defnet("calibrate", run.out, *says, "--start", "lite", *ways)
    )
    result = defnet("calibrate", run.out, *says, "--start", model_file, *ways)
    assert result.exit_code == 0, result.output
    said = read_info(out).reliability
    assert said is not None
    trained = json.loads((run.out / "data.json").read_text())["images"]["train"]
    assert said.images["rated"] == trained
    [score] = load_scorer(out, device="cpu").score([run.rated.images / run.rated.rows[0]["image"]])
    assert 0 < score.familiarity <= 1

    assert "was trained on ratings, and not on other" in refused(
        defnet("calibrate", run.out, *says, "--name", "other", *ways)
    )
    assert "--range, --lower-is-better and --name go with --ratings" in refused(
        defnet("calibrate", run.out, *SAYS, *ways)
    )
    assert "not both" in refused(defnet("calibrate", run.out, *says, "--data-root", tmp_path, *ways))
    other = ("--ratings", run.rated.table, "--images", run.rated.images, "--range", "0", "200")
    assert "its run began with other ratings, or another scale" in refused(defnet("calibrate", run.out, *other, *ways))


def test_another_start_is_another_run(
    run: Finished, tmp_path: Path, make_model: Callable[..., Any], model_info: ModelInfo
) -> None:
    from defnet import save_model

    other = tmp_path / "elsewhere" / "small.safetensors"
    other.parent.mkdir()
    save_model(other, make_model(3), model_info)
    assert "start.fingerprint is" in refused(train(run.rated, run.out, start=other))


def test_anew_learns_the_tasks_that_have_labels(rated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from defnet.config import toml_files
    from defnet.config.training import TrainConfig

    small = TrainConfig.model_validate(
        {
            "data": [{"name": "x", "session": 1, "batch_size": 4}],
            "backbone": {"lite": {"stages": [0], "embed_dim": 8}, "freeze_trunk": True},
            "model": {"train_crops": 2},
            "crops": {"train_source": "pool", "pool_size": 4, "test_count": 2},
        }
    )
    monkeypatch.setattr(toml_files, "load_train_config", lambda _: small)
    rated.write([row | {"scenes": "human|animal" if n % 2 else "plant"} for n, row in enumerate(rated.rows)])
    result = train(rated, tmp_path / "anew", start="none", epochs=1)
    assert result.exit_code == 0, result.output
    info = read_info(tmp_path / "anew")
    assert info.config.model.tasks == ("quality", "scene")
    assert info.config.start is None
    page = (tmp_path / "anew" / "summary" / "index.html").read_text(encoding="utf-8")
    assert "Training started anew" in page
    assert "Before," not in page


def test_ratings_the_other_way_round_are_noticed(
    rated: Any, tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start orders the photographs the other way than the ratings say: whoever gave them hears of it at once."""
    scorer = load_scorer(model_file, device="cpu")
    scores = scorer.score([rated.images / row["image"] for row in rated.rows])
    rated.write(
        [row | {"rating": f"{50 + 40 * (3 - s.quality) / 2:.4f}"} for row, s in zip(rated.rows, scores, strict=True)]
    )
    result = train(rated, tmp_path / "run", start=model_file, epochs=1)
    assert "puts these photographs in the other order (SRCC -1.00 on validation)" in result.stderr
    assert "say --lower-is-better" in result.stderr
    other = train(rated, tmp_path / "other", "--lower-is-better", start=model_file, epochs=1)
    assert "other order" not in other.stderr
    assert other.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--out", "x"], "give a CONFIG or --ratings FILE"),
        (["train", "lite", "--ratings", "r.csv", "--out", "x"], "give a CONFIG or --ratings FILE, not both"),
        (["train", "lite", "--range", "0", "1", "--out", "x"], "--range goes with --ratings"),
        (["train", "lite", "--seed", "0", "--out", "x"], "--seed goes with --ratings"),
        (
            ["train", "--ratings", "r.csv", "--data-root", "d", "--out", "x"],
            "--data-root and --labels go with a CONFIG",
        ),
        (["train", "--ratings", "gone.csv", "--out", "x"], "gone.csv: there is no such table of ratings"),
        (["train", "--ratings", "r.csv", "--column", "rating", "--out", "x"], "--column must be KIND=TITLE"),
        (["train", "--ratings", "r.csv", "--column", "std=a", "--column", "std=b", "--out", "x"], "std is given twice"),
    ],
)
def test_a_wrong_use_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = defnet(*arguments)
    assert said in refused(result)
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_what_a_run_cannot_be_made_of_leaves_nothing(rated: Any, tmp_path: Path, model_file: Path) -> None:
    out = tmp_path / "run"
    assert "--session: session must be" in refused(train(rated, out, "--session", "11", start=model_file))
    assert "no model 'gone'" in refused(train(rated, out, start="gone"))
    rated.write(rated.rows[:20])
    assert "has 20 rated photographs; training needs 40 or more" in refused(train(rated, out, start=model_file))
    assert not out.exists()


def test_data_json_says_what_the_ratings_were(run: Finished) -> None:
    said = json.loads((run.out / "data.json").read_text(encoding="utf-8"))
    assert said["images"] == {"train": 34, "val": 7, "test": 7}
    assert said["scale"] == {"low": 0, "high": 100, "better": "higher"}
    assert said["columns"] == {"image": "image", "rating": "rating", "std": "std"}
