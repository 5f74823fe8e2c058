"""From arguments to images: files, folders, links, globs, hidden ones, duplicates, what is missing and what is not."""

import os
import sys
from pathlib import Path

import pytest

from iqa_datasets import IMAGE_SUFFIXES, find_images
from iqa_datasets.image_paths import images_in

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
    assert found.ignored == {".txt": 1, "": 1}  # hidden files are not counted
    assert found.ignored_in_words() == "1 without a suffix, 1 .txt"


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_every_known_ending_in_either_case(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"one{suffix}").touch()
    (tmp_path / f"two{suffix.upper()}").touch()
    assert len(find_images([tmp_path]).paths) == 2


def test_photographs_of_phones_are_not_passed_by(tmp_path: Path) -> None:
    # Whether or not a plugin can read them here: what cannot be read shall be named.
    for suffix in ("heic", "HEIF", "avif", "gif", "jp2", "jxl"):
        (tmp_path / f"x.{suffix}").touch()
    found = find_images([tmp_path])
    assert len(found.paths) == 6
    assert found.ignored == {}


def test_only_the_endings_asked_for(folder: Path) -> None:
    found = find_images([folder], suffixes=(".png",))
    assert names(found.paths, folder) == ["a.PNG"]
    assert found.ignored == {".jpg": 1, ".txt": 1, ".tiff": 1, ".webp": 1, "": 1}


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
    assert found.missing == ((f"{folder}/*.gif", "no file matches this pattern"),)
    assert names(found.paths, folder) == ["b.jpg"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    strange = tmp_path / "what[1].png"
    strange.touch()
    (tmp_path / "what1.png").touch()
    assert find_images([strange]).paths == (str(strange),)


def test_missing_files_and_folders(folder: Path) -> None:
    (folder / "empty").mkdir()
    found = find_images([folder / "nothing.png", folder / "empty", "https://example.org/a.jpg"])
    assert found.paths == ()
    assert found.missing == (
        (str(folder / "nothing.png"), "no such file or folder"),
        (str(folder / "empty"), "holds no image file"),
        ("https://example.org/a.jpg", "is an address; download it first, nothing is fetched here"),
    )


def test_an_image_that_is_named_twice_comes_once_and_where_it_came_first(folder: Path) -> None:
    found = find_images([folder / "deep", folder, f"{folder}/*.jpg", folder / "b.jpg"])
    assert names(found.paths, folder) == ["deep/c.tiff", "deep/er/z.webp", "a.PNG", "b.jpg"]


def test_a_dangling_link_is_taken_so_that_it_can_be_reported(tmp_path: Path) -> None:
    link = tmp_path / "gone.png"
    link.symlink_to(tmp_path / "nowhere.png")
    assert find_images([link]).paths == (str(link),)
    assert find_images([tmp_path]).paths == (str(link),)


def test_a_linked_folder_is_searched(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "linked").symlink_to(folder / "deep")
    (tmp_path / "gallery" / "one.png").symlink_to(folder / "a.PNG")
    (tmp_path / "way in").symlink_to(tmp_path / "gallery")
    found = find_images([tmp_path / "way in"])
    assert names(found.paths, tmp_path / "way in") == ["one.png", "linked/c.tiff", "linked/er/z.webp"]
    assert found.ignored == {"": 1}


def test_a_circle_of_links_ends_and_each_real_folder_comes_once(folder: Path) -> None:
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "deep" / "er" / "again").symlink_to(folder / "deep")
    (folder / "twin").symlink_to(folder / "deep")
    found = find_images([folder])
    assert names(found.paths, folder) == ["a.PNG", "b.jpg", "deep/c.tiff", "deep/er/z.webp"]
    assert found.missing == ()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions bind no administrator")
def test_a_folder_that_cannot_be_read_is_said(folder: Path) -> None:
    (folder / "deep").chmod(0)
    try:
        found = find_images([folder])
    finally:
        (folder / "deep").chmod(0o755)
    assert found.missing == ((str(folder / "deep"), "cannot be read (Permission denied)"),)
    assert names(found.paths, folder) == ["a.PNG", "b.jpg"]


def test_a_folder_that_cannot_be_listed_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = find_images([folder])
    assert found.missing == ((str(folder / "deep"), "cannot be read (Permission denied)"),)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names there are text")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Path(os.fsdecode(raw)).touch()
    assert [os.fsencode(path) for path in find_images([tmp_path]).paths] == [raw]
    assert [os.fsencode(path) for path in find_images([os.fsdecode(raw)]).paths] == [raw]


def test_relative_arguments_stay_relative(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert find_images(["deep", "b.jpg"]).paths == ("deep/c.tiff", "deep/er/z.webp", "b.jpg")
    assert find_images(["."]).paths[0] == "a.PNG"


def test_the_images_of_one_folder_are_found_or_it_is_said_why_not(folder: Path, tmp_path: Path) -> None:
    assert [str(path) for path in images_in(folder)] == list(find_images([folder]).paths)
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="bare holds no photograph"):
        images_in(tmp_path / "bare")
    for other in (tmp_path / "none", folder / "b.jpg"):
        with pytest.raises(FileNotFoundError, match=f"{other.name} is not a folder; it must hold photographs"):
            images_in(other)
