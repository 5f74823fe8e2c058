"""The layouts that people have: labels from the package pyiqa, re-uploads with other label files, nested archives."""

import csv
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import openpyxl
import pandas as pd
import pytest

from iqa_datasets import DatasetError, load, verify
from iqa_datasets.testing import FakeDataset


def read_excel(path: Path) -> pd.DataFrame:
    title, *rows = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    return pd.DataFrame(rows, columns=title)


def write_csv(path: Path, title: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([title, *rows])


def base(path: str | None) -> str:
    return PurePosixPath(path or "").name


def koniq(fake: FakeDataset, path: Path) -> list[str]:
    """As pyiqa makes it of the file of the split: the scores are on its scale from 1 to 100."""
    table = pd.read_csv(fake.root / "koniq10k_distributions_sets.csv")
    sets = table["set"].map({"training": "train", "validation": "val", "test": "test"})
    counts = [f"c{mark}" for mark in range(1, 6)]
    rows = table.assign(img_name=table["image_name"], mos=table["MOS"], std=table["SD"], split=sets)
    write_csv(
        path,
        ["img_name", "mos", "std", "split", *counts, "c_total"],
        rows[["img_name", "mos", "std", "split", *counts, "c_total"]].to_numpy().tolist(),
    )
    return ["koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv"]


def kadid(fake: FakeDataset, path: Path) -> list[str]:
    rows = [(base(image.reference), base(image.file), image.score, image.std) for image in fake.images]
    write_csv(path, ["ref_name", "dist_name", "mos", "std"], rows)
    return ["dmos.csv"]


def tampere(fake: FakeDataset, path: Path) -> list[str]:
    kadid(fake, path)
    return ["mos_with_names.txt", "mos_std.txt"]


def csiq(fake: FakeDataset, path: Path) -> list[str]:
    write_csv(
        path,
        ["ref_name", "dist_name", "dmos"],
        [(base(image.reference), base(image.file), image.score) for image in fake.images],
    )
    return ["csiq.DMOS.xlsx"]


def live_challenge(fake: FakeDataset, path: Path) -> list[str]:
    training = [(f"t{number}.bmp", 50, 10) for number in range(1, 8)]
    rated = [(base(image.file), image.score, image.std) for image in fake.images]
    write_csv(path, ["img_name", "mos", "std"], [*training, *rated])
    return ["Data/AllImages_release.mat", "Data/AllMOS_release.mat", "Data/AllStdDev_release.mat"]


def spaq(fake: FakeDataset, path: Path) -> list[str]:
    scores = read_excel(fake.root / "Annotations" / "MOS and Image attribute scores.xlsx")
    scenes = read_excel(fake.root / "Annotations" / "Scene category labels.xlsx").drop(columns="Image name")
    joined = pd.concat([scores, scenes, pd.DataFrame({"Make": ["A, B"] * len(scores), "Time0": None})], axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    joined.to_csv(path, index=False)
    return ["Annotations/MOS and Image attribute scores.xlsx", "Annotations/Scene category labels.xlsx"]


def pipal(fake: FakeDataset, path: Path) -> list[str]:
    rows = [(base(image.reference), base(image.file), image.score) for image in fake.images]
    write_csv(path, ["hq_name", "dist_name", "elo_score"], rows)
    return [str(file.relative_to(fake.root)) for file in fake.root.glob("Train_Label/*.txt")]


PYIQA: dict[str, tuple[str, Callable[[FakeDataset, Path], list[str]]]] = {
    "koniq-10k": ("KonIQ10k", koniq),
    "kadid-10k": ("KADID10k", kadid),
    "tid2013": ("TID2013", tampere),
    "tid2008": ("TID2008", tampere),
    "csiq": ("CSIQ", csiq),
    "live-challenge": ("LIVEChallenge", live_challenge),
    "spaq": ("SPAQ", spaq),
    "pipal": ("PIPAL", pipal),
}


@pytest.mark.parametrize("name", PYIQA)
@pytest.mark.parametrize("place", ["", "meta_info", "../meta_info"])
def test_labels_of_pyiqa(copied, name, place):
    fake = copied(name)
    title, write = PYIQA[name]
    before = load(name, fake.root).records
    official = before.copy()
    path = (fake.root / place).resolve() / f"meta_info_{title}Dataset.csv"
    for file in write(fake, path):
        (fake.root / file).unlink()
    after = load(name, fake.root).records
    assert list(after["image_path"]) == list(official["image_path"])
    np.testing.assert_allclose(after["mos"], official["mos"], rtol=0, atol=1e-9)
    kept = [column for column in after if column not in ("mos", "quality", "mos_std")]
    pd.testing.assert_frame_equal(after[kept], official[kept])
    if name != "csiq":  # pyiqa's table of it has none
        np.testing.assert_allclose(after["mos_std"], official["mos_std"], rtol=0, atol=1e-9)
    assert verify(name, fake.root, workers=1).images == len(after)


def test_official_labels_come_first(copied):
    fake = copied("kadid-10k")
    before = load("kadid-10k", fake.root).records
    (fake.root / "meta_info_KADID10kDataset.csv").write_text("nothing\n")
    pd.testing.assert_frame_equal(load("kadid-10k", fake.root).records, before)


def test_split_of_pyiqa_is_the_official_session(copied):
    fake = copied("koniq-10k")
    before = load("koniq-10k", fake.root, session="official").records["session_part"]
    for file in koniq(fake, fake.root / "meta_info_KonIQ10kDataset.csv"):
        (fake.root / file).unlink()
    after = load("koniq-10k", fake.root, session="official").records["session_part"]
    assert after.tolist() == before.tolist()


def test_pyiqa_table_with_a_name_that_is_none(copied):
    for name, column in (("csiq", "dist_name"), ("pipal", "dist_name")):
        fake = copied(name)
        title, write = PYIQA[name]
        path = fake.root / f"meta_info_{title}Dataset.csv"
        for file in write(fake, path):
            (fake.root / file).unlink()
        lines = path.read_text().splitlines()
        lines[2] = "a.png,b.png,0.5"
        path.write_text("\n".join(lines))
        with pytest.raises(DatasetError, match=r"line 3: .* must be named like"):
            load(name, fake.root)
        assert column in lines[0]


# Copies by others


def test_kadid_with_the_label_file_of_a_reupload(copied):
    fake = copied("kadid-10k")
    before = load("kadid-10k", fake.root, labels=fake.labels).records
    table = pd.read_csv(fake.root / "dmos.csv")
    (fake.root / "dmos.csv").unlink()
    table.drop(columns="var").to_csv(fake.root / "kadid10k.csv", index=False)
    after = load("kadid-10k", fake.root, labels=fake.labels).records
    assert after["mos_std"].isna().all()
    pd.testing.assert_frame_equal(after.drop(columns="mos_std"), before.drop(columns="mos_std"))


def test_the_official_label_file_of_kadid_must_have_its_deviations(copied):
    fake = copied("kadid-10k")
    pd.read_csv(fake.root / "dmos.csv").drop(columns="var").to_csv(fake.root / "dmos.csv", index=False)
    with pytest.raises(DatasetError, match="has no column 'var'"):
        load("kadid-10k", fake.root)


def test_tid2013_with_the_label_file_of_a_reupload(copied):
    fake = copied("tid2013")
    before = load("tid2013", fake.root).records
    rows = [(base(image.file), image.score) for image in fake.images]
    for file in ("mos_with_names.txt", "mos_std.txt"):
        (fake.root / file).unlink()
    write_csv(fake.root / "mos.csv", ["image_id", "mean"], rows)
    after = load("tid2013", fake.root).records
    assert after["mos_std"].isna().all()
    pd.testing.assert_frame_equal(after.drop(columns="mos_std"), before.drop(columns="mos_std"))


@pytest.mark.parametrize("layout", ["512x384", "koniq10k_512x384", "koniq10k_512x384/512x384", "512x384/512x384"])
@pytest.mark.parametrize("nested", [False, True])
def test_koniq_at_half_size_as_people_unpack_it(copied, layout, nested):
    fake = copied("koniq-10k")
    before = load("koniq-10k", fake.root).records
    (fake.root / layout).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(fake.root / "1024x768", fake.root / layout)
    if nested:
        for file in ("koniq10k_scores_and_distributions", "koniq10k_distributions_sets"):
            (fake.root / file).mkdir()
            (fake.root / f"{file}.csv").rename(fake.root / file / f"{file}.csv")
    after = load("koniq-10k", fake.root, labels=fake.labels, session=1).records
    assert [Path(path).parent for path in after["image_path"]] == [fake.root / layout] * len(before)
    kept = [column for column in before if column in ("mos", "mos_std", "content") or column.startswith("ratings")]
    pd.testing.assert_frame_equal(after[kept], before[kept])


def test_a_jpeg_copy_of_a_data_set_is_refused_by_its_suffix(copied):
    fake = copied("kadid-10k")
    for path in (fake.root / "images").glob("*.png"):
        path.rename(path.with_suffix(".jpg"))
    with pytest.raises(FileNotFoundError, match=r"images holds \d+ of them as \.jpg, which are not the images that"):
        load("kadid-10k", fake.root)


# Columns of the data sets' own


def test_ratings_of_koniq_are_columns(copied):
    fake = copied("koniq-10k")
    records = load("koniq-10k", fake.root).records
    counts = records[[f"ratings_{mark}" for mark in range(1, 6)]]
    assert (counts.sum(axis=1) == records["ratings"]).all()
    mean = (counts.to_numpy() * np.arange(1, 6)).sum(axis=1) / counts.sum(axis=1)
    np.testing.assert_allclose(mean, records["mos"], rtol=0, atol=1e-9)


def test_attributes_of_spaq_are_columns(copied):
    fake = copied("spaq")
    dataset = load("spaq", fake.root)
    table = read_excel(fake.root / "Annotations" / "MOS and Image attribute scores.xlsx")
    for name in ("brightness", "colorfulness", "contrast", "noisiness", "sharpness"):
        assert dataset.records[name].tolist() == table[name.capitalize()].tolist()
        assert dataset[3].more[name] == table[name.capitalize()][3]
    assert dataset.records["brightness"].nunique() > 3


def test_cards_list_the_columns(originals):
    import iqa_datasets

    for name in iqa_datasets.available():
        dataset = load(name, originals[name].root)
        listed = [column for column, meaning in dataset.card.columns if meaning]
        assert listed == [column for column in dataset.records if column not in iqa_datasets.SCHEMA]


def test_flive_with_the_table_of_pyiqa(copied):
    fake = copied("flive")
    before = load("flive", fake.root, session="official").records
    numbers = {"train": 0, "val": 1, "test": 2}
    rows = [(image.file.removeprefix("database/"), image.score, numbers[image.part]) for image in fake.images]
    patches = [(f"patches/{base(name)}_patch_1.jpg", 50.0, 0) for name, _, _ in rows]
    for file in ("labels_image.csv", "labels640.csv", "labels=640_padded.csv"):
        (fake.root / file).unlink()
    path = fake.root / "meta_info_FLIVEDataset.csv"
    write_csv(path, ["img_name/patch_name", "mos", "split"], [*patches[:3], *rows, *patches[3:]])
    pd.testing.assert_frame_equal(load("flive", fake.root, session="official").records, before)
    path.write_text(path.read_text().replace(",2\n", ",3\n"))
    with pytest.raises(DatasetError, match="split must be 0, 1 or 2, got '3'"):
        load("flive", fake.root)


def test_photographs_of_flive_under_two_names_have_one_content(copied):
    fake = copied("flive")
    path = fake.root / "labels_image.csv"
    first, second = (image.file.removeprefix("database/") for image in fake.images[:2])
    for old, new in ((first, "voc_emotic_ava/JPEGImages__2008_1.jpg"), (second, "voc_emotic_ava/VOC2012__2008_1.jpg")):
        (fake.root / "database" / old).rename(fake.root / "database" / new)
        path.write_text(path.read_text().replace(old, new))
    records = load("flive", fake.root).records
    assert records["content"][0] == records["content"][1]
    assert records["content"].nunique() == len(records) - 1
