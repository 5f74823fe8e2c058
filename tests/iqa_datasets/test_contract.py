"""What every loader must do, on the made-up copy of its data set."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import iqa_datasets
from iqa_datasets import DISTORTIONS, PARTS, SCENES, SCHEMA, DatasetError, Record, load
from iqa_datasets.testing import FakeDataset

SESSIONS = range(1, 11)


def label_files(fake: FakeDataset, session: int) -> list[Path]:
    folders = [p for p in fake.labels.glob("IQA_Database/*/splits2/*") if p.name == str(session)]
    return sorted(file for folder in folders for file in folder.glob("*_clip.txt"))


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def images(fake: FakeDataset) -> list[Path]:
    return [Path(record.image_path) for record in load(fake.name, fake.root)]


def edit_line(file: Path, number: int, **fields: str) -> str:
    """Replace fields of a label line (numbered from 1) and return the line's image."""
    names = ("image", "score", "distortion", "scene1", "scene2", "scene3")
    lines = file.read_text().splitlines()
    values = dict(zip(names, lines[number - 1].split("\t"), strict=True))
    lines[number - 1] = "\t".join({**values, **fields}.values())
    file.write_text("\n".join(lines) + "\n")
    return values["image"]


# The table


def test_without_labels(fake):
    dataset = load(fake.name, fake.root)
    card = iqa_datasets.info(fake.name)
    records = dataset.records
    assert dataset.name == fake.name
    assert dataset.card is card
    assert dataset.root == fake.root
    assert list(records.columns) == list(SCHEMA)
    assert list(records.index) == list(range(len(dataset)))
    for path in records["image_path"]:
        with Image.open(path) as image:
            image.load()
    if card.scale is not None:
        assert records["mos"].between(card.scale.low, card.scale.high).all()
        best = records["mos"].idxmax() if card.scale.higher_is_better else records["mos"].idxmin()
        assert records["quality"].idxmax() == best
        assert records["quality"].between(1, 5).all()
    assert records["content"].notna().all()
    assert records["session_part"].isna().all()


@pytest.mark.parametrize("session", [None, *SESSIONS])
def test_labels_fill_scenes_and_distortions(fake, session):
    plain, labelled = load(fake.name, fake.root), load(fake.name, fake.root, labels=fake.labels, session=session)
    untouched = ["image_path", "reference_path", "mos", "mos_std", "ratings", "quality", "level", "content"]
    pd.testing.assert_frame_equal(plain.records[untouched], labelled.records[untouched])
    assert labelled.records["distortion"].notna().all()
    assert labelled.records["distortion_name"].notna().all()
    for record in labelled:
        assert record.distortion in DISTORTIONS
        assert 1 <= len(record.scenes) <= 3
        assert set(record.scenes) <= set(SCENES)
    assert labelled.records["session_part"].notna().all() == (session is not None)


@pytest.mark.parametrize("session", SESSIONS)
def test_parts_are_disjoint_and_complete_and_in_official_order(fake, session):
    whole = load(fake.name, fake.root, labels=fake.labels, session=session)
    order = {path: row for row, path in enumerate(whole.records["image_path"])}
    seen: list[str] = []
    for part in PARTS:
        dataset = load(fake.name, fake.root, labels=fake.labels, session=session, part=part)
        paths = list(dataset.records["image_path"])
        assert (dataset.records["session_part"] == part).all()
        assert [order[path] for path in paths] == sorted(order[path] for path in paths)
        pd.testing.assert_frame_equal(dataset.records, whole.part(part).records)
        seen += paths
    assert sorted(seen) == sorted(order)


def test_sessions_equal_the_label_files(fake):
    for session in SESSIONS:
        dataset = load(fake.name, fake.root, labels=fake.labels, session=session)
        parts = {Path(r.image_path).relative_to(fake.root).as_posix(): r.session_part for r in dataset}
        listed = {}
        for file in label_files(fake, session):
            part = file.stem.split("_")[-2]
            listed |= {line.split("\t")[0]: part for line in file.read_text().splitlines()}
        assert parts == listed


def test_records_are_typed(fake):
    dataset = load(fake.name, fake.root, labels=fake.labels, session=1)
    rows = list(dataset)
    assert len(rows) == len(dataset)
    assert all(isinstance(row, Record) for row in rows)
    first = dataset[0]
    assert first == rows[0]
    assert type(first.image_path) is str
    assert type(first.mos) is float
    assert type(first.scenes) is tuple
    assert first.mos == dataset.records["mos"][0]
    assert dataset[-1] == rows[-1]
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_loading_twice_gives_the_same(fake):
    first = load(fake.name, fake.root, labels=fake.labels, session=3)
    second = load(fake.name, str(fake.root) + os.sep, labels=str(fake.labels), session=3)
    pd.testing.assert_frame_equal(first.records, second.records)


