"""`defnet score`: real files in, tables out, and every failure in one line with the right exit code."""

import contextlib
import csv
import errno
import json
import os
import pty
import struct
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from typer.testing import CliRunner, Result

from defnet import Scorer
from defnet.cli import app

HEADER = (
    "path,quality,expected_quality,aleatoric_std,epistemic_std,lower,upper,familiarity,scene,scene_probability,"
    "distortion,distortion_probability,crops,frame,frames,file_size,file_modified,warnings"
)


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def one_line(result: Result) -> str:
    """The only line of an error that ends the command."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert result.stderr.startswith("defnet: ")
    return result.stderr.removeprefix("defnet: ")


def write_png_bomb(path: Path, side: int = 20_000) -> None:
    """A black picture of 400 million pixels in 50 kB."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    compressor = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join([*(compressor.compress(row) for _ in range(side)), compressor.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


UNREADABLE = {
    "truncated.jpg": "is damaged or truncated",
    "text.png": "is not an image in a format that can be read",
    "empty.png": "the file is empty",
    "bomb.png": "has 20000x20000 = 400,000,000 pixels, more than the 178,956,970 allowed",
}


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """A folder as people have them."""
    folder = tmp_path_factory.mktemp("mess")
    image = Image.open(photographs[0])
    image.save(folder / "truncated.jpg")
    (folder / "truncated.jpg").write_bytes((folder / "truncated.jpg").read_bytes()[:2000])
    (folder / "text.png").write_text("This is not a picture.\n")
    (folder / "empty.png").touch()
    write_png_bomb(folder / "bomb.png")
    assert (folder / "bomb.png").stat().st_size < 100_000
    Image.new("RGB", (1, 1), (200, 30, 30)).save(folder / "one pixel.png")
    image.save(folder / "Grüße, 写真 🙂.png")
    image.convert("L").save(folder / "grey.png")
    image.convert("CMYK").save(folder / "print.jpg")
    image.save(os.fsencode(folder) + b"/caf\xe9.png", format="PNG")
    Path(os.fsdecode(os.fsencode(folder) + b"/broken\xe9.jpg")).write_bytes(b"\xff\xd8\xff")
    (folder / "readme.md").write_text("Holiday.")
    return folder


@pytest.fixture(scope="module")
def mess_scored(mess: Path, model_file: Path) -> subprocess.CompletedProcess[bytes]:
    """The installed command in a process of its own."""
    command = Path(sysconfig.get_path("scripts")) / "defnet"
    return subprocess.run(
        [command, "score", mess, "--model", model_file, "--device", "cpu"], capture_output=True, check=False
    )


def test_what_cannot_be_read_is_named_with_its_reason_and_the_rest_is_scored(
    mess: Path, mess_scored: subprocess.CompletedProcess[bytes]
) -> None:
    errors = mess_scored.stderr.decode().splitlines()
    assert len(errors) == len(UNREADABLE) + 2
    for name, reason in UNREADABLE.items():
        assert [line for line in errors if line.startswith(f"defnet: {mess / name}: {reason}")], errors
    assert [line for line in errors if line.startswith(f"defnet: {mess}/broken?.jpg: ")], errors
    assert "defnet: left out, no images by their names: 1 .md" in errors
    rows = list(csv.DictReader(mess_scored.stdout.decode("utf-8", "surrogateescape").split("\n")))
    scored = {"one pixel.png", "Grüße, 写真 🙂.png", "grey.png", "print.jpg", os.fsdecode(b"caf\xe9.png")}
    assert {Path(row["path"]).name for row in rows} == scored
    assert mess_scored.returncode == 1


def test_a_table_on_a_pipe_is_csv_with_these_columns(mess_scored: subprocess.CompletedProcess[bytes]) -> None:
    assert mess_scored.stdout.split(b"\n")[0].decode() == HEADER
    rows = list(csv.DictReader(mess_scored.stdout.decode("utf-8", "surrogateescape").split("\n")))
    for row in rows:
        assert 1 <= float(row["lower"]) <= float(row["upper"]) <= 5
    [small] = [row for row in rows if row["path"].endswith("one pixel.png")]
    assert "upscaled from 1x1" in small["warnings"]


