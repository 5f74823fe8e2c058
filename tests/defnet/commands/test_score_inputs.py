"""What `defnet score` takes beside files and folders: archives, lists of paths, and what arrives."""

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from defnet.cli import app

FEW = ("--crops", "1", "--device", "cpu")


def score(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments), *FEW], input=given)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def folder(tmp_path: Path, photographs: list[Path]) -> Path:
    """Two photographs below a folder."""
    for name, path in zip(("a", "deep/b"), photographs[:2], strict=True):
        target = tmp_path / "photos" / f"{name}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / "photos"


def packed(folder: Path, archive: Path) -> Path:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in files:
                zipped.write(path, path.relative_to(folder))
            zipped.writestr("notes.txt", "no image")
    else:
        with tarfile.open(archive, "w") as tarred:
            for path in files:
                tarred.add(path, path.relative_to(folder))
    return archive


@pytest.mark.parametrize("suffix", ["zip", "tar"])
def test_an_archive_is_scored_like_its_folder(folder: Path, tmp_path: Path, suffix: str) -> None:
    archive = packed(folder, tmp_path / f"photos.{suffix}")
    plain, inside = score(folder), score(archive)
    assert inside.exit_code == 0, inside.output
    assert [row["path"] for row in rows(inside.stdout)] == [
        row["path"].replace(str(folder), str(archive)) for row in rows(plain.stdout)
    ]
    assert [row["quality"] for row in rows(inside.stdout)] == [row["quality"] for row in rows(plain.stdout)]
    assert [row["file_size"] for row in rows(inside.stdout)] == [row["file_size"] for row in rows(plain.stdout)]
    assert ("left out, no images by their names: 1 .txt" in inside.stderr) == (suffix == "zip")


def test_a_table_of_an_archive_is_gone_on_with(folder: Path, tmp_path: Path) -> None:
    archive, table = packed(folder, tmp_path / "photos.zip"), tmp_path / "scores.csv"
    assert "2 images scored now, 0 kept" in score(archive, "--out", table).stderr
    assert "0 images scored now, 2 kept" in score(archive, "--out", table).stderr
    with zipfile.ZipFile(archive, "a") as more:
        more.write(folder / "a.png" if (folder / "a.png").exists() else next(folder.glob("a.*")), "c.png")
    assert "1 image scored now, 2 kept" in score(archive, "--out", table).stderr


def test_a_damaged_image_in_an_archive_is_named_and_the_rest_is_scored(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(next(folder.glob("a.*")), "a.png")
        zipped.writestr("broken.jpg", b"nothing of the kind")
    result = score(archive, folder / "gone.zip", packed(folder, tmp_path / "x.tar").rename(tmp_path / "x.tar.gz"))
    assert result.exit_code == 1
    assert [row["path"] for row in rows(result.stdout)] == [f"{archive}/a.png"]
    assert f"{archive}/broken.jpg: " in result.stderr
    assert f"{folder / 'gone.zip'}: no such file or folder" in result.stderr
    assert "x.tar.gz: is compressed whole; unpack it, or make it a .zip or .tar" in result.stderr


@pytest.mark.parametrize("null", [False, True])
def test_a_list_of_paths(folder: Path, tmp_path: Path, null: bool) -> None:
    paths = [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]
    content = ("\0" if null else "\n").join([*paths, ""]).encode()
    zero = ("-0",) if null else ()
    listed = score("--files-from", "-", *zero, given=content)
    assert listed.exit_code == 0, listed.output
    assert [row["path"] for row in rows(listed.stdout)] == paths
    (tmp_path / "list").write_bytes(content)
    assert rows(score("--files-from", tmp_path / "list", *zero).stdout) == rows(listed.stdout)


def test_wrong_uses_are_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"a\0b\0")
    (tmp_path / "empty").write_bytes(b"\n\n")
    for arguments, message in (
        ([], "nothing to score: name files or folders"),
        (["--files-from", tmp_path / "list"], "its paths end with zero bytes: say -0"),
        (["--files-from", tmp_path / "empty"], "the list names no path"),
        (["--files-from", tmp_path / "gone"], "the list of paths cannot be read"),
        ([folder, "-0"], "-0 is about the list of --files-from"),
        (["-", "--files-from", "-"], "standard input is either an image (-) or a list"),
        ([tmp_path / "list", "--follow"], "is no folder; only folders can be watched"),
        ([folder, "--follow", "--report", tmp_path / "x.html"], "--follow goes with folders alone"),
    ):
        result = score(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert result.stdout == ""


@pytest.mark.skipif(os.name == "nt", reason="interrupts a process as a terminal does")
def test_what_arrives_is_scored_until_it_is_interrupted(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    first, second = (path for path in sorted(folder.rglob("*")) if path.is_file())
    kept = tmp_path / "kept" / second.name
    kept.parent.mkdir()
    second.rename(kept)
    command = [sys.executable, "-m", "defnet", "score", str(folder), "--follow", "--out", str(table), *FEW]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _wait_for(table, [str(first)])
        shutil.copy(kept, second)
        (folder / "broken.jpg").write_bytes(b"no image")
        _wait_for(table, [str(first), str(second)])
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "keeps 2 images scored now" in said
    assert "broken.jpg" in said


def _wait_for(table: Path, paths: list[str]) -> None:
    for _ in range(600):
        if table.exists() and [row["path"] for row in rows(table.read_text())] == paths:
            return
        time.sleep(0.1)
    raise AssertionError(f"{paths} were not scored within a minute")
