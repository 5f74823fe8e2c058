"""LIVE In the Wild: its MATLAB files, and the whole of the real data set where it is at hand."""

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iqa_datasets import DatasetError, distortion_class, load, read_liqe_labels
from iqa_datasets.matlab import read_vector

FILES = ("AllImages_release", "AllMOS_release", "AllStdDev_release")


def rewrite(fake, stem, change):
    """Change one variable of a .mat file and write it back."""
    path = fake.root / "Data" / f"{stem}.mat"
    scipy.io.savemat(path, {stem: change(scipy.io.loadmat(path)[stem].copy())})


def put(position, value):
    def change(array):
        array.flat[position] = value
        return array

    return change


def test_scores_are_joined_by_position_without_the_training_images(clive):
    read = {stem: scipy.io.loadmat(clive.root / "Data" / f"{stem}.mat")[stem].ravel() for stem in FILES}
    records = load("live-challenge", clive.root).records
    assert [Path(path).name for path in records["image_path"]] == [cell.item() for cell in read["AllImages_release"]][
        7:
    ]
    np.testing.assert_array_equal(records["mos"], read["AllMOS_release"][7:])
    np.testing.assert_array_equal(records["mos_std"], read["AllStdDev_release"][7:])
    np.testing.assert_allclose(records["quality"], 1 + 4 * (read["AllMOS_release"][7:] - 0) / 100, rtol=0, atol=1e-12)


def test_identical_pictures_share_their_content(clive):
    records = load("live-challenge", clive.root).records.set_index("content")
    counts = records.index.value_counts()
    assert list(counts[counts > 1].index) == ["Images/246.bmp"]
    twins = records.loc["Images/246.bmp"]
    assert [Path(path).name for path in twins["image_path"]] == ["246.bmp", "333.bmp"]
    assert twins["mos"].nunique() == 2


@pytest.mark.parametrize("stem", ["AllMOS_release", "AllStdDev_release"])
@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-1.0, "-1")])
def test_a_value_that_is_no_score_is_named(clive, stem, value, shown):
    rewrite(clive, stem, put(9, value))
    with pytest.raises(DatasetError, match=rf"{stem}\.mat: entry 10 \(333\.bmp\) is {shown}, must be a number"):
        load("live-challenge", clive.root)


def test_score_outside_the_documented_range(clive):
    rewrite(clive, "AllMOS_release", put(8, 100.5))
    with pytest.raises(DatasetError, match=r"AllMOS_release\.mat: the score of Images/246\.bmp is 100\.5, outside"):
        load("live-challenge", clive.root)


def test_files_of_different_length(clive):
    rewrite(clive, "AllStdDev_release", lambda array: array[:, :-1])
    with pytest.raises(DatasetError, match=r"AllStdDev_release\.mat has 30 entries, but AllImages_release\.mat has 31"):
        load("live-challenge", clive.root)


def test_training_images_taken_out(clive):
    for stem in FILES:
        rewrite(clive, stem, lambda array: array.ravel()[7:][None])
    with pytest.raises(DatasetError, match=r"must be the training images t1\.bmp to t7\.bmp, got 100\.bmp"):
        load("live-challenge", clive.root)


def test_image_listed_twice(clive):
    rewrite(clive, "AllImages_release", put(12, np.array(["100.bmp"])))
    with pytest.raises(DatasetError, match=r"AllImages_release\.mat lists 100\.bmp more than once"):
        load("live-challenge", clive.root)


def test_a_name_cannot_leave_the_folder(clive):
    (clive.root / "outside.bmp").write_bytes(b"x")
    rewrite(clive, "AllImages_release", put(12, np.array(["../outside.bmp"])))
    with pytest.raises(FileNotFoundError, match=r"lacks Images/\.\./outside\.bmp of the 24 images"):
        load("live-challenge", clive.root)


@pytest.mark.parametrize(
    ("stem", "content", "message"),
    [
        ("AllMOS_release", {"MOS": np.ones((1, 31))}, "lacks the variable AllMOS_release; it holds MOS"),
        ("AllMOS_release", {}, "lacks the variable AllMOS_release; it holds nothing"),
        ("AllMOS_release", {"AllMOS_release": np.ones((2, 31))}, r"must be a vector, got shape \(2, 31\)"),
        ("AllMOS_release", {"AllMOS_release": np.array(["a"] * 31, object)}, "must hold real numbers"),
        ("AllMOS_release", {"AllMOS_release": np.ones((1, 31)) * 1j}, "must hold real numbers"),
        (
            "AllImages_release",
            {"AllImages_release": np.ones((31, 1))},
            r"entry 1 of AllImages_release must be a string",
        ),
        ("AllImages_release", {"AllImages_release": np.array([["a", 1.0]], object)}, "entry 2 of .* must be a string"),
    ],
)
def test_a_mat_file_with_other_content(clive, stem, content, message):
    scipy.io.savemat(clive.root / "Data" / f"{stem}.mat", content)
    with pytest.raises(DatasetError, match=message):
        load("live-challenge", clive.root)


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: str):
        self.trace = trace

    def __reduce__(self):
        return (os.mkdir, (self.trace,))


