"""`defnet info`: what a model is, in every form."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from defnet import list_models, read_info
from defnet.cli import app


def info(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["info", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def test_the_shipped_model_as_rows() -> None:
    rows = {row["field"]: row["value"] for row in csv.DictReader(info("lite").splitlines())}
    said = read_info("lite")
    assert rows["trained_on"] == "live-challenge, training part of session 1, without Images/333.bmp"
    assert float(rows["validation.srcc"]) == said.validation["srcc"]
    assert float(rows["variance_scale"]) == said.variance_scale
    assert rows["epoch"] == "12"
    assert rows["configuration.crops.test_count"] == "15"
    assert rows["configuration.data.0.name"] == "live-challenge"
    assert rows["image_tower.stages"] == "3, 4, 5, 6, 7"


@pytest.mark.parametrize("output_format", ["json", "jsonl"])
def test_a_model_file_as_json(model_file: Path, output_format: str) -> None:
    printed = info(model_file, "--format", output_format)
    found = json.loads(printed, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["bytes"] == model_file.stat().st_size
    assert found["configuration"] == read_info(model_file).config.model_dump(mode="json")
    assert (found["validation"], found["variance_scale"]) == ({"srcc": 0.5}, 0.25)
    assert (len(printed.splitlines()) == 1) == (output_format == "jsonl")


def test_a_table_for_people() -> None:
    shown = info("lite", "--format", "table")
    assert "trained_on" in shown
    assert "live-challenge" in shown


def test_without_a_model_those_that_are_shipped() -> None:
    assert [row["model"] for row in csv.DictReader(info().splitlines())] == list_models()
    rows = json.loads(info("--format", "json"))
    assert [row["model"] for row in rows] == ["lite2", "lite2-session1", "lite"]
    assert all(row["crops"] == 15 for row in rows)


def test_no_such_model_is_one_line() -> None:
    result = CliRunner().invoke(app, ["info", "nothing"])
    assert result.exit_code == 2
    assert result.stderr.startswith("defnet: no model 'nothing'")
    assert len(result.stderr.splitlines()) == 1
