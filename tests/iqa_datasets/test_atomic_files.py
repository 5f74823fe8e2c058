"""Files that are there whole or not at all, whatever happens to the writer."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from iqa_datasets.atomic_files import FileInUseError, locked, remove_unfinished, replacing

needs_posix = pytest.mark.skipif(os.name == "nt", reason="permissions, links and devices of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_is_there_when_the_block_has_ended_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    with replacing(path) as part:
        assert part.suffix == ".csv"
        assert part.parent == tmp_path
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["table.csv"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_what_stood_there_stays_after_an_error(tmp_path, error):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write():
        with replacing(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["table.csv"]


@needs_posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "new") as part:
            part.chmod(0o600)  # as libraries do that write by way of tempfile
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~umask


@needs_posix
def test_permissions_of_a_file_that_is_replaced_are_kept(tmp_path):
    path = tmp_path / "private"
    path.write_text("old")
    path.chmod(0o600)
    with replacing(path) as part:
        part.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@needs_posix
def test_of_a_link_the_file_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "far" / "real.csv")
    with replacing(tmp_path / "link.csv") as part:
        part.write_text("new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "far" / "real.csv").read_text() == "new"


@needs_posix
def test_a_pipe_is_written_to_as_it_is(tmp_path):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    with replacing(path) as part:
        part.write_text("through")
    reader.join(10)
    assert read == ["through"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_device_is_an_error_that_names_it():
    with pytest.raises(OSError, match="No space left") as caught, replacing("/dev/full") as part, part.open("w") as f:
        f.write("x" * 100_000)
    assert caught.value.errno == errno.ENOSPC


def test_a_missing_folder_is_said_by_the_path_that_was_asked_for(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "nowhere" / "table.csv"):
        pytest.fail("nothing can be written")
    assert caught.value.filename == str(tmp_path / "nowhere" / "table.csv")
    assert ".part" not in str(caught.value)


def test_an_error_of_the_writer_names_the_path_that_was_asked_for(tmp_path):
    def write():
        with replacing(tmp_path / "table.csv") as part:
            part.unlink()
            part.read_text()

    with pytest.raises(FileNotFoundError) as caught:
        write()
    assert caught.value.filename == str(tmp_path / "table.csv")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"), replacing(tmp_path):
        pytest.fail("nothing can be written")


def test_the_longest_name_is_no_hindrance(tmp_path):
    path = tmp_path / ("ä" * 120 + ".csv")
    with replacing(path) as part, locked(path):
        part.write_text("new")
    assert path.read_text() == "new"


def test_two_threads_do_not_write_one_temporary_file(tmp_path):
    with replacing(tmp_path / "table.csv") as one, replacing(tmp_path / "table.csv") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "table.csv").read_text() == "one"  # the one that ended last


def test_what_was_written_is_flushed_before_it_is_moved(tmp_path, monkeypatch):
    # A loss of power after the move must not leave an empty file in place of the old one.
    events = []
    flush, move = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("flush"), flush(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("move"), move(self, to))[1])
    with replacing(tmp_path / "table.csv") as part:
        part.write_text("new")
    assert events[:2] == ["flush", "move"]


# --- locks


@pytest.mark.skipif(os.name == "nt", reason="there nobody knows whether a process runs")
def test_what_a_killed_writer_left_is_removed_and_no_more(tmp_path):
    path = tmp_path / "scores.csv"
    code = f"""
import os, signal
from iqa_datasets.atomic_files import replacing
with replacing({str(path)!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    [left] = tmp_path.iterdir()
    others = [tmp_path / name for name in (".scores.x.1.part.csv", ".scores.99999999.1.part.json", "scores.1.part.csv")]
    for other in others:
        other.touch()
    with replacing(path) as part:
        remove_unfinished(path)
        assert part.exists()
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])
    remove_unfinished(tmp_path / ("x" * 50 + ".csv"))


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path):
    path = tmp_path / "table.csv"
    code = (
        "import sys; from iqa_datasets.atomic_files import locked, FileInUseError\n"
        "try:\n    with locked(sys.argv[1]): print('had it')\n"
        "except FileInUseError as error: print(error)"
    )

    def ask() -> str:
        return subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout

    with locked(path):
        assert ask().strip().startswith(f"{path} is being written by process {os.getpid()} on ")
        with pytest.raises(FileInUseError, match=f"process {os.getpid()}"), locked(path):
            pytest.fail("this process has it already")
    assert ask().strip() == "had it"


def test_a_refused_writer_leaves_the_first_ones_name(tmp_path):
    path = tmp_path / "table.csv"
    with locked(path):
        for _ in range(3):
            with pytest.raises(FileInUseError, match=f"process {os.getpid()} on "), locked(path):
                pytest.fail("held")


def test_a_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="stop"), locked(tmp_path / "x"):
        raise ValueError("stop")
    with locked(tmp_path / "x"):
        pass


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    path = tmp_path / "table.csv"
    code = "import os, sys; from iqa_datasets.atomic_files import locked\nwith locked(sys.argv[1]): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    with locked(path):
        pass


def test_a_lock_by_way_of_a_link_is_the_same_lock(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with locked(tmp_path / "real" / "x"), pytest.raises(FileInUseError), locked(tmp_path / "link" / "x"):
        pytest.fail("held")
