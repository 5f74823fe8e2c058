"""What is special about the label files and folders of single data sets."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pytest
import scipy.io
import xlwt

from iqa_datasets import DISTORTIONS, DatasetError, distortion_class, info, load, verify
from iqa_datasets.loaders import csiq, kadid_10k, koniq_10k, live, tampere, waterloo_exploration
from iqa_datasets.testing import layout_of


def edit(path, change):
    path.write_text(change(path.read_text()), encoding="utf-8")


def rewrite(fake, row, **values):
    images = list(fake.images)
    images[row] = replace(images[row], **values)
    layout_of(fake.name).write_labels(fake.root, images)


# Names and classes


def test_names_of_distortions_and_their_classes():
    assert [distortion_class(liqe) for _, liqe in kadid_10k.TYPES] == [
        *["blur"] * 3,
        *["color-related", "blur", "quantization", "color-related", "color-related"],
        *["JPEG2000 compression", "JPEG compression"],
        *["noise"] * 5,
        *["over-exposure", "under-exposure", "others"],
        *["spatially-localized"] * 3,
        *["quantization", "spatially-localized", "contrast", "contrast"],
    ]
    assert Counter(kind.distortion for kind in tampere.TYPES) == {
        "noise": 9,
        "blur": 1,
        "quantization": 2,
        "JPEG compression": 2,
        "JPEG2000 compression": 2,
        "spatially-localized": 2,
        "contrast": 1,
        "color-related": 2,
        "others": 3,
    }
    assert {distortion_class(liqe) for _, _, liqe in csiq.TYPES.values()} <= set(DISTORTIONS)
    assert {distortion for _, distortion in waterloo_exploration.TYPES.values()} <= set(DISTORTIONS)
    assert live._CLASSES["fastfading"] == live._CLASSES["jp2k"] == "JPEG2000 compression"


@pytest.mark.parametrize(
    ("name", "images", "references", "low", "high", "higher_is_better"),
    [
        ("live", 779, 29, -3, 112, False),
        ("csiq", 866, 30, 0, 1, False),
        ("kadid-10k", 10125, 81, 1, 5, True),
        ("bid", 586, None, 0, 5, True),
        ("koniq-10k", 10073, None, 1, 5, True),
        ("tid2013", 3000, 25, 0, 9, True),
        ("spaq", 11125, None, 0, 100, True),
        ("pipal", 23200, 200, 900, 1850, True),
    ],
)
def test_cards(name, images, references, low, high, higher_is_better):
    card = info(name)
    assert (card.size, card.references) == (images, references)
    assert (card.scale.low, card.scale.high, card.scale.higher_is_better) == (low, high, higher_is_better)


# LIVE


def test_live_vectors_of_different_length(copied):
    fake = copied("live")
    names = scipy.io.loadmat(fake.root / "refnames_all.mat")["refnames_all"]
    scipy.io.savemat(fake.root / "refnames_all.mat", {"refnames_all": names[:-1]})
    with pytest.raises(DatasetError, match=r"refnames_all\.mat has \d+ entries, but dmos_realigned\.mat has \d+"):
        load("live", fake.root)


def test_live_copies_of_references_are_no_rows(copied):
    fake = copied("live")
    records = load("live", fake.root).records
    assert not any(path.endswith("img1.bmp") for path in records["image_path"])
    (fake.root / "jpeg" / "img1.bmp").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks jpeg/img1\.bmp"):
        load("live", fake.root)


@pytest.mark.parametrize("mark", [float("nan"), 2])
def test_live_copies_of_references_must_be_marked(copied, mark):
    fake = copied("live")
    content = scipy.io.loadmat(fake.root / "dmos_realigned.mat")
    content["orgs"] = content["orgs"].astype(float)
    content["orgs"][0, 3] = mark
    scipy.io.savemat(fake.root / "dmos_realigned.mat", {k: v for k, v in content.items() if not k.startswith("__")})
    with pytest.raises(DatasetError, match=r"entry 4 of orgs must be 1 for a copy of a reference, else 0, got"):
        load("live", fake.root)


def test_live_part_without_its_list(copied):
    fake = copied("live")
    (fake.root / "wn" / "info.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"wn/info\.txt is missing"):
        load("live", fake.root)


def test_live_fast_fading_called_anything_else_by_liqe(copied):
    fake = copied("live")
    for file in fake.labels.rglob("*_clip.txt"):
        edit(file, lambda text: text.replace("\twhite noise\t", "\tfastfading\t"))
    with pytest.raises(DatasetError, match=r"'fastfading', but '(wn|fastfading)' in the data set itself, which these"):
        load("live", fake.root, labels=fake.labels)


# CSIQ


def test_csiq_pictures_that_were_not_rated(copied):
    fake = copied("csiq")
    folder = fake.root / "dst_imgs" / "contrast"
    folder.mkdir(exist_ok=True)
    unrated = folder / "redwood.contrast.5.png"
    unrated.write_bytes((fake.root / fake.images[0].file).read_bytes())
    assert len(load("csiq", fake.root)) == len(fake.images)
    (fake.root / "dst_imgs" / "jpeg" / "redwood.JPEG.5.png").write_bytes(unrated.read_bytes())
    with pytest.warns(UserWarning, match=r"redwood\.JPEG\.5\.png without a label"):
        assert len(load("csiq", fake.root)) == len(fake.images)
    assert [finding.kind for finding in verify("csiq", fake.root, workers=1).findings] == ["stray"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (6, "noises", "row 5: unknown dst_type 'noises'; did you mean 'noise'"),
        (7, 6, "row 5: dst_lev must be 1 to 5, got 6"),
        (7, 1.5, r"row 5: dst_lev must be 1 to 5, got 1\.5"),
        (4, None, "row 5: image is empty"),
    ],
)
def test_csiq_damaged_cells(copied, column, value, message):
    fake = copied("csiq")
    book = openpyxl.load_workbook(fake.root / "csiq.DMOS.xlsx")
    book["all_by_image"].cell(5, column).value = value
    book.save(fake.root / "csiq.DMOS.xlsx")
    with pytest.raises(DatasetError, match=message):
        load("csiq", fake.root)


def test_csiq_without_its_sheet(copied):
    fake = copied("csiq")
    book = openpyxl.load_workbook(fake.root / "csiq.DMOS.xlsx")
    del book["all_by_image"]
    book.save(fake.root / "csiq.DMOS.xlsx")
    with pytest.raises(DatasetError, match="has no sheet 'all_by_image'; known are all_by_distortion"):
        load("csiq", fake.root)


# KADID-10k


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",I01.png,", ",I02.png,", r"line 2: ref_img of I01_01_01\.png must be I01\.png, got 'I02\.png'"),
        ("I01_01_01.png", "I01_26_01.png", "line 2: dist_img must be named like I01_25_05.png, got 'I01_26_01.png'"),
        ("I01_01_01.png", "I01_01_06.png", "line 2: dist_img must be named like"),
        ("I01_01_01.png", "../I01_01_01.png", "line 2: dist_img must be named like"),
        ("dmos,var", "dmos,variance", "has no column 'var'"),
    ],
)
def test_kadid_damaged_lines(copied, old, new, message):
    fake = copied("kadid-10k")
    assert fake.images[0].file == "images/I01_01_01.png"
    edit(fake.root / "dmos.csv", lambda text: text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=message):
        load("kadid-10k", fake.root)


def test_kadid_case_of_a_reference_makes_no_other_content(copied):
    fake = copied("kadid-10k")
    before = load("kadid-10k", fake.root).records
    edit(fake.root / "dmos.csv", lambda text: text.replace(",I01.png,", ",i01.PNG,", 2))
    pd.testing.assert_frame_equal(load("kadid-10k", fake.root).records, before)


def test_kadid_deviation_is_the_column_called_var(copied):
    fake = copied("kadid-10k")
    deviations = [float(line.split(",")[3]) for line in (fake.root / "dmos.csv").read_text().splitlines()[1:]]
    np.testing.assert_array_equal(load("kadid-10k", fake.root).records["mos_std"], deviations)
    edit(fake.root / "dmos.csv", lambda text: text.replace(f",{deviations[1]!r}\n", ",-0.5\n"))
    with pytest.raises(DatasetError, match=r"line 3: var must be a number from 0 on, got -0\.5"):
        load("kadid-10k", fake.root)


# BID


def test_bid_pictures_beside_the_workbook(copied):
    fake = copied("bid")
    before = load("bid", fake.root, labels=fake.labels, session=1).records
    for path in (fake.root / "ImageDatabase").iterdir():
        path.rename(fake.root / path.name)
    (fake.root / "ImageDatabase").rmdir()
    after = load("bid", fake.root, labels=fake.labels, session=1).records
    assert [Path(path).parent for path in after["image_path"]] == [fake.root] * len(before)
    assert after.drop(columns="image_path").equals(before.drop(columns="image_path"))


def test_bid_workbook_in_the_old_format(copied):
    fake = copied("bid")
    before = load("bid", fake.root).records
    (fake.root / "DatabaseGrades.xlsx").unlink()
    old = xlwt.Workbook()
    sheet = old.add_sheet("Plan1")
    rows = [("Image Number", "Average Subjective Grade")]
    rows += [(int(image.file[-8:-4]), image.score) for image in fake.images]
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(number, column, value)
    old.save(fake.root / "DatabaseGrades.xls")
    pd.testing.assert_frame_equal(load("bid", fake.root).records, before)


# KonIQ-10k


def test_koniq_from_the_file_of_the_split_alone(copied):
    fake = copied("koniq-10k")
    before = load("koniq-10k", fake.root, session="official").records
    (fake.root / koniq_10k.SCORES).unlink()
    after = load("koniq-10k", fake.root, session="official").records
    np.testing.assert_allclose(after["mos"], before["mos"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(after["mos_std"], before["mos_std"], rtol=0, atol=1e-12)
    assert list(after["session_part"]) == list(before["session_part"])


def test_koniq_without_the_split(copied):
    fake = copied("koniq-10k")
    (fake.root / koniq_10k.SETS).unlink()
    assert load("koniq-10k", fake.root).records["session_part"].isna().all()
    with pytest.raises(FileNotFoundError, match=r"lacks the file with the authors' split of 'koniq-10k'; .*sets\.csv"):
        load("koniq-10k", fake.root, session="official")


def test_koniq_in_half_size(copied):
    fake = copied("koniq-10k")
    (fake.root / "1024x768").rename(fake.root / "512x384")
    records = load("koniq-10k", fake.root, labels=fake.labels, session=1).records
    assert all(Path(path).parent.name == "512x384" for path in records["image_path"])


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            koniq_10k.SETS,
            ",training\n",
            ",trains\n",
            "line 2: set must be one of train, val, test, or empty, got 'trains'",
        ),
        (koniq_10k.SETS, "10004473376.jpg", "1.jpg", r"sets\.csv has no row for 10004473376\.jpg"),
        (koniq_10k.SCORES, "c_total", "total", "has no column 'c_total'; did you mean 'total'"),
    ],
)
def test_koniq_damaged_files(copied, file, old, new, message):
    fake = copied("koniq-10k")
    edit(fake.root / file, lambda text: text.replace(old, new, 1))
    with pytest.raises(DatasetError, match=message):
        load("koniq-10k", fake.root)


def test_koniq_counts_that_do_not_add_up(copied):
    fake = copied("koniq-10k")
    (fake.root / koniq_10k.SCORES).unlink()
    edit(fake.root / koniq_10k.SETS, lambda text: re.sub(r"(376\.jpg),\d+", r"\1,1000", text))
    with pytest.raises(DatasetError, match="line 2: c1 to c5 must be counts that add up to c_total"):
        load("koniq-10k", fake.root)


@pytest.mark.parametrize("ratings", ["0", "2.5", "-3"])
def test_koniq_number_of_ratings(copied, ratings):
    fake = copied("koniq-10k")
    edit(fake.root / koniq_10k.SCORES, lambda text: re.sub(r"(376\.jpg(,\d+){5}),\d+", rf"\1,{ratings}", text))
    with pytest.raises(DatasetError, match=f"line 2: c_total must be a whole number from 1 on, got {ratings}"):
        load("koniq-10k", fake.root)


# TID2013


def test_tid2013_label_files_of_different_length(copied):
    fake = copied("tid2013")
    edit(fake.root / "mos_std.txt", lambda text: text + "0.1\n")
    with pytest.raises(DatasetError, match=r"mos_std\.txt has 13 entries, but mos_with_names\.txt has 12"):
        load("tid2013", fake.root)


@pytest.mark.parametrize("name", ["i01_25_1.bmp", "i01_01_6.bmp", "i01_00_1.bmp", "i1_01_1.bmp"])
def test_tid2013_unknown_names(copied, name):
    fake = copied("tid2013")
    rewrite(fake, 0, file=f"distorted_images/{name}")
    with pytest.raises(DatasetError, match=rf"line 1: a picture must be named like i01_24_5\.bmp, got '(?i:{name})'"):
        load("tid2013", fake.root)


# SPAQ


def test_spaq_scenes(copied):
    fake = copied("spaq")
    scenes = [record.scenes for record in load("spaq", fake.root)]
    assert all(len(found) == 1 for found in scenes)
    path = fake.root / "Annotations" / "Scene category labels.xlsx"
    book = openpyxl.load_workbook(path)
    for column in range(2, 11):
        book.active.cell(2, column).value = 1
    book.active.delete_rows(4)
    book.save(path)
    with pytest.raises(DatasetError, match=r"Scene category labels\.xlsx has no row for 00003\.jpg"):
        load("spaq", fake.root)
    book.active.cell(3, 1).value = book.active.cell(2, 1).value
    book.save(path)
    with pytest.raises(DatasetError, match=r"row 3: 00001\.jpg stands more than once"):
        load("spaq", fake.root)
    path.unlink()
    assert [record.scenes for record in load("spaq", fake.root)] == [()] * len(scenes)


# PIPAL


@pytest.mark.parametrize("together", ["Train_Dist", "dist_imgs"])
def test_pipal_pictures_in_one_folder(copied, together):
    fake = copied("pipal")
    for image in fake.images:
        path = fake.root / image.file
        (fake.root / together).mkdir(exist_ok=True)
        path.rename(fake.root / together / path.name)
    for number in range(1, 5):
        if (folder := fake.root / f"Distortion_{number}").is_dir():
            folder.rmdir()
    records = load("pipal", fake.root).records
    assert {Path(path).parent.name for path in records["image_path"]} == {together}


def test_pipal_picture_of_another_reference(copied):
    fake = copied("pipal")
    path = fake.root / "Train_Label" / "A0001.txt"
    edit(path, lambda text: text.replace("A0001_", "A0002_", 1))
    with pytest.raises(DatasetError, match=r"A0001\.txt, line 1: a picture must be named like A0001_06_00\.bmp, got"):
        load("pipal", fake.root)


# Waterloo Exploration


def test_waterloo_reads_what_is_there(copied):
    fake = copied("waterloo-exploration")
    pristine = [image for image in fake.images if image.reference is None]
    for image in fake.images:
        if image.reference is not None:
            path = fake.root / image.file
            path.rename(path.parents[1] / path.name)
    for folder in (fake.root / "distorted_images").iterdir():
        if folder.is_dir():
            folder.rmdir()
    flat = load("waterloo-exploration", fake.root).records
    assert len(flat) == len(fake.images)
    assert flat["reference_path"].isna().sum() == len(pristine) == 3
    assert flat["content"].nunique() == 3
    for path in (fake.root / "distorted_images").iterdir():
        path.unlink()
    assert len(load("waterloo-exploration", fake.root)) == len(pristine)
    (fake.root / "pristine_images" / "00001.bmp").rename(fake.root / "pristine_images" / "first.bmp")
    with pytest.warns(UserWarning, match=r"holds pristine_images/first\.bmp without a label"):
        assert len(load("waterloo-exploration", fake.root)) == len(pristine) - 1