def test_another_process_gives_the_same_scores(mess_scored: subprocess.CompletedProcess[bytes], scorer: Scorer) -> None:
    rows = list(csv.DictReader(mess_scored.stdout.decode("utf-8", "surrogateescape").split("\n")))
    scores = scorer.score([row["path"] for row in rows], batch_size=2)
    for row, score in zip(rows, scores, strict=True):
        assert (row["scene"], row["distortion"], row["warnings"]) == (
            score.scene,
            score.distortion,
            "; ".join(score.warnings),
        )
        for name in HEADER.split(","):
            if name == "familiarity":
                assert row[name] == ""  # the small model is not calibrated
            elif name not in ("path", "scene", "distortion", "file_modified", "warnings"):
                # Rounded to six decimals.
                assert float(row[name]) == pytest.approx(getattr(score, name), abs=2e-6), name


def test_all_scored_is_0(photographs: list[Path], model_file: Path) -> None:
    result = defnet("score", *photographs[:3], "--model", model_file)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [row["path"] for row in csv.DictReader(result.stdout.splitlines())] == [str(p) for p in photographs[:3]]


def test_a_missing_argument_among_others_is_1(photographs: list[Path], model_file: Path, tmp_path: Path) -> None:
    result = defnet("score", photographs[0], tmp_path / "no.png", f"{tmp_path}/*.jpg", "--model", model_file)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"defnet: {tmp_path / 'no.png'}: no such file or folder",
        f"defnet: {tmp_path}/*.jpg: no file matches this pattern",
    ]
    assert len(result.stdout.splitlines()) == 2


def test_nothing_to_score_is_2(tmp_path: Path) -> None:
    result = defnet("score", tmp_path, tmp_path / "no.png")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"defnet: {tmp_path}: holds no image file",
        f"defnet: {tmp_path / 'no.png'}: no such file or folder",
        "defnet: nothing to score",
    ]


def test_nothing_that_could_be_scored_is_2(mess: Path, model_file: Path) -> None:
    result = defnet("score", mess / "text.png", mess / "empty.png", "--model", model_file)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


def test_json_lines(photographs: list[Path], model_file: Path, mess: Path) -> None:
    result = defnet("score", photographs[0], mess / "one pixel.png", "--model", model_file, "--format", "jsonl")
    first, small = (json.loads(line) for line in result.stdout.splitlines())
    assert ",".join(first) == HEADER
    assert first["warnings"] == []
    assert "upscaled from 1x1" in small["warnings"]


def test_a_readable_table(photographs: list[Path], model_file: Path, mess: Path) -> None:
    result = defnet("score", photographs[0], mess / "one pixel.png", "--model", model_file, "--format", "table")
    head, row, small = result.stdout.splitlines()
    assert head.split() == ["image", "quality", "95", "%", "interval", "scene", "distortion"]
    assert photographs[0].name in row
    assert "upscaled from 1x1" in small
    csv_row = next(csv.DictReader(defnet("score", photographs[0], "--model", model_file).stdout.splitlines()))
    assert f"{float(csv_row['quality']):.2f}" in row
    assert csv_row["scene"] in row


def test_a_file_name_cannot_write_to_the_terminal(tmp_path: Path, photographs: list[Path], model_file: Path) -> None:
    evil = tmp_path / "\x1b[31mred\x1b[0m\r\n[bold]x.png"
    evil.write_bytes(photographs[1].read_bytes())
    broken = tmp_path / "\x1b]0;title\x07.png"
    broken.write_text("no picture")
    lying = tmp_path / "x\ndefnet: all is well.png"
    result = defnet("score", evil, broken, lying, "--model", model_file, "--format", "table")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "[bold]x.png" in result.stdout
    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "json", "parquet"])
