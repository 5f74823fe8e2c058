"""`defnet gmad` from images and tables to pictures."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from defnet import DataRoots
from defnet.cli import app
from defnet.experiments.gmad import compete
from defnet.experiments.image_scores import images_in_folder, images_of_dataset
from iqa_datasets.testing import FakeDataset


def gmad(*arguments: Any) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, ["gmad", *map(str, arguments)], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def tables(roots: DataRoots, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Scores of the made-up data set by two models, the second of which is a distance."""
    folder = tmp_path_factory.mktemp("tables")
    images = images_of_dataset(roots, "live-challenge")
    generator = np.random.default_rng(3)
    ratings = np.asarray(images.ratings)
    first = ratings + generator.normal(0, 0.3, len(ratings))
    second = -ratings + generator.normal(0, 2, len(ratings))
    pd.DataFrame({"image": images.names, "quality": first}).to_csv(folder / "good.csv", index=False)
    pd.DataFrame({"file": images.names, "distance": second}).to_csv(folder / "poor.csv", index=False)
    return folder / "good.csv", folder / "poor.csv"


OPTIONS = ("--column", "b.image=file", "--column", "b.score=distance", "--better", "b=lower", "--tolerance", "0.5")


def test_from_tables_to_pictures(
    tables: tuple[Path, Path], fake: FakeDataset, roots: DataRoots, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = gmad(
        *tables, "--data", "live-challenge", "--data-root", fake.root.parent, "--levels", 2, "--out", out, *OPTIONS
    )
    assert found.exit_code == 0, found.output
    images = images_of_dataset(roots, "live-challenge")
    scores = {"good": pd.read_csv(tables[0])["quality"], "poor": -pd.read_csv(tables[1])["distance"]}
    expected = compete(scores, images.names, images.ratings, levels=2, tolerance=0.5)
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [(row["attacker"], row["better"], row["worse"]) for row in rows] == [
        (pair.attacker, pair.better, pair.worse) for pair in expected.pairs
    ]
    content = json.loads((out / "gmad.json").read_text())
    assert content["images"] == 24
    assert content["verdicts"] == json.loads(json.dumps(expected.as_dict()["verdicts"]))
    for name in ("pairs", "scores"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (out / f"{name}.svg").read_text()
    [line] = [line for line in found.stderr.splitlines() if "good attacks poor" in line]
    verdict = next(verdict for verdict in expected.verdicts if verdict.attacker == "good")
    assert f"right {100 * (verdict.right or 0):.0f} %" in line


def test_a_model_against_a_table_on_a_folder(fake: FakeDataset, model_file: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "good.csv"
    names = images_in_folder(fake.root).names
    pd.DataFrame({"path": names, "quality": np.linspace(1, 5, len(names))}).to_csv(table, index=False)
    found = gmad(
        model_file, table, "--images", fake.root, "--tolerance", 1, "--device", "cpu", "--out", out, "--levels", 1
    )
    assert found.exit_code == 0, found.output
    scores = pd.read_csv(out / "scores-a.csv")
    assert len(scores) == len(names)
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    by_path = {Path(path).name: quality for path, quality in zip(scores["path"], scores["quality"], strict=True)}
    attack = next(row for row in rows if row["attacker"] == "small")
    assert float(attack["attacker_better"]) == by_path[Path(attack["better"]).name]
    assert attack["rating_better"] == ""


def test_images_without_a_score_are_left_out_and_told(
    tables: tuple[Path, Path], fake: FakeDataset, tmp_path: Path
) -> None:
    some = pd.read_csv(tables[0]).iloc[:20]
    some.to_csv(tmp_path / "some.csv", index=False)
    found = gmad(
        tmp_path / "some.csv", tables[1], "--images", fake.root, "--out", tmp_path / "out", *OPTIONS, "--tolerance", 1
    )
    assert found.exit_code == 1
    count = len(images_in_folder(fake.root).files)
    assert f"{count - 20} of {count} images have no score of both and are left out" in found.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "b.csv"], "either --images FOLDER or --data NAME"),
        (["a.csv", "b.csv", "--images", ".", "--data", "csiq"], "either --images FOLDER or --data NAME"),
        (["a.csv", "b.csv", "--images", ".", "--session", "1"], "--session and --part are about --data"),
        (["a.csv", "b.csv", "--data", "csiq", "--part", "test"], "--part test needs a --session"),
        (["a.csv", "b.csv", "--images", ".", "--column", "score=x"], "give a.score, a.image, b.score or b.image"),
        (["a.csv", "b.csv", "--images", ".", "--better", "lower"], "give a=higher, a=lower, b=higher or b=lower"),
        (["a.csv", "b.csv", "--images", "nowhere"], "nowhere: there is no such folder of images"),
        (["a.csv", "b.csv", "--data", "csiq", "--session", "x"], "session"),
    ],
)
def test_wrong_arguments_are_a_sentence(arguments: list[str], message: str, tmp_path: Path) -> None:
    found = gmad(*arguments, "--out", tmp_path / "out")
    assert found.exit_code == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_direction_is_asked_for_by_name(tables: tuple[Path, Path], fake: FakeDataset, tmp_path: Path) -> None:
    found = gmad(
        *tables, "--images", fake.root, "--out", tmp_path, "--column", "b.image=file", "--column", "b.score=distance"
    )
    assert found.exit_code == 2
    assert "say which way 'distance' goes: --better b=higher or --better b=lower" in found.stderr