def test_survives_pickling(fake):
    dataset = load(fake.name, fake.root, labels=fake.labels, session=1)
    again = pickle.loads(pickle.dumps(dataset))
    pd.testing.assert_frame_equal(dataset.records, again.records)
    assert again.card == dataset.card


# Where the folder lies


def test_relative_root_gives_absolute_paths(fake, monkeypatch):
    monkeypatch.chdir(fake.root.parent)
    dataset = load(fake.name, fake.root.name, labels=fake.labels.name)
    monkeypatch.chdir("/")
    assert all(Path(record.image_path).is_file() for record in dataset)


def test_unicode_path_with_spaces(fake, tmp_path):
    home = tmp_path / "Фото 写真 é"
    home.mkdir()
    root, labels = fake.root.rename(home / "the set"), fake.labels.rename(home / "étiquettes")
    dataset = load(fake.name, root, labels=labels, session=1)
    assert all(Path(record.image_path).is_file() for record in dataset)


def test_nothing_is_written(fake):
    # Root may write into read-only folders, so the folder is made read-only and also compared.
    before = listing(fake.root), listing(fake.labels)
    everything = [fake.root, *(p for p in fake.root.rglob("*") if p.is_dir())]
    for folder in everything:
        folder.chmod(0o555)
    try:
        load(fake.name, fake.root, labels=fake.labels, session=1)
    finally:
        for folder in everything:
            folder.chmod(0o755)
    assert (listing(fake.root), listing(fake.labels)) == before


def test_no_folder(fake, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; root must be the official folder of"):
        load(fake.name, tmp_path / "nowhere")


def test_parent_folder_is_recognised(fake):
    with pytest.raises(FileNotFoundError, match=f"did you mean .*{fake.root.name}"):
        load(fake.name, fake.root.parent)


def test_another_folder(fake, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError, match=r"other holds no .*; root must be the official folder"):
        load(fake.name, tmp_path / "other")


# Files


def test_missing_official_label_file(fake):
    needed = [file for file in iqa_datasets.info(fake.name).files if "*" not in file]
    assert needed
    for file in needed:
        content = (fake.root / file).read_bytes()
        (fake.root / file).unlink()
        with pytest.raises(FileNotFoundError, match=Path(file).name):
            load(fake.name, fake.root)
        (fake.root / file).write_bytes(content)
    load(fake.name, fake.root)


def test_card_lists_what_is_there(fake):
    patterns = iqa_datasets.info(fake.name).files
    for path in images(fake):
        assert any(path.relative_to(fake.root).match(pattern) for pattern in patterns)


def test_label_without_image(fake):
    path = images(fake)[3]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        load(fake.name, fake.root)


def test_image_without_label(fake):
    path = images(fake)[3]
    path.with_name("stray.png").write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match=r"stray\.png without a label"):
        load(fake.name, fake.root)


def test_files_that_are_no_images_are_passed_over(fake):
    folder = images(fake)[0].parent
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._0001.jpg").write_bytes(b"x")
    load(fake.name, fake.root)


def test_other_case_on_disk(fake):
    before = load(fake.name, fake.root, labels=fake.labels, session=1)
    path = images(fake)[-1]
    path.rename(path.with_name(path.name.swapcase()))
    after = load(fake.name, fake.root, labels=fake.labels, session=1)
    assert Path(after[-1].image_path).name == path.name.swapcase()
    assert Path(after[-1].image_path).is_file()
    kept = [column for column in SCHEMA if column != "image_path"]
    pd.testing.assert_frame_equal(before.records[kept], after.records[kept])


def test_both_cases_on_disk(fake):
    path = images(fake)[-1]
    names = sorted({path.name.swapcase(), path.name.title()} - {path.name})
    content = path.read_bytes()
    path.unlink()
    for name in names:
        path.with_name(name).write_bytes(content)
    if len(names) < 2 or len({p.name for p in path.parent.iterdir()} & set(names)) < 2:
        pytest.skip("this file system does not tell the cases apart")
    with pytest.raises(DatasetError, match=f"{path.name} .* could be"):
        load(fake.name, fake.root)


# Arguments


@pytest.mark.parametrize("session", [0, 11, -1, True, 1.0, "1"])
def test_session_out_of_range(fake, session):
    with pytest.raises(DatasetError, match="session must be a whole number from 1 to 10, got"):
        load(fake.name, fake.root, labels=fake.labels, session=session)


def test_numpy_session(fake):
    assert load(fake.name, fake.root, labels=fake.labels, session=np.int64(2)).session == 2


def test_session_needs_labels(fake):
    with pytest.raises(DatasetError, match="session=1 needs LIQE's label files"):
        load(fake.name, fake.root, session=1)


