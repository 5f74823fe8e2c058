"""What every loader must do, on the made-up copy of its data set."""

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from iqa_datasets import (
    DISTORTIONS,
    PARTS,
    SCENES,
    SCHEMA,
    DatasetCard,
    DatasetError,
    Record,
    SeededSession,
    crossings,
    load,
    verify,
)
from iqa_datasets.loader_registry import loader_of
from iqa_datasets.testing import FakeDataset, layout_of

SESSIONS = range(1, 11)
PICTURES = {".bmp", ".jp2", ".jpg", ".png", ".tiff", ".*"}


def label_files(fake: FakeDataset, session: int) -> list[Path]:
    folders = [p for p in fake.labels.glob("IQA_Database/*/splits2/*") if p.name == str(session)]
    return sorted(file for folder in folders for file in folder.glob("*_clip.txt"))


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(folder)): (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.rglob("*")}


def files(fake: FakeDataset) -> list[Path]:
    return [fake.root / image.file for image in fake.images]


def card_of(fake: FakeDataset) -> DatasetCard:
    """The data set's card; of a folder of one's own, the one that its declaration makes."""
    loader = loader_of(fake.name)
    return loader.card if loader.card_of is None else loader.card_of(fake.root)


def label_files_of(fake: FakeDataset) -> list[Path]:
    """The official label files: what the card lists and is no picture."""
    patterns = [file for file in card_of(fake).files if Path(file).suffix.lower() not in PICTURES]
    return sorted(path for pattern in patterns for path in fake.root.glob(pattern))


def write_labels(fake: FakeDataset, images) -> None:
    layout_of(fake.name).write_labels(fake.root, images)


def changed(fake: FakeDataset, row: int, **values: object) -> None:
    """Write the label files again, with one image described otherwise."""
    images = list(fake.images)
    images[row] = replace(images[row], **values)
    write_labels(fake, images)


def session_of(fake: FakeDataset) -> int | None:
    return 1 if fake.labels is not None else None


def needs_scores(fake: FakeDataset) -> None:
    if card_of(fake).scale is None:
        pytest.skip(f"{fake.name} has no scores")


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
    card = card_of(fake)
    records = dataset.records
    assert dataset.name == fake.name
    assert dataset.card == card
    assert dataset.root == fake.root
    assert list(records.columns) == [*SCHEMA, *(name for name, _ in card.columns)]
    assert list(records.index) == list(range(len(dataset)))
    for path in records["image_path"]:
        with Image.open(path) as image:
            image.load()
    assert records["mos"].notna().all() == (card.scale is not None)
    if card.scale is not None:
        assert records["mos"].between(card.scale.low, card.scale.high).all()
        best = records["mos"].idxmax() if card.scale.higher_is_better else records["mos"].idxmin()
        assert records["quality"].idxmax() == best
        assert records["quality"].between(1, 5).all()
    assert records["content"].notna().all()
    assert records["session_part"].isna().all()


def test_table_is_what_the_label_files_say_in_their_order(fake):
    content_of: dict[str, str] = {}
    for record, image in zip(load(fake.name, fake.root), fake.images, strict=True):
        assert record.image_path == str(fake.root / image.file)
        assert record.reference_path == (None if image.reference is None else str(fake.root / image.reference))
        assert record.mos == (None if image.score is None else pytest.approx(image.score, abs=1e-9))
        assert record.mos_std == (None if image.std is None else pytest.approx(image.std, abs=1e-9))
        assert record.ratings == image.ratings
        assert record.level == image.level
        assert record.distortion_name == image.distortion
        assert record.distortion == (None if image.distortion is None else image.damage)
        assert record.scenes == () or record.scenes[0].startswith(image.scene)
        if image.reference is not None:
            assert content_of.setdefault(image.reference, record.content) == record.content
    assert len(set(content_of.values())) == len(content_of)


def test_made_up_data_set_is_whole(fake):
    verification = verify(fake.name, fake.root, workers=1)
    # Two files of LIVE-C hold the same picture.
    assert [finding.kind for finding in verification.findings] == ["identical"] * (fake.name == "live-challenge")
    assert verification.images == len(fake.images)


