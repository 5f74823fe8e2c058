"""Tables of scores on disk: written as they come, gone on with after any interruption, never mixed."""

import csv
import errno
import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from defnet.scoring.score_files import ScoreFile, ScoreFileError
from defnet.scoring.score_rows import StreamWriter
from defnet.scoring.scores import COLUMNS, Score
from defnet.scoring.seen import FileState, file_state

PROVENANCE = {
    "weights": "abc",
    "crops": {"kind": "grid", "count": 15},
    "variance_scale": 0.1,
    "versions": {"defnet": "0.1"},
}
STATE = FileState(1234, "2026-01-02T03:04:05.678901234Z")
SCORE = Score(
    "a.png", 3.25, 2.5, 0.5, 0.25, 2.0, 4.5, 0.75, "human", 0.75, "JPEG compression", 0.5, 15, 1, 1, STATE.size,
    STATE.modified, ("one", "two"),
)  # fmt: skip
ALL = ("csv", "jsonl", "json", "parquet")
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


def same(_: str) -> FileState:
    """Every file is as it was."""
    return STATE


def done(path: Path, names: tuple[str, ...], provenance: dict[str, Any] = PROVENANCE) -> frozenset[str]:
    """Which of these images a table is done with."""
    with ScoreFile(path, provenance) as table:
        table.settle(names, same)
        return table.done


def write(path: Path, names: tuple[str, ...], **options: Any) -> None:
    with ScoreFile(path, PROVENANCE, **options) as table:
        assert table.settle(names, same) == (0, 0)
        for name in names:
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
            "path,quality,expected_quality,aleatoric_std,epistemic_std,lower,upper,familiarity,scene,scene_probability,"
            "distortion,distortion_probability,crops,frame,frames,file_size,file_modified,warnings\n"
            "a.png,3.25,2.5,0.5,0.25,2.0,4.5,0.75,human,0.75,JPEG compression,0.5,15,1,1,1234,"
            "2026-01-02T03:04:05.678901234Z,one; two\n"
        )


def test_numbers_are_rounded_to_six_decimals(path: Path) -> None:
    with ScoreFile(path, PROVENANCE) as table:
        table.write(score_of("a.png", quality=3.123456789))
    assert float(read(path)[0]["quality"]) == 3.123457


def test_every_file_name_survives(path: Path) -> None:
    write(path, NAMES)
    assert [row["path"] for row in read(path)] == list(NAMES)
    assert done(path, NAMES) == set(NAMES)


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
        assert done(table_path, tuple(names)) == set(names)


def test_a_second_run_goes_on(path: Path) -> None:
    write(path, NAMES[:5])
    assert done(path, NAMES) == set(NAMES[:5])
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
            table.settle(names, same)
            expected = set(names) if cut == len(whole) else {names[0]} if cut >= first_end else set()
            assert table.done == expected, cut
            for name in names:
                if name not in table.done:
                    table.write(score_of(name))
        assert path.read_bytes() == whole, cut
    assert (path.parent / f"{path.name}.run.json").read_bytes() == provenance


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": "xyz"}, "its rows were made with other weights; give another --out"),
        (
            {"crops": {"kind": "grid", "count": 4}},
            "its rows were made with crops count=15 kind=grid, now it is count=4 kind=grid; give another --out",
        ),
        (
            {"variance_scale": 0.2, "weights": "x"},
            "made with other weights; with variance_scale 0.1, now it is 0.2; give another",
        ),
        ({"versions": {"defnet": "9"}}, "its rows were made by defnet 0.1, this is 9; give another --out"),
        ({"frames": "all"}, "its rows were made with frames none, now it is all; give another --out"),
    ],
)
def test_rows_made_differently_are_not_mixed(path: Path, change: dict[str, Any], said: str) -> None:
    write(path, ("a.png",))
    before = path.read_bytes()
    with pytest.raises(ScoreFileError, match=rf"{path.name}: .*{re.escape(said)}.* or --overwrite"):
        ScoreFile(path, PROVENANCE | change)
    assert path.read_bytes() == before
    with ScoreFile(path, PROVENANCE | change, overwrite=True) as table:
        assert table.settle(("a.png",), same) == (0, 0)
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
        expected = rf"{name}: .* must end in \.csv, \.jsonl, \.ndjson, \.json, \.parquet, got '{Path(name).suffix}'"
        with pytest.raises(ScoreFileError, match=expected):
            ScoreFile(tmp_path / name, PROVENANCE)
    assert list(tmp_path.iterdir()) == []
    for name in ("A.CSV", "A.JsonL", "A.Parquet", "A.JSON", "a.ndjson"):
        write(tmp_path / name, ("a.png",))
        assert done(tmp_path / name, ("a.png",)) == {"a.png"}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScoreFileError, match=r"the folder .*nowhere does not exist"):
        ScoreFile(tmp_path / "nowhere" / "scores.csv", PROVENANCE)


@pytest.mark.parametrize("table_format", ["csv", "jsonl"])
def test_a_pipe_gets_what_a_file_gets(table_format: str, tmp_path: Path) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape", newline="")
    writer = StreamWriter(stream, table_format)
    for name in NAMES:
        writer.write(score_of(name))
    writer.close()
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
    [name] = done(path, (os.fsdecode(raw),))
    assert os.fsencode(name) == raw


# Files that change