def test_part_needs_session(fake):
    with pytest.raises(DatasetError, match="part='train' needs a session"):
        load(fake.name, fake.root, labels=fake.labels, part="train")


def test_unknown_part(fake):
    with pytest.raises(DatasetError, match="part must be one of train, val, test, got 'valid'"):
        load(fake.name, fake.root, labels=fake.labels, session=1, part="valid")


# LIQE's label files


def test_labels_folder_is_wrong(fake):
    with pytest.raises(FileNotFoundError, match="labels must be the folder that holds LIQE's IQA_Database"):
        load(fake.name, fake.root, labels=fake.root)


def test_session_folder_is_missing(fake):
    for file in label_files(fake, 4):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"_\w+_clip\.txt is missing"):
        load(fake.name, fake.root, labels=fake.labels, session=4)
    label_files(fake, 3)[0].parent.with_name("4").rmdir()
    assert len(load(fake.name, fake.root, labels=fake.labels)) == len(load(fake.name, fake.root))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distortion": "unrealistic blur"}, "unknown distortion 'unrealistic blur'; did you mean 'realistic blur'"),
        ({"scene1": "animals"}, "unknown scene 'animals'; did you mean 'animal'"),
        ({"scene1": "invalid"}, "unknown scene 'invalid'"),
        ({"scene1": "plant", "scene2": "plant"}, "a scene is named twice: plant, plant"),
        ({"score": "good"}, "the score must be a decimal number, got 'good'"),
        ({"score": "nan"}, "the score must be a decimal number, got 'nan'"),
        ({"score": "1_0.5"}, "the score must be a decimal number"),
        ({"scene3": "invalid\tinvalid"}, "must have 6 fields"),
        ({"image": ""}, "must have 6 fields"),
    ],
)
@pytest.mark.parametrize("session", [None, 5])
def test_damaged_line_is_named(fake, fields, message, session):
    file = label_files(fake, 5)[1]
    edit_line(file, 2, **fields)
    with pytest.raises(DatasetError, match=message) as caught:
        load(fake.name, fake.root, labels=fake.labels, session=session)
    assert f"{file}, line 2: " in str(caught.value)


def test_blank_line_is_damage(fake):
    file = label_files(fake, 1)[1]
    file.write_text("\n" + file.read_text())
    with pytest.raises(DatasetError, match=r"line 1: '' must have 6 fields"):
        load(fake.name, fake.root, labels=fake.labels, session=1)


def test_windows_line_ends(fake):
    expected = load(fake.name, fake.root, labels=fake.labels, session=1)
    for file in label_files(fake, 1):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    got = load(fake.name, fake.root, labels=fake.labels, session=1)
    pd.testing.assert_frame_equal(got.records, expected.records)


def test_label_file_in_another_encoding(fake):
    file = label_files(fake, 1)[0]
    file.write_bytes(b"\xff\xfe" + file.read_bytes())
    with pytest.raises(DatasetError, match="is not a text file in UTF-8"):
        load(fake.name, fake.root, labels=fake.labels, session=1)


def test_label_of_unknown_image(fake):
    file = label_files(fake, 1)[1]
    edit_line(file, 3, image="Images/nobody.bmp")
    with pytest.raises(DatasetError, match=r"line 3: Images/nobody\.bmp is not an image of this data set") as caught:
        load(fake.name, fake.root, labels=fake.labels, session=1)
    assert str(file) in str(caught.value)


def test_label_with_another_score(fake):
    file = label_files(fake, 1)[0]
    image = edit_line(file, 1, score="1.25")
    with pytest.raises(DatasetError, match=f"line 1: the score of {image} is 1.25, but") as caught:
        load(fake.name, fake.root, labels=fake.labels, session=1)
    assert str(file) in str(caught.value)


def test_image_in_two_parts(fake):
    files = label_files(fake, 1)
    with files[0].open("a") as file:
        file.write(files[1].read_text().splitlines()[0] + "\n")
    with pytest.raises(DatasetError, match="again, after"):
        load(fake.name, fake.root, labels=fake.labels, session=1)


def test_image_without_line(fake):
    file = label_files(fake, 1)[1]
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DatasetError, match=r"has no line for .* \(2 of \d+ images missing\)"):
        load(fake.name, fake.root, labels=fake.labels, session=1)


def test_sessions_that_contradict_each_other(fake):
    file = label_files(fake, 7)[0]
    old = file.read_text().splitlines()[0].split("\t")[2]
    image = edit_line(file, 1, distortion="overexposure" if old != "overexposure" else "underexposure")
    load(fake.name, fake.root, labels=fake.labels, session=7)
    with pytest.raises(DatasetError, match=f"line 1 contradicts .* about {image}") as caught:
        load(fake.name, fake.root, labels=fake.labels)
    assert str(file) in str(caught.value)
