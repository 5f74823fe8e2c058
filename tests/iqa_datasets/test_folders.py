import os
import re
from pathlib import Path

import pytest

from iqa_datasets import DatasetError
from iqa_datasets.folders import collecting_faults, find_file, find_images, folders_there, list_files, list_images

SOURCE = Path("labels.csv")


@pytest.fixture
def folder(tmp_path):
    for name in ("A/one.png", "A/two.png", "b/C/three.PNG", "b/Thumbs.db", "b/C/.hidden.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_case_is_ignored_in_every_part_of_a_path(folder):
    found = find_images(folder, ["a/ONE.png", "B/c/three.png", "a/two.PNG", "a/ONE.png"], SOURCE)
    expected = ["A/one.png", "b/C/three.PNG", "A/two.png", "A/one.png"]
    assert found == [str(folder / name) for name in expected]


def test_exact_name_is_preferred(folder):
    (folder / "A" / "ONE.png").touch()
    if len(list((folder / "A").iterdir())) < 3:
        pytest.skip("this file system does not tell the cases apart")
    assert find_images(folder, ["A/one.png", "A/ONE.png", "A/two.png"], SOURCE)[1] == str(folder / "A" / "ONE.png")
    (folder / "a").mkdir()
    assert find_images(folder, ["A/one.png", "A/ONE.png", "A/two.png"], SOURCE)[0] == str(folder / "A" / "one.png")
    (folder / "A").rename(folder / "aa")
    (folder / "a").rename(folder / "Aa")
    with pytest.raises(DatasetError, match=r"AA of AA/ could be Aa or aa; keep one"):
        find_images(folder, ["AA/one.png"], SOURCE)


def test_missing_are_counted_once(folder):
    names = ["A/one.png", "A/two.png", "A/no.png", "A/no.png", "none/x.png", "none/y.png", "none/z.png"]
    with pytest.raises(
        FileNotFoundError, match=r"lacks A/no.png, none/x.png, none/y.png and 1 more of the 6 images in labels.csv"
    ):
        find_images(folder, names, SOURCE)


@pytest.mark.parametrize("name", ["../secret.png", "A/../../secret.png", "A/./one.png", "/etc/x.png", "A//one.png"])
def test_a_name_cannot_leave_the_folder(folder, name):
    (folder.parent / "secret.png").touch()
    with pytest.raises(FileNotFoundError, match="lacks"):
        find_images(folder, [name], SOURCE)


def test_strays_and_what_is_not_rated(folder):
    with pytest.raises(DatasetError, match=re.escape(f"holds {Path('A/two.png')} without a label in labels.csv")):
        find_images(folder, ["A/one.png"], SOURCE)
    assert find_images(folder, ["A/one.png"], SOURCE, unrated=re.compile(r"A/t\w+\.png")) == [
        str(folder / "A" / "one.png")
    ]


def test_faults_can_be_collected(folder):
    with collecting_faults() as faults:
        paths = find_images(folder, ["A/ONE.png", "A/no.png", "none/x.png"], SOURCE)
    assert [os.path.relpath(path, folder) for path in paths] == [
        str(Path(name)) for name in ("A/one.png", "A/no.png", "none/x.png")
    ]
    assert [(fault.kind, Path(fault.path).name) for fault in faults] == [
        ("missing", "no.png"),
        ("missing", "x.png"),
        ("stray", "two.png"),
        ("case", "one.png"),
    ]


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
