"""From arguments to images: files, folders, globs, hidden ones, duplicates, what is missing."""

import os
from pathlib import Path

import pytest

from defnet.scoring.image_paths import IMAGE_SUFFIXES, find_images
from defnet.scoring.scores import Failure

FILES = (
    "b.jpg",
    "a.PNG",
    "notes.txt",
    "deep/er/z.webp",
    "deep/c.tiff",
    "deep/readme",
    ".hidden.png",
    ".cache/thumb.jpg",
    "deep/.git/x.png",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "photos"


def names(paths: tuple[str, ...], folder: Path) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def test_a_folder_is_searched_to_its_ground_in_order(folder: Path) -> None:
    found = find_images([folder])
    assert names(found.paths, folder) == ["a.PNG", "b.jpg", "deep/c.tiff", "deep/er/z.webp"]
    assert found.missing == ()
    assert found.ignored == 2  # hidden files are not counted


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_known_ending_in_either_case(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"one{suffix}").touch()
    (tmp_path / f"two{suffix.upper()}").touch()
    assert len(find_images([tmp_path]).paths) == 2


def test_a_named_file_is_taken_whatever_its_name(folder: Path) -> None:
    given = [folder / "notes.txt", folder / ".hidden.png", folder / "deep" / "readme"]
    assert find_images(given).paths == tuple(map(str, given))


def test_a_hidden_folder_that_is_named_is_searched(folder: Path) -> None:
    assert names(find_images([folder / ".cache"]).paths, folder) == [".cache/thumb.jpg"]


def test_globs(folder: Path) -> None:
    assert names(find_images([f"{folder}/*.*"]).paths, folder) == ["a.PNG", "b.jpg", "notes.txt"]
    assert names(find_images([f"{folder}/**/*.[wt]*"]).paths, folder) == ["deep/c.tiff", "deep/er/z.webp", "notes.txt"]
    # A folder that a pattern matches is searched as well; one without images is nobody's fault.
    (folder / "empty").mkdir()
    found = find_images([f"{folder}/[de]*"])
    assert names(found.paths, folder) == ["deep/c.tiff", "deep/er/z.webp"]
    assert found.missing == ()


def test_a_pattern_without_a_match(folder: Path) -> None:
    found = find_images([f"{folder}/*.gif", folder / "b.jpg"])
    assert found.missing == (Failure(f"{folder}/*.gif", "no file matches this pattern"),)
    assert names(found.paths, folder) == ["b.jpg"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    strange = tmp_path / "what[1].png"
    strange.touch()
    (tmp_path / "what1.png").touch()
    assert find_images([strange]).paths == (str(strange),)


def test_missing_files_and_folders(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = find_images([folder / "nothing.png", folder / "empty"])
    assert found.paths == ()
    assert found.missing == (
        Failure(str(folder / "nothing.png"), "no such file or folder"),
        Failure(str(folder / "empty"), "holds no image file"),
    )


def test_an_image_that_is_named_twice_comes_once_and_where_it_came_first(folder: Path) -> None:
    found = find_images([folder / "deep", folder, f"{folder}/*.jpg", folder / "b.jpg"])
    assert names(found.paths, folder) == ["deep/c.tiff", "deep/er/z.webp", "a.PNG", "b.jpg"]


def test_a_dangling_link_is_taken_so_that_it_can_be_reported(tmp_path: Path) -> None:
    link = tmp_path / "gone.png"
    link.symlink_to(tmp_path / "nowhere.png")
    assert find_images([link]).paths == (str(link),)
    assert find_images([tmp_path]).paths == (str(link),)


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "again").symlink_to(tmp_path)
    assert find_images([tmp_path]).paths == (str(tmp_path / "a.png"),)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).touch()
    assert [os.fsencode(path) for path in find_images([tmp_path]).paths] == [raw]
    assert [os.fsencode(path) for path in find_images([os.fsdecode(raw)]).paths] == [raw]


def test_relative_arguments_stay_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert find_images(["deep", "b.jpg"]).paths == ("deep/c.tiff", "deep/er/z.webp", "b.jpg")
    assert find_images(["."]).paths[0] == "a.PNG"
