"""Images that arrive: once, when they are whole, wherever they land below the folder."""

import os
from pathlib import Path

import pytest

from iqa_datasets.arriving_images import ArrivingImages


def test_an_image_is_given_once_when_it_is_whole(tmp_path: Path) -> None:
    arriving = ArrivingImages([tmp_path])
    path = tmp_path / "a.jpg"
    path.write_bytes(b"half")
    assert arriving.look() == ()
    path.write_bytes(b"half of it and more")
    assert arriving.look() == ()  # it has grown
    assert arriving.look() == (str(path),)
    assert arriving.look() == ()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "c.png").write_bytes(b"c")
    (tmp_path / "new" / "b.png").write_bytes(b"b")
    (tmp_path / "notes.txt").write_bytes(b"no image")
    (tmp_path / ".part.jpg").write_bytes(b"hidden")
    arriving.look()
    assert arriving.look() == (str(tmp_path / "new" / "b.png"), str(tmp_path / "new" / "c.png"))


def test_a_file_of_the_same_size_that_is_still_written_is_not_whole(tmp_path: Path) -> None:
    """Some programs make a file of its full length first, and then fill it."""
    arriving = ArrivingImages([tmp_path])
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(100))
    arriving.look()
    path.write_bytes(b"x" * 100)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert arriving.look() == ()
    assert arriving.look() == (str(path),)


def test_empty_files_and_what_is_known_are_not_given(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "old.jpg").write_bytes(b"old")
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone")
    arriving = ArrivingImages([tmp_path], known=[str(tmp_path / "old.jpg")])
    assert [arriving.look() for _ in range(3)] == [()] * 3
    (tmp_path / "gone").write_bytes(b"there now")
    arriving.look()
    assert arriving.look() == (str(tmp_path / "nowhere.jpg"),)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"a\.jpg is no folder"):
        ArrivingImages([tmp_path / "a.jpg"])