@pytest.mark.parametrize("session", [None, 1, 10])
def test_labels_fill_scenes_and_distortions(labelled, session):
    plain = load(labelled.name, labelled.root)
    filled = load(labelled.name, labelled.root, labels=labelled.labels, session=session)
    untouched = ["image_path", "reference_path", "mos", "mos_std", "ratings", "quality", "level", "content"]
    if plain.records["distortion"].notna().all():
        untouched += ["distortion", "distortion_name"]
    pd.testing.assert_frame_equal(plain.records[untouched], filled.records[untouched])
    for record, image in zip(filled, labelled.images, strict=True):
        assert record.distortion == image.damage
        assert record.distortion in DISTORTIONS
        assert record.distortion_name is not None
        assert 1 <= len(record.scenes) <= 3
        assert set(record.scenes) <= set(SCENES)
    assert filled.records["session_part"].notna().all() == (session is not None)


@pytest.mark.parametrize("session", [1, 10])
def test_parts_are_disjoint_and_complete_and_in_official_order(labelled, session):
    whole = load(labelled.name, labelled.root, labels=labelled.labels, session=session)
    order = {path: row for row, path in enumerate(whole.records["image_path"])}
    seen: list[str] = []
    for part in PARTS:
        dataset = load(labelled.name, labelled.root, labels=labelled.labels, session=session, part=part)
        paths = list(dataset.records["image_path"])
        assert (dataset.records["session_part"] == part).all()
        assert [order[path] for path in paths] == sorted(order[path] for path in paths)
        pd.testing.assert_frame_equal(dataset.records, whole.part(part).records)
        seen += paths
    assert sorted(seen) == sorted(order)


def test_sessions_equal_the_label_files(labelled):
    for session in SESSIONS:
        dataset = load(labelled.name, labelled.root, labels=labelled.labels, session=session)
        parts = {Path(r.image_path).relative_to(labelled.root).as_posix(): r.session_part for r in dataset}
        listed = {}
        for file in label_files(labelled, session):
            part = file.stem.split("_")[-2]
            listed |= {line.split("\t")[0]: part for line in file.read_text().splitlines()}
        assert parts == listed


def test_our_own_session_keeps_references_and_near_duplicates_together(fake):
    dataset = load(fake.name, fake.root, session=SeededSession(2, (0.5, 0, 0.5)))
    records = dataset.records
    assert set(records["session_part"]) == {"train", "test"}
    assert (records.groupby("content")["session_part"].nunique() == 1).all()
    with_reference = records[records["reference_path"].notna()]
    assert (with_reference.groupby("reference_path")["session_part"].nunique() == 1).all()
    assert crossings(dataset) == []


def test_records_are_typed(fake):
    dataset = load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    rows = list(dataset)
    assert len(rows) == len(dataset)
    assert all(isinstance(row, Record) for row in rows)
    first = dataset[0]
    assert first == rows[0]
    assert type(first.image_path) is str
    assert type(first.scenes) is tuple
    if card_of(fake).scale is not None:
        assert type(first.mos) is float
        assert first.mos == dataset.records["mos"][0]
    assert dataset[-1] == rows[-1]
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_loading_twice_gives_the_same(fake):
    first = load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    second = load(fake.name, str(fake.root) + os.sep, labels=fake.labels and str(fake.labels), session=session_of(fake))
    pd.testing.assert_frame_equal(first.records, second.records)


def test_survives_pickling(fake):
    dataset = load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    again = pickle.loads(pickle.dumps(dataset))
    pd.testing.assert_frame_equal(dataset.records, again.records)
    assert again.card == dataset.card


# Where the folder lies


def test_relative_root_gives_absolute_paths(fake, monkeypatch):
    monkeypatch.chdir(fake.root.parent)
    dataset = load(fake.name, fake.root.name, labels=fake.labels and fake.labels.name)
    monkeypatch.chdir("/")
    assert all(Path(record.image_path).is_file() for record in dataset)


def test_unicode_path_with_spaces(fake, tmp_path):
    home = tmp_path / "Фото 写真 é"
    home.mkdir()
    root = fake.root.rename(home / "the set")
    labels = fake.labels and fake.labels.rename(home / "étiquettes")
    dataset = load(fake.name, root, labels=labels, session=session_of(fake))
    assert all(Path(record.image_path).is_file() for record in dataset)


