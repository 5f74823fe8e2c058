"""A score that comes without an uncertainty, wherever it is written: empty, with a warning, and never "nan"."""

import json
import math
from dataclasses import replace

import pytest

from defnet import Score, Scores
from defnet.scoring.score_rows import HEADER, line_of, parse_rows, row_of
from defnet.scoring.score_table import header, row

EMPTY = ("aleatoric_std", "epistemic_std", "lower", "upper", "familiarity")


@pytest.fixture
def score() -> Score:
    nan = math.nan
    return Score(
        "a.png", 3.25, 3.25, nan, nan, nan, nan, nan, "plant", 0.5, "blur", 0.75, 15, warnings=("no uncertainty",)
    )


def test_fields_of_csv_are_empty_and_read_back(score: Score) -> None:
    text = HEADER + line_of(row_of(score), "csv")
    [found], whole = parse_rows(text, "csv")
    assert whole == text
    assert [found[name] for name in EMPTY] == [""] * 5
    assert (found["quality"], found["expected_quality"], found["warnings"]) == ("3.25", "3.25", "no uncertainty")


def test_values_of_json_are_null(score: Score) -> None:
    found = json.loads(line_of(row_of(score), "jsonl"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert [found[name] for name in EMPTY] == [None] * 5
    assert found["warnings"] == ["no uncertainty"]


def test_a_data_frame_has_missing_values(score: Score) -> None:
    frame = Scores([score]).to_dataframe()
    assert frame.loc[0, list(EMPTY)].isna().all()
    assert not frame["quality"].isna().any()


def test_a_line_on_a_terminal_keeps_its_columns(score: Score) -> None:
    usual = row(replace(score, lower=2.5, upper=4.0), 10).plain
    line = row(score, 10).plain
    assert "nan" not in line
    assert "2.50 to 4.00" in usual
    assert line == usual.replace("2.50 to 4.00", "–           ")
    assert line.index("–") == header(10).plain.index("95 %")