def test_a_file_that_has_changed_is_scored_anew(tmp_path: Path) -> None:
    for suffix in ALL:
        path = tmp_path / f"scores.{suffix}"
        write(path, ("a.png", "b.png", "c.png", "elsewhere.png"))
        now = {
            "a.png": FileState(STATE.size + 1, STATE.modified),
            "b.png": FileState(STATE.size, STATE.modified.replace("234Z", "235Z")),
            "c.png": STATE,
        }
        with ScoreFile(path, PROVENANCE) as table:
            assert table.settle(("a.png", "b.png", "c.png"), now.get) == (1, 2)
            assert table.done == {"c.png"}
            assert table.rows == 2  # and of an image that is none of this run's, nobody asked
            for name in ("a.png", "b.png"):
                table.write(replace(score_of(name, 1.5), file_size=now[name].size, file_modified=now[name].modified))
        rows = {row["path"]: float(row["quality"]) for row in read_any(path)}
        assert rows == {"c.png": 3.25, "elsewhere.png": 3.25, "a.png": 1.5, "b.png": 1.5}
        with ScoreFile(path, PROVENANCE) as table:
            assert table.settle(("a.png", "b.png", "c.png"), now.get) == (3, 0)


def test_what_is_no_file_is_never_known_to_be_the_same(path: Path) -> None:
    with ScoreFile(path, PROVENANCE) as table:
        table.write(replace(score_of("-"), file_size=None, file_modified=None))
    with ScoreFile(path, PROVENANCE) as table:
        assert table.settle(("-",)) == (0, 1)
        assert table.rows == 0


def test_the_state_of_a_file_is_its_size_and_its_time_to_the_nanosecond(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"12345")
    os.utime(file, ns=(0, 1_700_000_000_000_000_007))
    assert file_state(file) == FileState(5, "2023-11-14T22:13:20.000000007Z")
    assert file_state(tmp_path / "b.png") is None


def test_an_image_of_which_frames_are_missing_is_scored_anew(path: Path) -> None:
    """A run over all frames that was killed between two of them."""
    provenance = PROVENANCE | {"frames": "all"}
    with ScoreFile(path, provenance) as table:
        for name, frames in (("whole.gif", (1, 2, 3)), ("torn.gif", (1,)), ("one.gif", (1,))):
            for frame in frames:
                table.write(replace(score_of(name), frame=frame, frames=1 if name == "one.gif" else 3))
    with ScoreFile(path, provenance) as table:
        assert table.settle(("whole.gif", "torn.gif", "one.gif"), same) == (2, 1)
        assert table.done == {"whole.gif", "one.gif"}


@pytest.mark.parametrize("suffix", ALL)
def test_a_table_of_an_earlier_version_is_refused_in_a_sentence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{suffix}"
    write(path, ("a.png",))
    old = [{name: value for name, value in row.items() if not name.startswith("file_")} for row in read_any(path)]
    if suffix == "csv":
        path.write_text("\n".join([",".join(old[0]), ",".join(map(str, old[0].values())), ""]))
    elif suffix == "parquet":
        pq.write_table(pyarrow.Table.from_pylist(old), path)
    else:
        path.write_text(json.dumps(old) if suffix == "json" else json.dumps(old[0]) + "\n")
    with pytest.raises(
        ScoreFileError, match=r"has no (column )?'file_size': an earlier version wrote it; give another"
    ):
        ScoreFile(path, PROVENANCE)


# Tables that cannot grow


def read_any(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".json":
        return json.loads(path.read_text())
    return pq.read_table(path).to_pylist() if path.suffix == ".parquet" else read(path)


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_json_and_parquet_are_made_at_the_end_and_survive_a_kill(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{suffix}"
    table = ScoreFile(path, PROVENANCE)
    table.write(score_of("a.png"))
    del table  # killed: nothing is closed
    assert not path.exists()
    with ScoreFile(path, PROVENANCE) as table:
        assert table.settle(("a.png", "b.png"), same) == (1, 0)
        table.write(score_of("b.png"))
    assert [row["path"] for row in read_any(path)] == ["a.png", "b.png"]
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, f"{path.name}.run.json"]
    [first, _] = read_any(path)
    assert tuple(first) == COLUMNS
    assert (first["quality"], first["crops"], first["warnings"]) == (3.25, 15, "one; two")
    # Killed while a table is there already: the rows beside it are those of the table and more.
    table = ScoreFile(path, PROVENANCE)
    table.settle(("a.png", "b.png", "c.png"), same)
    table.write(score_of("c.png"))
    del table
    assert done(path, ("a.png", "b.png", "c.png")) == {"a.png", "b.png", "c.png"}
    assert [row["path"] for row in read_any(path)] == ["a.png", "b.png", "c.png"]
    write(path, ("d.png",), overwrite=True)
    assert [row["path"] for row in read_any(path)] == ["d.png"]


def test_a_json_stream_is_whole_however_many_rows_came() -> None:
    for names in ((), ("a.png",), ("a.png", "b.png")):
        stream = io.StringIO()
        writer = StreamWriter(stream, "json")
        for name in names:
            writer.write(score_of(name))
        writer.close()
        rows = json.loads(stream.getvalue())
        assert [row["path"] for row in rows] == list(names)
        assert all(row["warnings"] == ["one", "two"] for row in rows)


# Disks


def test_a_full_disk_leaves_whole_rows_and_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ScoreFile(path, PROVENANCE)
    table.write(score_of("a.png"))
    whole = path.read_bytes()
    real = table._stream

    class FullDisk:
        """Takes ten more bytes, as a disk does that is nearly full."""

        closed = False
        room = 10

        def write(self, content: memoryview) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = real.write(content[: self.room])
            self.room = 0
            return taken

        def fileno(self) -> int:
            return real.fileno()

        def close(self) -> None:
            real.close()

    monkeypatch.setattr(table, "_stream", FullDisk())
    expected = f"{path.name}: no space left on device; its 1 rows are kept, and the same command goes on with them"
    with pytest.raises(ScoreFileError, match=expected):
        table.write(score_of("b.png"))
    table.close()
    assert path.read_bytes() == whole
    assert done(path, ("a.png", "b.png")) == {"a.png"}
