import csv
import re

import openpyxl
import pandas as pd
import pytest
import xlwt

import iqa_datasets
from iqa_datasets import DatasetError, FolderDeclaration, QualityScale, load, load_folder, verify
from iqa_datasets.loaders.folder import read_declaration
from iqa_datasets.testing import FakeDataset


@pytest.fixture
def own(copied) -> FakeDataset:
    return copied("folder")


DECLARATION = FolderDeclaration(
    labels="labels.csv",
    images="photos",
    references="originals",
    scene_separator=";",
    image="file",
    score="mos",
    scale=QualityScale(1, 5),
    std="sd",
    ratings="votes",
    reference="original",
    distortion="fault",
    level="step",
    scenes="scene",
    part="split",
    distortions={"soft": "gaussian blur", "grainy": "noise"},
)


def declare(own: FakeDataset, old: str, new: str) -> None:
    """Replace a line of the declaration, or add one."""
    file = own.root / "iqa-dataset.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def set_cell(own: FakeDataset, line: int, column: str, value: str) -> None:
    file = own.root / "labels.csv"
    rows = list(csv.reader(file.open()))
    rows[line - 1][rows[0].index(column)] = value
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def refused(own: FakeDataset, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load("folder", own.root)
    assert str(own.root) in str(caught.value)


def test_card_is_made_from_the_declaration(own):
    card = load("folder", own.root).card
    assert card.name == "folder"
    assert card.title == "Made-up photographs"
    assert str(card.scale) == "1 to 5, higher = better"
    assert card.official_session
    assert card.kind == "synthetic"
    assert iqa_datasets.info("folder").scale is None


def test_column_of_parts_is_the_official_session(own):
    parts = load("folder", own.root, session="official").records["session_part"]
    assert parts.tolist() == [image.part for image in own.images]
    test = load("folder", own.root, session="official", part="test")
    assert set(test.records["session_part"]) == {"test"}
    declare(own, 'part = "split"\n', "")
    with pytest.raises(DatasetError, match="publish no split"):
        load("folder", own.root, session="official")


def test_seeded_session_keeps_references_together(own):
    records = load("folder", own.root, session="seeded-1").records
    assert (records.groupby("content")["session_part"].nunique() == 1).all()


def test_declared_in_python_is_the_same(own):
    expected = load("folder", own.root)
    (own.root / "iqa-dataset.toml").unlink()
    dataset = load_folder(own.root, DECLARATION)
    pd.testing.assert_frame_equal(dataset.records, expected.records)
    assert len(load_folder(own.root, DECLARATION, session="official", part="train")) > 0
    assert load_folder(own.root, DECLARATION, session="seeded-2").session == "seeded-2"
    with pytest.raises(DatasetError, match="LIQE has no label files for a folder of one's own"):
        load_folder(own.root, DECLARATION, session=3)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load_folder(own.root / "nowhere", DECLARATION)


def test_a_table_may_lie_elsewhere(own, tmp_path):
    expected = load_folder(own.root, DECLARATION)
    table = tmp_path / "elsewhere.csv"
    (own.root / "labels.csv").rename(table)
    pd.testing.assert_frame_equal(load_folder(own.root, DECLARATION, table=table).records, expected.records)
    table.write_text(table.read_text().replace(",", ",x", 1))
    with pytest.raises(DatasetError, match=r"elsewhere\.csv has no column 'mos'"):
        load_folder(own.root, DECLARATION, table=table)
    with pytest.raises(FileNotFoundError, match=r"gone\.csv is missing"):
        load_folder(own.root, DECLARATION, table=tmp_path / "gone.csv")


def test_least_that_must_be_declared(own):
    (own.root / "iqa-dataset.toml").write_text('labels = "labels.csv"\nimages = "photos"\n[columns]\nimage = "file"\n')
    dataset = load("folder", own.root)
    assert dataset.card.scale is None
    assert dataset.records["mos"].isna().all()
    assert dataset.records["distortion"].isna().all()
    assert dataset.records["content"].tolist() == [image.file for image in own.images]
    assert verify("folder", own.root, workers=1).ok


def test_lower_can_be_better(own):
    before = load("folder", own.root).records
    declare(own, 'better = "higher"', 'better = "lower"')
    after = load("folder", own.root).records
    assert (after["mos"] == before["mos"]).all()
    assert after["quality"].tolist() == pytest.approx((6 - before["quality"]).tolist())


def test_content_of_ones_own(own):
    rows = list(csv.reader((own.root / "labels.csv").open()))
    # Two references show the one place, and all others the other.
    places = ["park" if row[0].startswith(("01", "02")) else "street" for row in rows[1:]]
    lines = [[*row, place] for row, place in zip(rows, ["place", *places], strict=True)]
    with (own.root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(lines)
    declare(own, 'part = "split"', 'part = "split"\ncontent = "place"')
    records = load("folder", own.root).records
    assert records["content"].tolist() == places
    assert set(places) == {"park", "street"}
    assert records["reference_path"].nunique() > 2
    with (own.root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([lines[0], *([*line[:-1], str(n)] for n, line in enumerate(lines[1:]))])
    with pytest.raises(DatasetError, match="images of one reference must have one content"):
        load("folder", own.root)


@pytest.mark.parametrize("suffix", [".tsv", ".xlsx", ".xls", ".csv"])
def test_tables_of_other_kinds(own, suffix):
    expected = load("folder", own.root)
    rows = list(csv.reader((own.root / "labels.csv").open()))
    (own.root / "labels.csv").unlink()
    table = own.root / f"scores{suffix}"
    if suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append([float(cell) if re.fullmatch(r"[\d.]+", cell) else cell for cell in row])
        book.save(table)
    elif suffix == ".xls":
        old = xlwt.Workbook()
        sheet = old.add_sheet("Sheet1")
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write(number, column, float(cell) if re.fullmatch(r"[\d.]+", cell) else cell)
        old.save(table)
    else:
        separator = "\t" if suffix == ".tsv" else ";"
        table.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    extra = 'separator = ";"\n' if suffix == ".csv" else ""
    declare(own, 'labels = "labels.csv"\n', f'labels = "{table.name}"\n{extra}')
    pd.testing.assert_frame_equal(load("folder", own.root).records, expected.records)


def test_parts_in_the_words_of_others(own):
    expected = load("folder", own.root, session="official").records["session_part"]
    words = {"train": "training", "val": "Validation", "test": "TEST"}
    for row, image in enumerate(own.images):
        set_cell(own, row + 2, "split", words[image.part])
    assert load("folder", own.root, session="official").records["session_part"].tolist() == expected.tolist()
    set_cell(own, 3, "split", "2")
    with pytest.raises(DatasetError, match="line 3: split must be one of train, val, test, or empty, got '2'"):
        load("folder", own.root)


def test_several_folders_each_by_its_name(own, tmp_path):
    first = load("folder", own.root, session="seeded-1", alias="holiday")
    second = load_folder(own.root, read_declaration(own.root), session="official", alias="studio")
    assert (first.name, second.name) == ("holiday", "studio")
    assert first.card.title == second.card.title == "Made-up photographs"
    assert load_folder(own.root, read_declaration(own.root)).name == "folder"


def test_empty_cells_are_missing_values(own):
    for column in ("sd", "votes", "original", "fault", "step", "scene", "split"):
        set_cell(own, 2, column, "")
    record = load("folder", own.root, session="official")[0]
    assert record.mos is not None
    for name in ("mos_std", "ratings", "reference_path", "distortion", "distortion_name", "level", "session_part"):
        assert getattr(record, name) is None
    assert record.scenes == ()
    assert record.content == own.images[0].file


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("file", "", "line 3: file is empty"),
        ("file", "../outside.png", r"line 3: file must be a path inside the folder: .* leads outside"),
        ("file", "/etc/passwd.png", "line 3: file must be .* leads outside"),
        ("file", "sub\\a.png", "line 3: file must be .* has a backslash"),
        ("original", "../outside.png", "line 3: original must be a path inside the folder"),
        ("mos", "5.2", r"line 3: mos is 5.2, outside the documented range \[1, 5\], which the declaration states"),
        ("sd", "-1", "line 3: sd must be a number from 0 on, got -1"),
        ("sd", "wide", "line 3: sd must be a finite number"),
        ("votes", "2.5", "line 3: votes must be a whole number from 1 on, got 2.5"),
        ("votes", "0", "line 3: votes must be a whole number from 1 on, got 0"),
        ("step", "mild", "line 3: step must be a finite number"),
        ("fault", "grany", "line 3: distortion is 'grany', which is none of .* did you mean 'grainy'"),
        ("scene", "plants", "line 3: unknown scene 'plants'; did you mean 'plant'"),
        ("scene", "plant; plant", "line 3: a scene is named twice"),
        ("split", "practice", "line 3: split must be one of train, val, test, or empty, got 'practice'"),
    ],
)
def test_wrong_cell_is_named(own, column, value, message):
    set_cell(own, 3, column, value)
    refused(own, message)


def test_two_scenes(own):
    set_cell(own, 2, "scene", "plant; animal")
    assert load("folder", own.root)[0].scenes == ("plant", "animal")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('labels = "labels.csv"\n', "", "labels is missing; it names the table of labels"),
        ('labels = "labels.csv"', "labels = 3", "labels must be a text in quotes, got 3"),
        ('labels = "labels.csv"', 'labels = "labels.dat"', r"labels must end in one of \.csv, \.tsv, \.xls, \.xlsx"),
        (
            'labels = "labels.csv"',
            'labels = "../labels.csv"',
            "labels must be relative to the folder: .* leads outside",
        ),
        ('images = "photos"', 'image = "photos"', "unknown key 'image'; did you mean 'images'"),
        ('images = "photos"', 'images = "/photos"', "images must be relative to the folder"),
        ('image = "file"\n', "", "image is missing; it names the column of images"),
        ('image = "file"', 'image = "name"', "has no column 'name'"),
        ('score = "mos"', 'scores = "mos"', r"\[columns\]: unknown key 'scores'; did you mean 'score'"),
        ('score = "mos"\n', "", "scale is given without score"),
        ('scene_separator = ";"', 'scene_separator = ""', "scene_separator must not be empty"),
        ('scene_separator = ";"', 'separator = ";;"', "separator must be one character"),
        ('scene_separator = ";"', 'sheet = "one"', "sheet belongs to a workbook"),
        ("low = 1\n", "", r"\[score\]: low is missing"),
        ("low = 1", "low = true", r"\[score\]: low and high must be numbers"),
        ("low = 1", "low = 5", r"\[score\]: a quality scale needs finite low < high"),
        ("low = 1", "lowest = 1", r"\[score\]: unknown key 'lowest'"),
        ('better = "higher"', 'better = "up"', r"\[score\]: better must be \"higher\" or \"lower\", got 'up'"),
        ('"grainy" = "noise"', '"grainy" = "noises"', "distortions: 'grainy' stands for 'noises', which is none of"),
        ('"grainy" = "noise"', '"grainy" = 4', r"\[distortions\]: grainy must be a text in quotes"),
        ("[score]", "[scores]", "unknown key 'scores'; did you mean 'score'"),
        ("[columns]", "[columns", "is not a TOML file"),
    ],
)
def test_wrong_key_is_named(own, old, new, message):
    declare(own, old, new)
    refused(own, message)


def test_table_in_place_of_a_value(own):
    (own.root / "iqa-dataset.toml").write_text('labels = "labels.csv"\ncolumns = "file"\n')
    refused(own, r"columns must be a table, \[columns\], got 'file'")


def test_no_score_declared_in_python():
    with pytest.raises(DatasetError, match="score is given without scale: a column of scores needs"):
        FolderDeclaration(labels="a.csv", image="file", score="mos")
    with pytest.raises(DatasetError, match="std and ratings belong to scores"):
        FolderDeclaration(labels="a.csv", image="file", std="sd")
    with pytest.raises(DatasetError, match="image must not be empty"):
        FolderDeclaration(labels="a.csv", image=" ")


def test_images_beside_the_table(tmp_path, own):
    for image in own.images:
        (own.root / image.file).rename(own.root / image.file.split("/")[1])
    declare(own, 'images = "photos"\n', "")
    assert len(load("folder", own.root)) == len(own.images)
