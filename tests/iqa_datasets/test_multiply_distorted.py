"""What is particular to the data sets whose images have several distortions, and to those joined by position."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import xlwt

import iqa_datasets
from iqa_datasets import DatasetError, load
from iqa_datasets.testing.layouts import write_mat


@pytest.mark.parametrize("name", ["live-md", "mdid2013"])
def test_lower_is_better(copied, name):
    records = load(name, copied(name).root).records
    assert not iqa_datasets.info(name).scale.higher_is_better
    assert records["quality"].idxmax() == records["mos"].idxmin()


@pytest.mark.parametrize("name", ["tid2008", "vcl-fer", "cidiq-50cm", "cidiq-100cm", "mdid", "mdivl"])
def test_higher_is_better(copied, name):
    records = load(name, copied(name).root).records
    assert records["quality"].idxmax() == records["mos"].idxmax()


def test_class_of_images_with_one_and_with_two_distortions(copied):
    records = load("live-md", copied("live-md").root).records
    single = records["level"].notna()
    assert single.any()
    assert not single.all()
    assert set(records.loc[~single, "distortion"]) == {"others"}
    assert set(records.loc[~single, "distortion_name"]) == {"blur + jpeg", "blur + noise"}
    assert set(records.loc[single, "distortion_name"]) <= {"blur", "jpeg", "noise"}
    assert not (records.loc[single, "distortion"] == "others").any()


def test_parts_of_live_md_share_references(copied):
    fake = copied("live-md")
    records = load("live-md", fake.root).records
    second = records["image_path"].str.contains("Part 2")
    assert records.loc[second, "reference_path"].str.contains("Part 1").all()
    assert set(records.loc[second, "content"]) <= {image.reference.split("/")[-1] for image in fake.images}


@pytest.mark.parametrize("written", ["Part{}", "Part_{}"])
def test_parts_of_live_md_under_other_names(copied, written):
    fake = copied("live-md")
    before = load("live-md", fake.root).records
    for part in (1, 2):
        (fake.root / f"Part {part}").rename(fake.root / written.format(part))
    after = load("live-md", fake.root).records
    assert after["mos"].tolist() == before["mos"].tolist()
    assert after["image_path"].str.contains(written.format(2)).any()


@pytest.mark.parametrize("change", [lambda differences: differences + 0.5, lambda differences: differences[:, 1:]])
def test_ratings_of_live_md_that_are_not_those_of_the_scores(copied, change):
    fake = copied("live-md")
    file = fake.root / "Part 1" / "Scores.mat"
    scores = scipy.io.loadmat(file)
    write_mat(file, DMOSscores=scores["DMOSscores"], dist_diffscores=change(scores["dist_diffscores"]))
    records = load("live-md", fake.root).records
    first = records["image_path"].str.contains("Part 1")
    assert records.loc[first, "mos_std"].isna().all()
    assert records.loc[first, "ratings"].isna().all()
    assert (records.loc[~first, "ratings"] == 2).all()


def test_scores_of_live_md_without_ratings(copied):
    fake = copied("live-md")
    for part in (1, 2):
        file = fake.root / f"Part {part}" / "Scores.mat"
        write_mat(file, DMOSscores=scipy.io.loadmat(file)["DMOSscores"])
    assert load("live-md", fake.root).records["mos_std"].isna().all()


@pytest.mark.parametrize("image", ["nobody_blur1.bmp", "babygirl.bmp", "babygirl_blur1_jpeg1_noise1.bmp", "x.png"])
def test_unknown_image_of_live_md(copied, image):
    fake = copied("live-md")
    file = fake.root / "Part 1" / "Imagelists.mat"
    lists = scipy.io.loadmat(file)
    lists["distimgs"][0, 0] = image
    write_mat(file, **{name: lists[name] for name in ("distimgs", "refimgs", "ref4dist")})
    with pytest.raises(DatasetError, match=r"Imagelists\.mat: entry 1 of distimgs, .* must be REFERENCE_blurB"):
        load("live-md", fake.root)


@pytest.mark.parametrize(("name", "file"), [("mdid", "mos_std.txt"), ("tid2008", "mos_std.txt")])
def test_deviations_of_another_length(copied, name, file):
    fake = copied(name)
    lines = (fake.root / file).read_text().splitlines()
    (fake.root / file).write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DatasetError, match=rf"{file} has {len(lines) - 1} entries, .*joined by position"):
        load(name, fake.root)


def test_mdid_with_a_blank_line_is_not_shifted(copied):
    fake = copied("mdid")
    lines = (fake.root / "mos.txt").read_text().splitlines()
    (fake.root / "mos.txt").write_text("\n".join([*lines[:3], "", *lines[4:]]) + "\n")
    with pytest.raises(DatasetError, match="entries"):
        load("mdid", fake.root)


@pytest.mark.parametrize("name", ["mdid", "mdid2013"])
def test_as_many_images_for_each_reference(copied, name):
    fake = copied(name)
    records = load(name, fake.root).records
    assert records["content"].value_counts().nunique() == 1
    assert records["content"].is_monotonic_increasing


def test_references_of_mdid2013_in_a_folder_of_their_own(copied):
    fake = copied("mdid2013")
    (fake.root / "Ref").mkdir()
    for original in (fake.root / "MDID2013").glob("org*.png"):
        original.rename(fake.root / "Ref" / original.name)
    records = load("mdid2013", fake.root).records
    assert records["reference_path"].str.contains("Ref").all()
    assert records["content"].str.startswith("org").all()


def test_folder_of_cidiq_without_any_score(copied):
    fake = copied("cidiq-50cm")
    stray = fake.root / "Images" / "Reproduction" / "6_DeltaE_Gamut_Mapping" / "final01_d6_l1.bmp"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"")
    with pytest.raises(
        DatasetError,
        match=r"MOS50\.mat has 12 entries, but there are 13 images, such as 6_DeltaE_Gamut_Mapping/final01",
    ):
        load("cidiq-50cm", fake.root)


def test_more_scores_than_cidiq_has_images(copied):
    fake = copied("cidiq-100cm")
    write_mat(fake.root / "MOS100.mat", MOS100=np.full((91, 1), 5.0))
    with pytest.raises(DatasetError, match=r"has 91 entries, but 3 references .* make 90 images"):
        load("cidiq-100cm", fake.root)


def test_both_distances_of_cidiq_in_one_folder(copied):
    fake = copied("cidiq-50cm")
    near = load("cidiq-50cm", fake.root).records
    write_mat(fake.root / "MOS100.mat", MOS100=[float(score) + 0.25 for score in near["mos"]])
    far = load("cidiq-100cm", fake.root).records
    assert (far["mos"] - near["mos"]).tolist() == pytest.approx([0.25] * len(near))
    assert far["image_path"].tolist() == near["image_path"].tolist()


# Score tables that circulate in several formats


def test_score_tables_of_vcl_fer(copied):
    fake = copied("vcl-fer")
    before = load("vcl-fer", fake.root).records
    (fake.root / "results.xlsx").unlink()
    names = [image.file.split("/")[1] for image in fake.images]
    stems, scores = [name.split(".")[0] for name in names], [image.score for image in fake.images]

    write_mat(fake.root / "VCL_FER.mat", Names=stems, mos=scores)
    assert load("vcl-fer", fake.root).records["mos"].tolist() == before["mos"].tolist()
    (fake.root / "VCL_FER.mat").unlink()

    rows = (
        f"VCLFER/vcl_fer/{name},x,VCLFER/Ref_Images/a.bmp,{score}" for name, score in zip(names, scores, strict=True)
    )
    (fake.root / "VCLFER.txt").write_text("\n".join(["dis_img_path,dis_type,ref_img_path,score", *rows]))
    assert load("vcl-fer", fake.root).records["mos"].tolist() == before["mos"].tolist()

    deviations = [f"{name},{score},0.5" for name, score in zip(stems, scores, strict=True)]
    (fake.root / "results.csv").write_text("\n".join(["Image,MOS,Std", *deviations]))
    assert load("vcl-fer", fake.root).records["mos_std"].tolist() == [0.5] * len(stems)


def test_workbook_in_the_old_format(copied):
    fake = copied("vcl-fer")
    before = load("vcl-fer", fake.root).records
    (fake.root / "results.xlsx").unlink()
    old = xlwt.Workbook()
    sheet = old.add_sheet("MOS")
    rows = [("Image", "MOS"), *((Path(image.file).stem, image.score) for image in fake.images)]
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(number, column, value)
    old.save(fake.root / "results.xls")
    pd.testing.assert_frame_equal(load("vcl-fer", fake.root).records, before)


def test_score_table_without_titles(copied):
    fake = copied("mdivl")
    (fake.root / "MDIVL.xlsx").unlink()
    (fake.root / "MDIVL.csv").write_text("picture,mos\na,1\n")
    with pytest.raises(DatasetError, match=r"MDIVL\.csv must have a column titled image or name .* has picture, mos"):
        load("mdivl", fake.root)
    write_mat(fake.root / "MDIVL.mat", Names=["a", "b"], mos=[1.0])
    (fake.root / "MDIVL.csv").unlink()
    with pytest.raises(DatasetError, match=r"Names has 2 entries, mos has 1; they are joined by position"):
        load("mdivl", fake.root)


@pytest.mark.parametrize(
    ("name", "table", "message"),
    [
        ("vcl-fer", "results.csv", "must be IMG_RR_TTT_L"),
        ("mdivl", "MDIVL.csv", "must be REFERENCE_blur_STRENGTH_jpg_QUALITY"),
    ],
)
def test_unknown_image(copied, name, table, message):
    fake = copied(name)
    next(fake.root.glob("*.xlsx")).unlink()
    (fake.root / table).write_text("image,mos\nIMG_01_FOG_1.bmp,5\n")
    with pytest.raises(DatasetError, match=f"image 'IMG_01_FOG_1.bmp' {message}"):
        load(name, fake.root)


# KADIS-700k


def test_kadis_has_five_levels_of_one_distortion_for_each_reference(copied):
    records = load("kadis-700k", copied("kadis-700k").root).records
    assert records["mos"].isna().all()
    for _, rows in records.groupby("content"):
        assert rows["level"].tolist() == [1, 2, 3, 4, 5]
        assert rows["distortion_name"].nunique() == rows["distortion"].nunique() == 1


@pytest.mark.parametrize("left", ["folder", "nothing"])
def test_kadis_that_was_not_generated(copied, left):
    fake = copied("kadis-700k")
    for image in fake.images:
        (fake.root / image.file).unlink()
    if left == "nothing":
        (fake.root / "dist_imgs").rmdir()
    with pytest.raises(FileNotFoundError, match=r"holds no images: .* run the authors' generate_kadis700k\.m"):
        load("kadis-700k", fake.root)


@pytest.mark.parametrize("number", ["0", "26", "1.5", "x"])
def test_kadis_with_an_unknown_distortion(copied, number):
    fake = copied("kadis-700k")
    file = fake.root / "kadis700k_ref_imgs.csv"
    lines = file.read_text().splitlines()
    name, _, second = lines[1].split(",")
    file.write_text("\n".join([lines[0], f"{name},{number},{second}", *lines[2:]]))
    with pytest.raises(DatasetError, match=r"line 2: dist_type_1 must be a (whole|finite) number"):
        load("kadis-700k", fake.root)


def test_kadis_with_a_reference_twice(copied):
    fake = copied("kadis-700k")
    file = fake.root / "kadis700k_ref_imgs.csv"
    file.write_text(file.read_text() + file.read_text().splitlines()[1] + "\n")
    with pytest.raises(DatasetError, match="more than once"):
        load("kadis-700k", fake.root)


def test_ratings_of_live_md_that_are_no_numbers(copied):
    fake = copied("live-md")
    file = fake.root / "Part 1" / "Scores.mat"
    write_mat(file, DMOSscores=scipy.io.loadmat(file)["DMOSscores"], dist_diffscores=["none"])
    with pytest.raises(DatasetError, match=r"dist_diffscores must be a matrix of real numbers"):
        load("live-md", fake.root)