def test_nothing_is_written(fake):
    # Root may write into read-only folders, so the folder is made read-only and also compared.
    before = listing(fake.root.parent)
    everything = [fake.root, *(p for p in fake.root.rglob("*") if p.is_dir())]
    for folder in everything:
        folder.chmod(0o555)
    try:
        load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    finally:
        for folder in everything:
            folder.chmod(0o755)
    assert listing(fake.root.parent) == before


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


def test_missing_label_file_is_refused_or_changes_no_score(fake):
    before = load(fake.name, fake.root).records
    for file in label_files_of(fake):
        content = file.read_bytes()
        file.unlink()
        try:
            # Some label files stand in for each other, and some add what is not needed.
            kept = load(fake.name, fake.root).records
        except (FileNotFoundError, DatasetError):
            with pytest.raises((FileNotFoundError, DatasetError), match=f"{re.escape(file.name)}|{file.parent.name}"):
                load(fake.name, fake.root)
        else:
            np.testing.assert_allclose(kept["mos"], before["mos"], rtol=0, atol=1e-12)
            assert (
                len(
                    kept.compare(before)
                    .columns.levels[0]
                    .difference({"scenes", "session_part", "device_part", "mos", "quality"})
                )
                == 0
            )
        file.write_bytes(content)


def test_no_label_files(fake):
    needs_scores(fake)
    for file in label_files_of(fake):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"is missing|holds no") as caught:
        load(fake.name, fake.root)
    assert str(fake.root) in str(caught.value)


def test_label_files_in_other_case(fake):
    before = load(fake.name, fake.root)
    for file in label_files_of(fake):
        file.rename(file.with_name(file.name.swapcase()))
    pd.testing.assert_frame_equal(load(fake.name, fake.root).records, before.records)


def test_folders_in_other_case(fake):
    before = load(fake.name, fake.root)
    for folder in sorted(fake.root.rglob("*"), reverse=True):
        if folder.is_dir():
            folder.rename(folder.with_name(folder.name.swapcase()))
    after = load(fake.name, fake.root)
    for one, other in zip(before, after, strict=True):
        assert one.image_path.casefold() == other.image_path.casefold()
        assert Path(other.image_path).is_file()
    kept = [column for column in SCHEMA if column not in ("image_path", "reference_path")]
    pd.testing.assert_frame_equal(before.records[kept], after.records[kept])


def test_card_lists_what_is_there(fake):
    patterns = card_of(fake).files
    for path in files(fake):
        assert any(path.relative_to(fake.root).match(pattern) for pattern in patterns)


def test_label_without_image(fake):
    needs_scores(fake)
    path = files(fake)[3]
    path.unlink()
    if not loader_of(fake.name).incomplete:
        with pytest.raises(FileNotFoundError, match=path.name):
            load(fake.name, fake.root)
        return
    with pytest.warns(UserWarning, match=rf"1 of the {len(fake.images)} images in .* are not there and are left out"):
        kept = load(fake.name, fake.root)
    assert [record.image_path for record in kept] == [str(one) for one in files(fake) if one != path]
    (fault,) = verify(fake.name, fake.root, workers=1).faults
    assert (fault.kind, fault.path) == ("missing", str(path))
    for one in files(fake):
        one.unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match=f"lacks .* of the {len(fake.images)} images"):
        load(fake.name, fake.root)