def test_nothing_is_unpickled(clive, tmp_path):
    trace = tmp_path / "trace"
    np.save(tmp_path / "trap.npy", np.array([Trap(str(trace))], dtype=object), allow_pickle=True)
    (tmp_path / "trap.npy").rename(clive.root / "Data" / "AllMOS_release.mat")
    with pytest.raises(DatasetError, match=r"AllMOS_release\.mat is not a readable MATLAB file"):
        load("live-challenge", clive.root)
    assert not trace.exists()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    cut=st.floats(0, 1), flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=4)
)
def test_a_damaged_mat_file_is_refused_or_read_as_a_vector(originals, tmp_path_factory, cut, flips):
    fake = originals["live-challenge"]
    good = (fake.root / "Data" / "AllMOS_release.mat").read_bytes()
    bad = bytearray(good[: max(1, int(cut * len(good)))])
    for place, bits in flips:
        bad[int(place * len(bad))] ^= bits
    path = tmp_path_factory.mktemp("damaged") / "AllMOS_release.mat"
    path.write_bytes(bytes(bad))
    try:
        vector = read_vector(path, "AllMOS_release")
    except DatasetError:
        return  # any other exception fails the test
    assert vector.ndim == 1
    assert vector.dtype == np.float64


# The real data


@pytest.fixture(scope="module")
def real(data_root):
    return data_root / "ChallengeDB_release", data_root / "liqe-labels"


@pytest.fixture(scope="module")
def official(real):
    read = {stem: scipy.io.loadmat(real[0] / "Data" / f"{stem}.mat")[stem].ravel() for stem in FILES}
    names = ["Images/" + cell.item() for cell in read["AllImages_release"]]
    return pd.DataFrame({"mos": read["AllMOS_release"], "std": read["AllStdDev_release"]}, index=names).iloc[7:]


def relative(dataset):
    return [Path(path).relative_to(dataset.root).as_posix() for path in dataset.records["image_path"]]


def test_real_scores_are_those_of_the_mat_files(real, official):
    dataset = load("live-challenge", real[0])
    assert len(dataset) == len(official) == dataset.card.size == 1162
    assert relative(dataset) == list(official.index)
    np.testing.assert_array_equal(dataset.records["mos"], official["mos"])
    np.testing.assert_array_equal(dataset.records["mos_std"], official["std"])
    np.testing.assert_allclose(dataset.records["quality"], 1 + official["mos"] / 25, rtol=0, atol=1e-12)
    assert all(Path(path).is_file() for path in dataset.records["image_path"])


@pytest.mark.parametrize("session", range(1, 11))
def test_real_sessions_equal_the_label_files_line_by_line(real, session):
    words = {"indoor scene": "indoor", "night scene": "night", "still-life": "still_life"}
    sizes = []
    for part in ("train", "val", "test"):
        dataset = load("live-challenge", real[0], labels=real[1], session=session, part=part)
        lines = set()
        for name, record in zip(relative(dataset), dataset, strict=True):
            scenes = [words.get(scene, scene) for scene in record.scenes]
            scenes += ["invalid"] * (3 - len(scenes))
            lines.add("\t".join([name, str(round(record.mos, 6)), record.distortion_name, *scenes]))
            assert record.distortion == distortion_class(record.distortion_name)
        base = real[1] / "IQA_Database" / "ChallengeDB_release" / "splits2" / str(session)
        assert lines == set((base / f"clive_{part}_clip.txt").read_text().splitlines())
        sizes.append(len(dataset))
    assert sizes == [813, 116, 233]


def test_real_sessions_agree_and_fill_all_rows(real):
    # Counted from the label files by another program (cut, sort, uniq -c).
    dataset = load("live-challenge", real[0], labels=real[1])
    assert Counter(dataset.records["distortion_name"]) == {
        "realistic blur": 499,
        "other realistic": 437,
        "underexposure": 105,
        "realistic noise": 62,
        "realistic contrast change": 30,
        "overexposure": 29,
    }
    assert Counter(scene for scenes in dataset.records["scenes"] for scene in scenes) == {
        "still-life": 366,
        "human": 351,
        "landscape": 235,
        "cityscape": 183,
        "indoor scene": 150,
        "plant": 147,
        "night scene": 145,
        "animal": 129,
        "others": 72,
    }


def test_real_identical_pictures_are_the_two_that_share_their_content(real):
    dataset = load("live-challenge", real[0])
    by_content = dataset.records.groupby("content")["image_path"].apply(list)
    assert [sorted(Path(p).name for p in paths) for paths in by_content if len(paths) > 1] == [["246.bmp", "333.bmp"]]
    by_pixels: dict[bytes, list[str]] = {}
    for path in dataset.records["image_path"]:
        with Image.open(path) as image:
            pixels = image.convert("RGB")
        by_pixels.setdefault(hashlib.sha256(pixels.tobytes()).digest(), []).append(Path(path).name)
    assert [sorted(names) for names in by_pixels.values() if len(names) > 1] == [["246.bmp", "333.bmp"]]


def test_real_twins_stand_on_both_sides_of_five_sessions(real):
    split = []
    for session in range(1, 11):
        records = load("live-challenge", real[0], labels=real[1], session=session).records
        if records.loc[records["content"] == "Images/246.bmp", "session_part"].nunique() > 1:
            split.append(session)
    assert split == [1, 2, 5, 6, 9]


def test_real_label_files_of_all_six_data_sets_parse(real):
    # Every line of every file, counted by wc -l in session 1.
    sizes = {"BID": 586, "CSIQ": 866, "ChallengeDB_release": 1162, "databaserelease2": 779, "kadid10k": 10125}
    sizes["koniq-10k"] = 10073
    for folder, size in sizes.items():
        files = sorted((real[1] / "IQA_Database" / folder / "splits2" / "1").glob("*_clip.txt"))
        labels = [label for file in files for label in read_liqe_labels(file)]
        assert len(labels) == len({label.image for label in labels}) == size
