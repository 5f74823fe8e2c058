"""Tables of scores on disk: written as they come, gone on with after any interruption, never mixed."""

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from defnet.scoring.score_files import ScoreFile, ScoreFileError, StreamWriter, format_of
from defnet.scoring.scores import COLUMNS, Score

PROVENANCE = {"weights": "abc", "crops": {"kind": "grid", "count": 15}, "variance_scale": 0.1}
SCORE = Score("a.png", 3.25, 2.5, 0.5, 0.25, 2.0, 4.5, "human", 0.75, "JPEG compression", 0.5, 15, ("one", "two"))
NAMES = (
    "plain.png",
    "with, comma.png",
    'with "quotes".png',
    "with\nnewline.png",
    "with\rreturn.png",
    "\r\n.png",
    "caf\udce9.png",  # a byte that is not UTF-8
    "line\u2028separator\u2029and\x85next\x0b\x0c.png",
    "日本語 é 🙂.png",
    " leading and trailing ",
    "tab\tbed.png",
    "'single'.png",
    "=1+1.png",
    "",
)


@pytest.fixture(params=["csv", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"scores.{request.param}"


def score_of(name: str, quality: float = 3.25) -> Score:
    return replace(SCORE, path=name, quality=quality)


def write(path: Path, names: tuple[str, ...], **options: Any) -> None:
    with ScoreFile(path, PROVENANCE, **options) as table:
        for name in names:
            assert name not in table.done
            table.write(score_of(name))


def read(path: Path) -> list[dict[str, Any]]:
    """By another reader's rules: RFC 4180, or one JSON value a line feed."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    if path.suffix == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    assert text.endswith("\n") or not text
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_rows_are_scores(path: Path) -> None:
    write(path, ("a.png",))
    [row] = read(path)
    assert tuple(row) == COLUMNS
    if path.suffix == ".jsonl":
        assert row == {**SCORE.__dict__, "warnings": ["one", "two"]}
    else:
        assert path.read_text() == (
            "path,quality,expected_quality,aleatoric_std,epistemic_std,lower,upper,scene,scene_probability,distortion,"
            "distortion_probability,crops,warnings\n"
            "a.png,3.25,2.5,0.5,0.25,2.0,4.5,human,0.75,JPEG compression,0.5,15,one; two\n"
        )


def test_numbers_are_rounded_to_six_decimals(path: Path) -> None:
    with ScoreFile(path, PROVENANCE) as table:
        table.write(score_of("a.png", quality=3.123456789))
    assert float(read(path)[0]["quality"]) == 3.123457


def test_every_file_name_survives(path: Path) -> None:
    write(path, NAMES)
    assert [row["path"] for row in read(path)] == list(NAMES)
    assert ScoreFile(path, PROVENANCE).done == set(NAMES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    names=st.lists(
        # What os.fsdecode can give: anything but NUL, other surrogates than the escaped bytes.
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from("\udc80\udcff")),
        max_size=5,
        unique=True,
    ),
)
def test_any_file_name_survives(tmp_path: Path, names: list[str]) -> None:
    for suffix in ("csv", "jsonl"):
        table_path = tmp_path / f"any.{suffix}"
        write(table_path, tuple(names), overwrite=True)
        assert [row["path"] for row in read(table_path)] == names
        with ScoreFile(table_path, PROVENANCE) as table:
            assert table.done == set(names)


def test_a_second_run_goes_on(path: Path) -> None:
    write(path, NAMES[:5])
    with ScoreFile(path, PROVENANCE) as table:
        assert table.done == set(NAMES[:5])
    write(path, NAMES[5:])
    assert [row["path"] for row in read(path)] == list(NAMES)


def test_rows_are_on_disk_as_they_come(path: Path) -> None:
    table = ScoreFile(path, PROVENANCE)
    for count, name in enumerate(NAMES, start=1):
        table.write(score_of(name))
        assert len(read(path)) == count
    table.close()


def test_a_table_torn_at_any_byte_goes_on_with_its_whole_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a.png", 'b,"\n\udce9\r\u2028".png')
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of times it is all that would take time
    write(path, names[:1])
    first_end = len(path.read_bytes())
    write(path, names[1:])
    whole = path.read_bytes()
    provenance = (path.parent / f"{path.name}.run.json").read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with ScoreFile(path, PROVENANCE) as table:
            done = table.done
            expected = set(names) if cut == len(whole) else {names[0]} if cut >= first_end else set()
            assert done == expected, cut
            for name in names:
                if name not in done:
                    table.write(score_of(name))
        assert path.read_bytes() == whole, cut
    assert (path.parent / f"{path.name}.run.json").read_bytes() == provenance


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ({"weights": "xyz"}, "weights"),
        ({"crops": {"kind": "grid", "count": 4}}, "crops"),
        ({"variance_scale": 0.2, "weights": "x"}, "variance_scale, weights"),
        ({"versions": {"defnet": "9"}}, "versions"),
    ],
)
def test_rows_made_differently_are_not_mixed(path: Path, change: dict[str, Any], differing: str) -> None:
    write(path, ("a.png",))
    before = path.read_bytes()
    with pytest.raises(ScoreFileError, match=rf"{path.name}: was made with another {differing}; .* or --overwrite"):
        ScoreFile(path, PROVENANCE | change)
    assert path.read_bytes() == before
    with ScoreFile(path, PROVENANCE | change, overwrite=True) as table:
        assert table.done == frozenset()
        table.write(score_of("b.png"))
    assert [row["path"] for row in read(path)] == ["b.png"]
    with pytest.raises(ScoreFileError):
        ScoreFile(path, PROVENANCE)


@pytest.mark.parametrize("companion", [None, "", "not json", "[]", "3"])
def test_a_table_of_unknown_origin_is_left_alone(path: Path, companion: str | None) -> None:
    path.write_text("mine,not\nyours,1\n")
    if companion is not None:
        (path.parent / f"{path.name}.run.json").write_text(companion)
    with pytest.raises(ScoreFileError, match=f"{path.name}: .*--overwrite"):
        ScoreFile(path, PROVENANCE)
    assert path.read_text() == "mine,not\nyours,1\n"


@pytest.mark.parametrize("content", ["mine,not\nyours,1\n", "mine,not\nyours,1", '{"quality": 3}\n', "[1]\n"])
def test_a_table_that_was_replaced_by_another_is_refused(path: Path, content: str) -> None:
    write(path, ("a.png",))
    path.write_text(content)
    if path.suffix == ".jsonl" and not content.endswith("\n"):
        content = content.split("\n")[0] + "\n"
        path.write_text(content)
    with pytest.raises(ScoreFileError, match=rf"{path.name}.*not (a row of scores|that of a table of scores)"):
        ScoreFile(path, PROVENANCE)
    assert path.read_text() == content


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("scores.txt", "scores", "scores.xlsx"):
        with pytest.raises(
            ScoreFileError, match=rf"{name}: the name of a table of scores must end in \.csv or \.jsonl"
        ):
            ScoreFile(tmp_path / name, PROVENANCE)
    assert format_of(Path("A.CSV")) == "csv"
    assert format_of(Path("A.JsonL")) == "jsonl"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScoreFileError, match=r"the folder .*nowhere does not exist"):
        ScoreFile(tmp_path / "nowhere" / "scores.csv", PROVENANCE)


@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
def test_a_pipe_gets_what_a_file_gets(table_format: str, tmp_path: Path) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", newline="")
    writer = StreamWriter(stream, table_format)
    for name in NAMES:
        writer.write(score_of(name))
    path = tmp_path / f"scores.{table_format}"
    write(path, NAMES)
    stream.flush()
    assert stream.buffer.getvalue() == path.read_bytes()  # type: ignore[attr-defined]


def test_a_task_that_was_not_learnt_leaves_its_columns_empty_or_null(path: Path) -> None:
    with ScoreFile(path, PROVENANCE) as table:
        table.write(replace(SCORE, scene="", scene_probability=float("nan")))
    [row] = read(path)
    assert row["scene"] == ""
    if path.suffix == ".jsonl":
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert row["scene_probability"] is None
    else:
        assert row["scene_probability"] == ""


def test_file_names_of_bytes_come_back_as_the_same_bytes(path: Path) -> None:
    raw = b"caf\xe9 \xff\xfe.png"
    write(path, (os.fsdecode(raw),))
    assert raw in path.read_bytes()
    [done] = ScoreFile(path, PROVENANCE).done
    assert os.fsencode(done) == raw