def test_image_without_label_is_left_out_and_reported(fake):
    before = load(fake.name, fake.root)
    path = files(fake)[3]
    stray = path.with_name("thumb.png")
    stray.write_bytes(path.read_bytes())
    folders = [fake.root, *(p for p in fake.root.rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with pytest.warns(UserWarning, match=r"holds .*thumb\.png without a label in .*, which are left out; `iqa-"):
            after = load(fake.name, fake.root)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    pd.testing.assert_frame_equal(before.records, after.records)
    found = verify(fake.name, fake.root, workers=1)
    assert [Path(fault.path).name for fault in found.faults] == ["thumb.png"]
    assert not found.ok


def test_missing_reference(fake):
    references = [image.reference for image in fake.images if image.reference is not None]
    if not references:
        pytest.skip(f"{fake.name} has no references")
    (fake.root / references[-1]).unlink()
    with pytest.raises(FileNotFoundError, match=Path(references[-1]).name):
        load(fake.name, fake.root)


def test_damaged_label_files_are_refused(fake):
    for file in label_files_of(fake):
        content = file.read_bytes()
        file.write_bytes(b"\xff\x00" + content[5 : len(content) // 2])
        with pytest.raises(DatasetError, match=re.escape(file.name)):
            load(fake.name, fake.root)
        file.write_bytes(content)


@pytest.mark.parametrize("score", ["good", "", "1_0"])
def test_score_that_is_no_number(fake, score):
    needs_scores(fake)
    changed(fake, 4, score=score)
    # Between blanks, a score that is left out leaves a field too few.
    refused = r"must be a (finite )?number|must hold real numbers|must have \d+ fields"
    with pytest.raises(DatasetError, match=refused) as caught:
        load(fake.name, fake.root)
    assert str(fake.root) in str(caught.value)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_score_that_is_not_finite(fake, score):
    needs_scores(fake)
    changed(fake, 4, score=score)
    with pytest.raises(DatasetError, match=r"must be a (finite )?number|must hold real numbers|is empty") as caught:
        load(fake.name, fake.root)
    assert str(fake.root) in str(caught.value)


@pytest.mark.parametrize("beyond", [-0.01, 1.01])
def test_score_outside_the_documented_range(fake, beyond):
    needs_scores(fake)
    scale = card_of(fake).scale
    changed(fake, 4, score=round(scale.low + beyond * (scale.high - scale.low), 4))
    with pytest.raises(DatasetError, match=r"outside the documented range|must be a number from 0 on") as caught:
        load(fake.name, fake.root)
    assert str(fake.root) in str(caught.value)


def test_duplicate_row(fake):
    needs_scores(fake)
    write_labels(fake, [*fake.images, fake.images[3]])
    # Where scores are joined to a grid of names by position, one too many stands for an image that is not there.
    with pytest.raises((DatasetError, FileNotFoundError), match=r"more than once|entries|lacks") as caught:
        load(fake.name, fake.root)
    assert str(fake.root) in str(caught.value)


def test_image_whose_label_was_taken_out(fake):
    needs_scores(fake)
    write_labels(fake, fake.images[:-1])
    positional = ("live", "cidiq-50cm", "cidiq-100cm", "mdid", "mdid2013")
    if fake.name in positional:
        # There is no telling which of the images is left over.
        with pytest.raises(DatasetError, match="entries") as caught:
            load(fake.name, fake.root)
        assert str(fake.root) in str(caught.value)
    else:
        with pytest.warns(UserWarning, match=r"without a label in .*, which are left out") as warned:
            assert len(load(fake.name, fake.root)) == len(fake.images) - 1
        assert str(fake.root) in str(warned[0].message)


def test_nested_in_a_folder_of_its_own_name(fake, tmp_path):
    if fake.name == "folder":
        pytest.skip("a folder of one's own has no name that it could be nested in")
    outer = tmp_path / "outer"
    outer.mkdir()
    inner = fake.root.rename(outer / fake.root.name)
    outer = outer.rename(tmp_path / inner.name)
    inner = outer / inner.name
    assert load(fake.name, outer).root == inner
    inner = inner.rename(outer / "unpacked")
    with pytest.raises(FileNotFoundError, match=r"did you mean .*unpacked"):
        load(fake.name, outer)
    with pytest.raises(FileNotFoundError, match=r"did you mean .*unpacked"):
        load(fake.name, tmp_path)


def test_png_copies_are_taken(fake):
    before = load(fake.name, fake.root)
    renamed = [path for path in files(fake) if path.suffix.lower() in (".jpg", ".bmp")]
    if not renamed:
        pytest.skip(f"the images of {fake.name} are PNG files")
    for path in renamed:
        with Image.open(path) as image:
            image.save(path.with_suffix(".png"))
        path.unlink()
    after = load(fake.name, fake.root)
    assert {Path(record.image_path).suffix for record in after} <= {".png", ".tiff"}
    kept = [column for column in before.records if column not in ("image_path", "reference_path")]
    pd.testing.assert_frame_equal(before.records[kept], after.records[kept])
    if fake.name != "waterloo-exploration":  # its images are those that are there
        found = verify(fake.name, fake.root, workers=1)
        assert found.ok
        assert sum(finding.kind == "format" for finding in found.findings) == len(renamed)


def test_alias_and_sessions_of_every_kind(fake):
    for session in (None, "seeded-2:0.5/0/0.5", SeededSession(3, (0.6, 0, 0.4))):
        dataset = load(fake.name, fake.root, session=session, alias="mine")
        assert dataset.name == "mine"
        assert repr(dataset).startswith("IQADataset('mine', ")
        assert dataset.records["session_part"].isna().all() == (session is None)
    assert (fake.labels is not None) == card_of(fake).liqe_labels
    if fake.labels is not None:
        for session in (1, "seeded-1", *(["official"] if card_of(fake).official_session else [])):
            labelled = load(fake.name, fake.root, session=session, labels=fake.labels)
            assert labelled.records["session_part"].notna().all()
            assert labelled.records["scenes"].map(len).min() >= 1
            assert labelled.records["distortion"].notna().all()
    with pytest.raises(DatasetError, match="alias must be a name, got ''"):
        load(fake.name, fake.root, alias="")


def test_files_that_are_no_images_are_passed_over(fake):
    folder = files(fake)[0].parent
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "._0001.jpg").write_bytes(b"x")
    load(fake.name, fake.root)


def test_other_case_on_disk(fake):
    before = load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    path = files(fake)[-1]
    path.rename(path.with_name(path.name.swapcase()))
    after = load(fake.name, fake.root, labels=fake.labels, session=session_of(fake))
    assert Path(after[-1].image_path).name == path.name.swapcase()
    assert Path(after[-1].image_path).is_file()
    kept = [column for column in SCHEMA if column != "image_path"]
    pd.testing.assert_frame_equal(before.records[kept], after.records[kept])


def test_both_cases_on_disk(fake):
    needs_scores(fake)
    path = files(fake)[-1]
    names = sorted({path.name.swapcase(), path.name.title()} - {path.name})
    content = path.read_bytes()
    path.unlink()
    for name in names:
        path.with_name(name).write_bytes(content)
    if len(names) < 2 or len({p.name for p in path.parent.iterdir()} & set(names)) < 2:
        pytest.skip("this file system does not tell the cases apart")
    with pytest.raises(DatasetError, match=f"(?i){path.name} .* could be"):
        load(fake.name, fake.root)


# Arguments


@pytest.mark.parametrize("session", [0, 11, -1, True, 1.0, "1", "seeded", "Official"])
def test_session_out_of_range(fake, session):
    with pytest.raises(DatasetError, match=r"session must be a whole number from 1 to 10 .* got"):
        load(fake.name, fake.root, labels=fake.labels, session=session)


def test_official_session(fake):
    if not card_of(fake).official_session:
        with pytest.raises(DatasetError, match="publish no split"):
            load(fake.name, fake.root, session="official")
        return
    dataset = load(fake.name, fake.root, session="official")
    assert [record.session_part for record in dataset] == [image.part for image in fake.images]
    assert load(fake.name, fake.root).records["session_part"].isna().all()


def test_labels_where_there_are_none(fake, tmp_path):
    if fake.labels is not None:
        pytest.skip(f"LIQE has label files for {fake.name}")
    with pytest.raises(DatasetError, match=f"LIQE has no label files for '{fake.name}'"):
        load(fake.name, fake.root, labels=tmp_path)


def test_numpy_session(labelled):
    assert load(labelled.name, labelled.root, labels=labelled.labels, session=np.int64(2)).session == 2


def test_session_needs_labels(fake):
    with pytest.raises(DatasetError, match="session=1 needs LIQE's label files"):
        load(fake.name, fake.root, session=1)


def test_part_needs_session(fake):
    with pytest.raises(DatasetError, match="part='train' needs a session"):
        load(fake.name, fake.root, labels=fake.labels, part="train")


def test_unknown_part(fake):
    with pytest.raises(DatasetError, match="one of train, val, test, got 'valid'; did you mean 'val'"):
        load(fake.name, fake.root, labels=fake.labels, session="seeded-1", part="valid")


# LIQE's label files


def test_labels_folder_is_wrong(labelled):
    with pytest.raises(FileNotFoundError, match="labels must be the folder that holds LIQE's IQA_Database"):
        load(labelled.name, labelled.root, labels=labelled.root)


def test_session_folder_is_missing(labelled):
    for file in label_files(labelled, 4):
        file.unlink()
    with pytest.raises(FileNotFoundError, match=r"_\w+_clip\.txt is missing"):
        load(labelled.name, labelled.root, labels=labelled.labels, session=4)
    label_files(labelled, 3)[0].parent.with_name("4").rmdir()
    assert len(load(labelled.name, labelled.root, labels=labelled.labels)) == len(load(labelled.name, labelled.root))


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
def test_damaged_line_is_named(labelled, fields, message, session):
    file = label_files(labelled, 5)[1]
    edit_line(file, 2, **fields)
    with pytest.raises(DatasetError, match=message) as caught:
        load(labelled.name, labelled.root, labels=labelled.labels, session=session)
    assert f"{file}, line 2: " in str(caught.value)


def test_blank_line_is_damage(labelled):
    file = label_files(labelled, 1)[1]
    file.write_text("\n" + file.read_text())
    with pytest.raises(DatasetError, match=r"line 1: '' must have 6 fields"):
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)


def test_windows_line_ends(labelled):
    expected = load(labelled.name, labelled.root, labels=labelled.labels, session=1)
    for file in label_files(labelled, 1):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    got = load(labelled.name, labelled.root, labels=labelled.labels, session=1)
    pd.testing.assert_frame_equal(got.records, expected.records)


def test_label_file_in_another_encoding(labelled):
    file = label_files(labelled, 1)[0]
    file.write_bytes(b"\xff\xfe" + file.read_bytes())
    with pytest.raises(DatasetError, match="is not a text file in UTF-8"):
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)


def test_label_of_unknown_image(labelled):
    file = label_files(labelled, 1)[1]
    edit_line(file, 3, image="Images/nobody.bmp")
    with pytest.raises(DatasetError, match=r"line 3: Images/nobody\.bmp is not an image of this data set") as caught:
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)
    assert str(file) in str(caught.value)


