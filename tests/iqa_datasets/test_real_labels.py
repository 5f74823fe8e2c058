"""Loaders on label files written from real names and scores, against LIQE's labels; needs IQA_DATA_ROOT."""

import csv
import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from iqa_datasets import load
from iqa_datasets.liqe import SESSIONS, read_liqe_labels
from iqa_datasets.loaders.live import FOLDERS, HIGHEST_DMOS

SCRIPT = Path(__file__).parents[2] / "packages" / "iqa-datasets" / "benchmarks" / "label_agreement.py"


@pytest.fixture(scope="module")
def agreement():
    specification = importlib.util.spec_from_file_location("label_agreement", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["label_agreement"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def trees(agreement, data_root, tmp_path_factory):
    """Official folders of KADID-10k, TID2013, CSIQ, LIVE and BID: real names and scores, and empty pictures."""
    roots = {}
    for comparison in agreement.COMPARISONS:
        if comparison.name in ("kadid-10k", "tid2013", "csiq", "live", "bid"):
            folder = tmp_path_factory.mktemp(comparison.name)
            roots[comparison.name] = agreement.build(comparison.name, comparison.images(data_root, Path()), folder)
    return roots


def liqe_scores(data_root, folder, prefix):
    labels = []
    for part in ("train", "val", "test"):
        labels += read_liqe_labels(
            data_root / "liqe-labels" / "IQA_Database" / folder / "splits2" / "1" / f"{prefix}_{part}_clip.txt"
        )
    return {label.image: label.score for label in labels}


@pytest.mark.parametrize(
    ("name", "rows", "types"), [("kadid-10k", 10125, 25), ("tid2013", 3000, 24), ("csiq", 866, 6), ("live", 779, 5)]
)
def test_every_row_has_its_type_and_level(trees, name, rows, types):
    records = load(name, trees[name]).records
    assert len(records) == rows
    assert records["distortion_name"].nunique() == types
    assert records["distortion"].notna().all()
    assert records["reference_path"].notna().all()
    if name in ("kadid-10k", "tid2013"):
        assert set(records["level"]) == {1, 2, 3, 4, 5}
        references = {"kadid-10k": 81, "tid2013": 25}[name]
        counts = records.groupby(["distortion_name", "level"]).size()
        assert (counts == references).all()
        assert len(counts) == types * 5


@pytest.mark.parametrize("name", ["kadid-10k", "csiq", "live", "bid"])
@pytest.mark.parametrize("session", [None, 1, 10])
def test_labels_agree_with_the_scores_and_the_distortions(trees, data_root, name, session):
    # Loading compares every score to the printed digits and every distortion, and raises where they differ.
    dataset = load(name, trees[name], labels=data_root / "liqe-labels", session=session)
    assert (dataset.records["scenes"].map(len) > 0).all()
    if session is not None:
        assert set(dataset.records["session_part"]) == {"train", "val", "test"}


@pytest.mark.parametrize("name", ["kadid-10k", "csiq", "live"])
def test_sessions_keep_each_reference_on_one_side(trees, data_root, name):
    for session in SESSIONS:
        records = load(name, trees[name], labels=data_root / "liqe-labels", session=session).records
        assert (records.groupby("content")["session_part"].nunique() == 1).all()


def test_kadid_scores(trees, data_root):
    by_name = {}
    with (data_root / "scores" / "vqmt_kadid10k.csv").open() as file:
        by_name = {row["dist_img"]: row for row in csv.DictReader(file)}
    for record in load("kadid-10k", trees["kadid-10k"]):
        row = by_name[Path(record.image_path).name]
        assert record.mos == float(row["dmos"])
        assert record.mos_std == float(row["var"])
        assert record.level == int(row["dst_lev"])
        assert Path(record.reference_path).name == row["ref_img"]


def test_kadid_var_is_a_standard_deviation(trees):
    # Whole marks x from 1 to 5 have a sum of squares that is whole, and even or odd as their sum is. Whatever "var" is,
    # it must lead to such a sum, within what its three decimals leave open.
    records = load("kadid-10k", trees["kadid-10k"]).records
    mean, printed, people = records["mos"].to_numpy(), records["mos_std"].to_numpy(), 30
    total = np.round(mean * people)
    usual = np.abs(total / people - mean) <= 0.005 + 1e-9
    assert usual.mean() > 0.95
    share = {}
    for reading, variance, slope in (("deviation", printed**2, 2 * printed), ("variance", printed, 1)):
        squares = people * variance + total**2 / people
        nearest = np.round((squares - total) / 2) * 2 + total
        share[reading] = np.mean((np.abs(squares - nearest) <= people * slope * 0.0005 + 1e-9)[usual])
    assert share["deviation"] > 0.98
    assert share["variance"] < 0.02


def test_tid2013_deviation_is_that_of_the_mean(trees):
    # As above: the first number of people whose mean is the MOS to its five decimals, and either reading of mos_std.
    records = load("tid2013", trees["tid2013"]).records
    mean, printed = records["mos"].to_numpy()[:, None], records["mos_std"].to_numpy()
    people = np.arange(25, 45)
    fits = np.abs(np.round(mean * people) / people - mean) <= 6e-6
    people, usual = people[fits.argmax(axis=1)], fits.any(axis=1)
    total = np.round(mean[:, 0] * people)
    share = {}
    for reading, scale in (("of the mean", people), ("of the ratings", 1)):
        squares = people * printed**2 * scale + total**2 / people
        nearest = np.round((squares - total) / 2) * 2 + total
        share[reading] = np.mean((np.abs(squares - nearest) <= people * scale * 2 * printed * 5.5e-6 + 1e-6)[usual])
    assert usual.mean() > 0.95
    assert share["of the mean"] > 0.7
    assert share["of the ratings"] < 0.02


def test_csiq_labels_are_one_minus_dmos(trees, data_root):
    printed = liqe_scores(data_root, "CSIQ", "csiq")
    for record in load("csiq", trees["csiq"]):
        file = Path(record.image_path).relative_to(trees["csiq"]).as_posix()
        assert printed[file] == pytest.approx(1 - record.mos, abs=0.5e-3 + 1e-12)
        assert record.quality == pytest.approx(1 + 4 * (1 - record.mos))


def test_live_labels_are_the_highest_dmos_minus_dmos(trees, data_root):
    records = load("live", trees["live"]).records
    assert records["mos"].max() == HIGHEST_DMOS
    printed = liqe_scores(data_root, "databaserelease2", "live")
    for path, mos in zip(records["image_path"], records["mos"], strict=True):
        file = Path(path).relative_to(trees["live"]).as_posix()
        assert printed[file] == pytest.approx(HIGHEST_DMOS - mos, abs=0.5e-6 + 1e-12)


def test_live_fast_fading_is_not_white_noise(trees, data_root):
    records = load("live", trees["live"], labels=data_root / "liqe-labels").records
    assert Counter(records["distortion_name"]) == {"jp2k": 169, "jpeg": 175, "wn": 145, "gblur": 145, "fastfading": 145}
    fading = records[records["distortion_name"] == "fastfading"]
    assert set(fading["distortion"]) == {"JPEG2000 compression"}
    assert all(Path(path).parent.name == "fastfading" for path in fading["image_path"])


def test_live_whole_with_its_copies_of_references(agreement, data_root, tmp_path):
    # The vectors as they are distributed: 982 positions, of which 203 are copies of references.
    distorted = {image.file: image for image in agreement.live_images(data_root, Path())}
    files = [f"{kind}/img{number}.bmp" for kind, count in FOLDERS.items() for number in range(1, count + 1)]
    assert set(distorted) < set(files)
    references = np.empty((1, 982), dtype=object)
    references[0] = [distorted[file].reference.split("/")[1] if file in distorted else "ocean.bmp" for file in files]
    root = tmp_path / "databaserelease2"
    for file in [*files, *(image.reference for image in distorted.values())]:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    scipy.io.savemat(root / "refnames_all.mat", {"refnames_all": references})
    values = {
        "dmos_new": [[distorted[file].score if file in distorted else 0.0 for file in files]],
        "dmos_std": [[distorted[file].std if file in distorted else 0.0 for file in files]],
        "orgs": [[int(file not in distorted) for file in files]],
    }
    scipy.io.savemat(root / "dmos_realigned.mat", values)
    records = load("live", root, labels=data_root / "liqe-labels", session=3).records
    assert len(records) == 779
    assert records["content"].nunique() == 29

    # Release 2 without its realigned scores.
    scipy.io.savemat(root / "dmos.mat", {"dmos": np.clip(values["dmos_new"], 0, 100), "orgs": values["orgs"]})
    (root / "dmos_realigned.mat").unlink()
    with pytest.warns(UserWarning, match=r"no dmos_realigned\.mat; the scores of dmos\.mat are not comparable"):
        records = load("live", root).records
    assert len(records) == 779
    assert records["mos_std"].isna().all()


def test_koniq_labels_went_through_single_precision(data_root, tmp_path, agreement):
    # Real means such as 402/105 in full, against LIQE's six digits of their single precision.
    images = agreement.liqe_images("koniq-10k", data_root, Path())
    totals = np.arange(30, 3000)
    full = []
    for image in images:
        means = np.round(image.score * totals) / totals
        fits = np.flatnonzero(np.abs(means.astype(np.float32).astype(np.float64) - image.score) <= 0.5e-6 + 1e-12)
        full.append(agreement.replace(image, score=float(means[fits[0]]), ratings=int(totals[fits[0]])))
    root = agreement.build("koniq-10k", full, tmp_path)
    dataset = load("koniq-10k", root, labels=data_root / "liqe-labels")
    assert len(dataset) == 10073
    off = np.abs(dataset.records["mos"].to_numpy() - [image.score for image in images])
    assert off.max() > 0.5e-6


def test_the_script_runs(agreement, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["label_agreement.py", "--quick"])
    agreement.main()
    assert capsys.readouterr().out.splitlines() == [
        "kadid-10k, made up: 12 the same",
        "live, made up: 12 the same",
        "pipal, made up: 12 the same",
    ]