def test_a_table_on_disk_is_gone_on_with(
    suffix: str, photographs: list[Path], model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photographs[:4]:
        (folder / path.name).write_bytes(path.read_bytes())
    out = tmp_path / f"scores.{suffix}"
    command = ("score", folder, "--model", model_file, "--out", out)
    first = defnet(*command)
    assert (first.exit_code, first.stdout) == (0, "")
    assert first.stderr == f"defnet: {out}: 4 images scored now, 0 kept, 0 failed\n"
    # One file is another photograph now, two are new; only these are looked at again.
    (folder / photographs[0].name).write_bytes(photographs[9].read_bytes())
    for path in photographs[4:6]:
        (folder / path.name).write_bytes(path.read_bytes())
    scored: list[str] = []
    original = Scorer.stream

    def watched(self: Scorer, images: list[str], **options: Any) -> Any:
        scored.extend(images)
        return original(self, images, **options)

    monkeypatch.setattr(Scorer, "stream", watched)
    second = defnet(*command)
    assert second.exit_code == 0
    assert (
        second.stderr == f"defnet: {out}: 3 images scored now (1 anew, of files that have changed), 3 kept, 0 failed\n"
    )
    assert sorted(Path(path).name for path in scored) == [photographs[k].name for k in (0, 4, 5)]
    expected = {row["path"]: row["quality"] for row in csv.DictReader(defnet(*command[:-2]).stdout.splitlines())}
    assert {row["path"]: float(row["quality"]) for row in rows_of(out)} == pytest.approx(
        {path: float(quality) for path, quality in expected.items()}, abs=2e-6
    )
    unchanged = out.read_bytes()
    third = defnet(*command)
    assert third.stderr == f"defnet: {out}: 0 images scored now, 6 kept, 0 failed\n"
    if suffix != "parquet":
        assert out.read_bytes() == unchanged
    # A file that cannot be read any more does not keep its old score.
    (folder / photographs[1].name).write_text("no picture any more")
    fourth = defnet(*command)
    assert fourth.exit_code == 1
    assert fourth.stderr.endswith(
        f"{out}: 0 images scored now (1 anew, of files that have changed), 5 kept, 1 failed\n"
    )
    assert len(rows_of(out)) == 5
    assert len(rows_of(out)) == 5
    other = one_line(defnet(*command, "--crops", "2"))
    assert "its rows were made with crops count=3" in other
    assert "now it is count=2" in other
    assert "give another --out, or --overwrite to replace it" in other
    assert defnet(*command, "--crops", "2", "--overwrite").exit_code == 1


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".csv":
        return list(csv.DictReader(path.read_text().splitlines()))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return json.loads(path.read_text()) if path.suffix == ".json" else parquet.read_table(path).to_pylist()


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Ctrl-C after three images."""
    original = Scorer.stream

    def stream(self: Scorer, images: Any, **options: Any) -> Any:
        for number, result in enumerate(original(self, images, **options)):
            if number == 3:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(Scorer, "stream", stream)
    return monkeypatch


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_interruption_keeps_what_was_written(
    photographs: list[Path], model_file: Path, tmp_path: Path, interrupted: pytest.MonkeyPatch, suffix: str
) -> None:
    out = tmp_path / f"scores.{suffix}"
    command = ("score", *photographs[:6], "--model", model_file, "--out", out)
    result = defnet(*command)
    assert result.exit_code == 130
    assert result.stderr == (
        f"defnet: interrupted; {out} keeps 3 images scored now and 0 from before, and the same command goes on from "
        "there\n"
    )
    assert len(rows_of(out)) == 3
    interrupted.undo()
    assert defnet(*command).stderr == f"defnet: {out}: 3 images scored now, 3 kept, 0 failed\n"
    assert len(rows_of(out)) == 6


@pytest.mark.parametrize("output_format", ["csv", "json", "table"])
def test_an_interruption_without_out_promises_nothing(
    photographs: list[Path], model_file: Path, interrupted: pytest.MonkeyPatch, output_format: str
) -> None:
    result = defnet("score", *photographs[:6], "--model", model_file, "--format", output_format)
    assert result.exit_code == 130
    assert result.stderr == (
        "defnet: interrupted after 3 images; only what was printed is kept (--out FILE keeps scores)\n"
    )
    if output_format == "json":
        assert len(json.loads(result.stdout)) == 3  # whole, even so
    else:
        assert len(result.stdout.splitlines()) == 4


# Where rows and images come from and go to


def run_defnet(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "defnet.cli", *map(str, arguments)]
    return subprocess.run(command, check=False, stderr=subprocess.PIPE, timeout=300, **options)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("output_format", ["csv", "json", "jsonl", "table"])
def test_a_full_disk_is_one_line_and_2(photographs: list[Path], model_file: Path, output_format: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = run_defnet("score", *photographs[:2], "--model", model_file, "--format", output_format, stdout=full)
    assert done.stderr.decode() == "defnet: cannot write: no space left on device\n"
    assert done.returncode == 2


def test_where_nothing_may_be_written_is_one_line_and_2(
    photographs: list[Path], model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only file system, which no permission bits stand for where tests run as root."""
    from defnet.scoring import score_files

    def read_only(path: Path) -> Any:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(score_files, "replacing", read_only)
    out = tmp_path / "scores.csv"
    found = one_line(defnet("score", photographs[0], "--model", model_file, "--out", out))
    assert found == f"{out}.run.json: read-only file system\n"


def test_a_disk_that_fills_up_keeps_whole_rows(
    photographs: list[Path], model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from defnet.scoring.score_files import ScoreFile

    original = ScoreFile._append

    def append(self: ScoreFile, line: str) -> None:
        if self.rows == 2:
            # The system's own error, from where the system would raise it.
            monkeypatch.setattr(os, "ftruncate", lambda *_: None)
            self._stream.close()
            self._stream = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115
        original(self, line)

    monkeypatch.setattr(ScoreFile, "_append", append)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    out = tmp_path / "scores.csv"
    found = one_line(defnet("score", *photographs[:4], "--model", model_file, "--out", out))
    assert found == (f"{out}: no space left on device; its 2 rows are kept, and the same command goes on with them\n")
    assert len(rows_of(out)) == 2


def test_an_image_from_a_pipe(photographs: list[Path], model_file: Path, tmp_path: Path) -> None:
    expected = next(csv.DictReader(defnet("score", photographs[1], "--model", model_file).stdout.splitlines()))
    out = tmp_path / "scores.csv"
    for frames in ("first", "all"):
        done = run_defnet(
            "score", "-", photographs[2], "--model", model_file, "--frames", frames,
            input=photographs[1].read_bytes(), stdout=subprocess.PIPE,
        )  # fmt: skip
        first, second = csv.DictReader(done.stdout.decode().splitlines())
        assert (first["path"], second["path"]) == ("-", str(photographs[2]))
        assert float(first["quality"]) == pytest.approx(float(expected["quality"]), abs=1e-4)
        assert (first["file_size"], first["file_modified"]) == ("", "")
        assert done.returncode == 0
    # What came through a pipe is never known to be the same.
    for scored in (1, 1):
        done = run_defnet("score", "-", "--model", model_file, "--out", out, input=photographs[1].read_bytes())
        assert f"{scored} image scored now" in done.stderr.decode()
    nothing = run_defnet("score", "-", "--model", model_file, input=b"", stdout=subprocess.PIPE)
    assert nothing.returncode == 2
    assert len(nothing.stderr.decode().splitlines()) == 1
    assert "empty" in nothing.stderr.decode()


def test_an_address_is_refused_in_true_words(photographs: list[Path], model_file: Path) -> None:
    result = defnet("score", "https://example.org/a.jpg", photographs[0], "--model", model_file)
    assert result.exit_code == 1
    assert (
        result.stderr
        == "defnet: https://example.org/a.jpg: is an address; download it first, nothing is fetched here\n"
    )


def test_parquet_refuses_names_that_are_no_text_before_the_work(
    photographs: list[Path], model_file: Path, tmp_path: Path
) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(photographs[1].read_bytes())
    found = one_line(defnet("score", tmp_path, "--model", model_file, "--out", tmp_path / "scores.parquet"))
    assert "caf?.png is not UTF-8; write .csv or .jsonl" in found


def test_linked_folders_are_scored(photographs: list[Path], model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.png").write_bytes(photographs[1].read_bytes())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "photos" / "round").symlink_to(tmp_path / "photos")
    result = defnet("score", tmp_path / "photos", "--model", model_file)
    assert [row["path"] for row in csv.DictReader(result.stdout.splitlines())] == [
        str(tmp_path / "photos" / "linked" / "a.png")
    ]


def test_frames(photographs: list[Path], model_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "two.tif"
    Image.open(photographs[0]).save(path, save_all=True, append_images=[Image.open(photographs[1])])
    out = tmp_path / "scores.csv"
    first = defnet("score", path, "--model", model_file, "--format", "jsonl")
    assert [w for w in json.loads(first.stdout)["warnings"] if w.startswith("frame 1 of 2")]
    every = defnet("score", path, photographs[2], "--model", model_file, "--frames", "all", "--out", out)
    assert every.stderr.startswith(f"defnet: {out}: 2 images scored now, 0 kept, 0 failed")
    assert [(Path(row["path"]).name, row["frame"]) for row in rows_of(out)] == [
        ("two.tif", "1"), ("two.tif", "2"), (photographs[2].name, "1"),
    ]  # fmt: skip
    again = defnet("score", path, photographs[2], "--model", model_file, "--frames", "all", "--out", out)
    assert again.stderr == f"defnet: {out}: 0 images scored now, 2 kept, 0 failed\n"
    mixed = one_line(defnet("score", path, "--model", model_file, "--out", out))
    assert "its rows were made with frames all, now it is first" in mixed


def test_files_that_need_a_plugin_are_named(photographs: list[Path], model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "a.png").write_bytes(photographs[1].read_bytes())
    result = defnet("score", tmp_path, "--model", model_file)
    assert result.exit_code == 1
    left_out, heic = result.stderr.splitlines()
    assert left_out == "defnet: left out, no images by their names: 1 .txt"
    assert heic.startswith(f"defnet: {tmp_path / 'phone.heic'}: ")


# On a terminal


def on_a_terminal(*arguments: str | Path, stdout: bool) -> tuple[str, str]:
    """What the command writes to a terminal, and what to a pipe at its standard output if that is none."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "defnet.cli", *map(str, arguments)]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        command, stdout=theirs if stdout else subprocess.PIPE, stderr=theirs, stdin=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal's end
            while chunk := os.read(ours, 4096):
                shown += chunk
        piped = process.stdout.read() if process.stdout else b""
    os.close(ours)
    return shown.decode(), piped.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_a_bar_on_a_terminal_and_none_beside_rows_on_a_pipe(photographs: list[Path], model_file: Path) -> None:
    shown, _ = on_a_terminal("score", *photographs[:3], "--model", model_file, stdout=True)
    assert shown.index(f"loading {model_file}"[:30]) < shown.index("interval")  # at once, not after the model is there
    assert "scoring" in shown
    assert "0:00:01 left" not in shown
    shown, piped = on_a_terminal("score", *photographs[:3], "--model", model_file, stdout=False)
    assert shown == f"defnet: loading {model_file}; 3 images to score\r\n"
    assert len(piped.splitlines()) == 4


def test_a_reader_that_has_seen_enough_ends_it_quietly(photographs: list[Path], model_file: Path) -> None:
    command = [sys.executable, "-m", "defnet.cli", "score", *photographs, "--model", model_file, "--batch-size", "2"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # One reader goes before the header, one after it.
    with subprocess.Popen(command, **options) as early, subprocess.Popen(command, **options) as late:
        for process, lines in ((early, 0), (late, 1)):
            assert process.stdout is not None
            for _ in range(lines):
                process.stdout.readline()
            process.stdout.close()
        for process in (early, late):
            assert process.stderr is not None
            assert process.stderr.read() == b""
            assert process.wait() in (0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "nothing"],
            "no model 'nothing': it is neither a shipped one (lite2, lite2-session1, lite) nor a model file",
        ),
        (["--model", "{tmp}/text.safetensors"], "text.safetensors: cannot be read as a safetensors file"),
        (["--model", "{tmp}"], "nor a folder with model.safetensors"),
        (["--model", "{model}", "--device", "abacus"], "device 'abacus' cannot be used here"),
        (
            ["--model", "{model}", "--out", "{tmp}/scores.xls"],
            "must end in .csv, .jsonl, .ndjson, .json, .parquet, got '.xls'",
        ),
        (["--model", "{model}", "--out", "{tmp}/none/scores.csv"], "the folder {tmp}/none does not exist"),
        (["--model", "{model}", "--out", "{tmp}/mine.csv"], "without mine.csv.run.json beside it nobody knows"),
        (["--model", "{model}", "--out", "{tmp}/folder.csv"], "folder.csv: is a folder, not a table of scores"),
        (["--model", "{model}", "--out", "{tmp}/folder.csv", "--overwrite"], "is a folder, not a table of scores"),
        (["--model", "{model}", "--out", "{tmp}/a.csv", "--format", "csv"], "--format is about standard output"),
    ],
)
def test_errors_of_score_are_one_line(
    arguments: list[str], message: str, photographs: list[Path], model_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "mine.csv").write_text("my,own\n")
    (tmp_path / "folder.csv").mkdir()
    filled = [argument.format(tmp=tmp_path, model=model_file) for argument in arguments]
    found = one_line(defnet("score", photographs[0], *filled))
    assert message.format(tmp=tmp_path) in found
    assert len(found.splitlines()) == 1
    assert (tmp_path / "mine.csv").read_text() == "my,own\n"


def test_large_photographs_go_through(model_file: Path, tmp_path: Path) -> None:
    """A photograph of 12 megapixels with an orientation tag."""
    path = tmp_path / "large.jpg"
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    pixels[:1500] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)
    assert defnet("score", path, "--model", model_file).exit_code == 0