def test_label_with_another_score(labelled):
    file = label_files(labelled, 1)[0]
    image = edit_line(file, 1, score="1.25")
    with pytest.raises(DatasetError, match=f"line 1: the score of {image} is 1.25, but") as caught:
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)
    assert str(file) in str(caught.value)


def test_image_in_two_parts(labelled):
    files = label_files(labelled, 1)
    with files[0].open("a") as file:
        file.write(files[1].read_text().splitlines()[0] + "\n")
    with pytest.raises(DatasetError, match="again, after"):
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)


def test_image_without_line(labelled):
    file = label_files(labelled, 1)[1]
    lines = file.read_text().splitlines()
    file.write_text("\n".join(lines[:-2]) + "\n")
    with pytest.raises(DatasetError, match=r"has no line for .* \(2 of \d+ images missing\)"):
        load(labelled.name, labelled.root, labels=labelled.labels, session=1)


def test_distortion_that_contradicts_another_session_or_the_data_set(labelled):
    file = label_files(labelled, 7)[0]
    old = file.read_text().splitlines()[0].split("\t")[2]
    image = edit_line(file, 1, distortion="overexposure" if old != "overexposure" else "underexposure")
    if load(labelled.name, labelled.root).records["distortion"].notna().all():
        with pytest.raises(DatasetError, match=f"line 1: the distortion of {image} is '.*exposure', but") as caught:
            load(labelled.name, labelled.root, labels=labelled.labels, session=7)
        assert str(file) in str(caught.value)
    else:
        load(labelled.name, labelled.root, labels=labelled.labels, session=7)
    with pytest.raises(DatasetError, match=f"line 1 contradicts .* about {image}") as caught:
        load(labelled.name, labelled.root, labels=labelled.labels)
    assert str(file) in str(caught.value)
