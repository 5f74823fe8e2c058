import os
import re
from pathlib import Path

import pytest

from iqa_datasets import DatasetError
from iqa_datasets.folders import find_file, first_folder, folders_there, list_files, list_images, resolve_images

SOURCE = Path("labels.csv")


@pytest.fixture
def folder(tmp_path):
    for name in ("A/one.png", "A/two.png", "b/C/three.PNG", "b/Thumbs.db", "b/C/.hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_case_is_ignored_in_every_part_of_a_path(folder):
    found = resolve_images(folder, ["a/ONE.png", "B/c/three.png", "a/two.PNG", "a/ONE.png"], SOURCE).paths
    expected = ["A/one.png", "b/C/three.PNG", "A/two.png", "A/one.png"]
    assert found == [str(folder / name) for name in expected]


def test_exact_name_is_preferred(folder):
    (folder / "A" / "ONE.png").touch()
    if len(list((folder / "A").iterdir())) < 3:
        pytest.skip("this file system does not tell the cases apart")
    names = ["A/one.png", "A/ONE.png", "A/two.png"]
    assert resolve_images(folder, names, SOURCE).paths[1] == str(folder / "A" / "ONE.png")
    (folder / "a").mkdir()
    assert resolve_images(folder, names, SOURCE).paths[0] == str(folder / "A" / "one.png")
    (folder / "A").rename(folder / "aa")
    (folder / "a").rename(folder / "Aa")
    with pytest.raises(DatasetError, match=r"AA of AA/ could be Aa or aa; keep one"):
        resolve_images(folder, ["AA/one.png"], SOURCE)


def test_missing_are_counted_once(folder):
    names = ["A/one.png", "A/two.png", "A/no.png", "A/no.png", "none/x.png", "none/y.png", "none/z.png"]
    with pytest.raises(
        FileNotFoundError, match=r"lacks A/no.png, none/x.png, none/y.png and 1 more of the 6 images in labels.csv"
    ):
        resolve_images(folder, names, SOURCE).require_all()


@pytest.mark.parametrize("name", ["../secret.png", "A/../../secret.png", "A/./one.png", "/etc/x.png", "A//one.png"])
def test_a_name_cannot_leave_the_folder(folder, name):
    (folder.parent / "secret.png").touch()
    with pytest.raises(FileNotFoundError, match="lacks"):
        resolve_images(folder, [name], SOURCE).require_all()


def test_strays_and_what_is_not_rated(folder):
    images = resolve_images(folder, ["A/one.png"], SOURCE)
    images.require_all()
    assert [fault.path for fault in images.of_kind("stray")] == [str(folder / "A" / "two.png")]
    assert images.describe_strays() == f"{folder} holds A/two.png without a label in labels.csv, which are left out"
    unrated = resolve_images(folder, ["A/one.png"], SOURCE, unrated=re.compile(r"A/t\w+\.png"))
    assert unrated.paths == [str(folder / "A" / "one.png")]
    assert unrated.faults == ()
    assert unrated.describe_strays() == ""


def test_all_faults_are_returned(folder):
    images = resolve_images(folder, ["A/ONE.png", "A/no.png", "none/x.png"], SOURCE)
    assert [os.path.relpath(path, folder) for path in images.paths] == [
        str(Path(name)) for name in ("A/one.png", "A/no.png", "none/x.png")
    ]
    assert [(fault.kind, Path(fault.path).name) for fault in images.faults] == [
        ("missing", "no.png"),
        ("missing", "x.png"),
        ("stray", "two.png"),
        ("case", "one.png"),
    ]


@pytest.mark.parametrize("name", ["A/one.jpg", "A/ONE.JPEG", "A/one.bmp"])
def test_a_copy_without_loss_is_taken(folder, name):
    images = resolve_images(folder, [name, "A/two.png"], SOURCE)
    images.require_all()
    assert images.paths == [str(folder / "A" / "one.png"), str(folder / "A" / "two.png")]
    assert images.faults == (("format", str(folder / "A" / "one.png"), f"is called {name} in labels.csv"),)


def test_a_copy_of_one_name_is_not_taken_for_another(folder):
    # Both are labelled: the one that is there stands for itself alone.
    with pytest.raises(FileNotFoundError, match=r"lacks A/one\.jpg of the 2 images"):
        resolve_images(folder, ["A/one.jpg", "A/one.png"], SOURCE).require_all()


def test_a_lossy_copy_is_refused_by_name(folder):
    for name in ("one", "two"):
        (folder / "A" / f"{name}.png").rename(folder / "A" / f"{name}.JPG")
    images = resolve_images(folder, ["A/one.png", "A/two.png"], SOURCE)
    with pytest.raises(FileNotFoundError, match=r"lacks A/one\.png, A/two\.png .*A holds 2 of them as \.JPG, which"):
        images.require_all()
    assert resolve_images(folder, ["A/one.jpeg", "A/two.jpeg"], SOURCE).of_kind("missing") == []


def test_a_folder_one_level_off_is_named(folder):
    (folder / "set" / "512x384").mkdir(parents=True)
    (folder / "set" / "512x384" / "one.png").touch()
    with pytest.raises(FileNotFoundError, match=r"there is .*512x384, but it must be .*512x384"):
        resolve_images(folder, ["512x384/one.png"], SOURCE).require_all()


def test_a_folder_unpacked_into_one_of_its_own_name(folder):
    (folder / "b" / "C" / "C").mkdir()
    assert first_folder(folder, "none", "b/C") == "b/C"
    (folder / "b" / "C" / "three.PNG").rename(folder / "b" / "C" / "C" / "three.PNG")
    assert first_folder(folder, "none", "b/C") == "b/C/C"
    assert first_folder(folder, "none", "nothing") == "none"
    (folder / "scores").mkdir()
    (folder / "scores" / "scores.csv").touch()
    assert find_file(folder, "Scores.csv") == folder / "scores" / "scores.csv"


def test_find_file_takes_the_first_there_is(folder):
    (folder / "old.csv").touch()
    assert find_file(folder, "new.csv", "OLD.csv") == folder / "old.csv"
    (folder / "New.csv").touch()
    assert find_file(folder, "new.csv", "OLD.csv") == folder / "New.csv"
    with pytest.raises(FileNotFoundError, match=r"c\.csv is missing \(nor d/e\.csv\); unpack the data set again"):
        find_file(folder, "c.csv", "d/e.csv")


def test_lists(folder):
    assert folders_there(folder, "a", "B/C", "A/one.png", "no") == ["a", "B/C"]
    assert list_images(folder, "B/c") == ["three.PNG"]
    assert list_images(folder, "no") == []
    assert list_files(folder, "B", ".db") == [folder / "b" / "Thumbs.db"]
