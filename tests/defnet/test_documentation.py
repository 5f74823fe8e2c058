"""What README and pages show is run: Python and TOML as they stand, commands as far as their options."""

import ast
import csv
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from defnet import TrainConfig, read_info
from defnet.cli import app
from defnet.scoring.scores import COLUMNS
from iqa_datasets import load
from iqa_datasets.testing import make_fake

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "packages" / "defnet" / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs" / "defnet").glob("*.md"))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the pages take for granted: two pictures, a data set, a folder of one's own and the page's configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IQA_DATA_ROOT", raising=False)
    for sample, name in (("coffee.jpg", "a.jpg"), ("chelsea_blur.jpg", "b.png")):
        Image.open(REPOSITORY / "samples" / sample).crop((0, 0, 300, 280)).save(tmp_path / name)
    make_fake("tid2013", tmp_path / "data", images=24)
    make_fake("folder", tmp_path, images=20).root.rename(tmp_path / "holiday")
    [mixture] = [block for block in blocks(README, "toml") if "holiday" in block]
    (tmp_path / "mine.toml").write_text(mixture, encoding="utf-8")
    return tmp_path


@each_page
def test_python_runs_and_prints_what_it_says(
    page: Path, surroundings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace: dict[str, object] = {"__name__": "page"}
    found = blocks(page, "python")
    assert found or page.stem == "results"  # tables alone
    for block in found:
        exec(compile(ast.parse(block), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        expected = [
            line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"\s*print\(.*\)\s*#", line)
        ]
        assert [line for line in printed if line in expected] == expected, printed


@each_page
def test_configurations_are_right(page: Path, tmp_path: Path) -> None:
    found = [block for block in blocks(page, "toml") if "[[data]]" in block]
    assert found or page != README
    for block in found:
        (tmp_path / "shown.toml").write_text(block, encoding="utf-8")
        TrainConfig.from_toml(tmp_path / "shown.toml")


@each_page
def test_commands_have_these_options(page: Path) -> None:
    group: Any = typer.main.get_command(app)
    shown = "\n".join(blocks(page, "bash") + blocks(page, "sh"))
    lines = [line for line in shown.replace("\\\n", " ").splitlines() if line.startswith("defnet ")]
    assert lines or page != README
    for line in lines:
        _, name, *arguments = shlex.split(line.split(" | ")[0], comments=True)
        group.commands[name].make_context(name, arguments)


def test_own_ratings_from_a_folder_and_a_table_to_scores(surroundings: Path) -> None:
    """The page's commands as they stand, in its order, on made-up photographs; less of everything but the commands."""
    page = REPOSITORY / "docs" / "defnet" / "own-ratings.md"
    made = make_fake("live-challenge", surroundings / "made", images=40)
    (surroundings / "photos").mkdir()
    rows = ["image,rating"]
    for record in load("live-challenge", made.root):
        path = Path(record.image_path)
        path.rename(surroundings / "photos" / path.name)
        rows.append(f"{path.name},{record.mos}")
    (surroundings / "ratings.csv").write_text("\n".join(rows), encoding="utf-8")
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if "hf-hub:" not in line and "openai" not in line]
    assert [words[0] for words in commands] == ["train", "calibrate", "score", "info", "fit-heads", "export"]
    once = ["--epochs", "1", "--cache", "cache"]
    fewer = {"train": once, "fit-heads": once, "calibrate": ["--folds", "2", "--cache", "cache"]}
    for words in commands:
        result = CliRunner().invoke(app, [*words, *fewer.get(words[0], [])])
        assert result.exit_code == 0, result.output
    with (surroundings / "scores.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 40
    assert (surroundings / "runs" / "mine" / "summary" / "index.html").is_file()
    assert {path.name for path in (surroundings / "for-the-hub").iterdir()} == {"model.safetensors", "README.md"}


def test_a_judge_without_ratings_from_photographs_to_scores(surroundings: Path) -> None:
    """The page's commands as they stand, on made-up photographs; fewer and smaller pieces."""
    page = REPOSITORY / "docs" / "defnet" / "without-ratings.md"
    make_fake("folder", surroundings, images=12).root.rename(surroundings / "rated")
    (surroundings / "rated" / "Images").mkdir()
    for record in load("folder", "rated"):
        image = Path(record.image_path)
        (surroundings / "rated" / "Images" / image.name).write_bytes(image.read_bytes())
    (surroundings / "photos").mkdir()
    for sample in ("coffee", "chelsea"):
        Image.open(REPOSITORY / "samples" / f"{sample}.jpg").save(surroundings / "photos" / f"{sample}.png")
    [mixture] = blocks(page, "toml")
    (surroundings / "mixture.toml").write_text(mixture, encoding="utf-8")
    fewer = {"pseudo-rate": ["--pieces", "1", "--per-piece", "3", "--size", "200x180", "--metrics", "psnr,gmsd,vsi"]}
    lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines]
    assert [words[0] for words in commands] == ["pseudo-rate", "degrade", "train", "score"]
    for words in commands:
        result = CliRunner().invoke(app, [*words, *fewer.get(words[0], [])])
        assert result.exit_code == 0, result.output
    # Only what people have rated judges.
    judged = load("folder", surroundings / "rated", session="seeded-1").part("val")
    assert read_info(surroundings / "runs" / "joint" / "model.safetensors").validation["images"] == len(judged)


def test_columns_of_the_readme_are_those_of_a_table() -> None:
    table = README.read_text(encoding="utf-8").split("| column | what it is |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")]
    assert tuple(named) == COLUMNS
