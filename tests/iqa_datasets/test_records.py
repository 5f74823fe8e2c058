import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iqa_datasets import DISTORTIONS, PARTS, SCHEMA, DatasetError, IQADataset, info, load

CARD = info("live-challenge")


@pytest.fixture(scope="module")
def dataset(originals):
    fake = originals["live-challenge"]
    return load(fake.name, fake.root, labels=fake.labels, session=1)


def rebuilt(dataset, **columns):
    return IQADataset(dataset.card, dataset.root, dataset.records.assign(**columns), dataset.session)


def changed(dataset, column, row, value):
    values = dataset.records[column].tolist()
    values[row] = value
    return rebuilt(dataset, **{column: pd.Series(values, dtype=SCHEMA[column])})


def test_class_numbers_follow_the_vocabularies(dataset):
    codes = dataset.records["distortion"].cat.codes
    assert [DISTORTIONS[code] for code in codes] == list(dataset.records["distortion"])
    assert list(dataset.records["session_part"].cat.categories) == list(PARTS)


def test_missing_values_have_the_type_of_their_column(originals):
    plain = load("live-challenge", originals["live-challenge"].root)
    assert {name: str(dtype) for name, dtype in plain.records.dtypes.items()} == {
        "image_path": "string",
        "reference_path": "string",
        "mos": "float64",
        "mos_std": "float64",
        "ratings": "Int64",
        "quality": "float64",
        "distortion": "category",
        "distortion_name": "string",
        "level": "Int64",
        "scenes": "object",
        "content": "string",
        "session_part": "category",
    }
    for name in ("reference_path", "ratings", "distortion", "distortion_name", "level", "session_part"):
        assert plain.records[name].isna().all()
    assert list(plain.records["scenes"]) == [()] * len(plain)
    first = plain[0]
    assert (first.reference_path, first.ratings, first.distortion, first.level) == (None, None, None, None)
    assert first.scenes == ()


def test_columns_must_be_those_of_the_schema(dataset):
    with pytest.raises(DatasetError, match="missing: level"):
        IQADataset(CARD, Path(), dataset.records.drop(columns="level"))
    with pytest.raises(DatasetError, match="in this order, each once"):
        IQADataset(CARD, Path(), pd.concat([dataset.records, dataset.records[["mos"]]], axis=1))
    with pytest.raises(DatasetError, match="in this order"):
        IQADataset(CARD, Path(), dataset.records[list(SCHEMA)[::-1]])


@pytest.mark.parametrize("column", [name for name in SCHEMA if name != "scenes"])
def test_dtypes_must_be_those_of_the_schema(dataset, column):
    with pytest.raises(DatasetError, match=f"column '{column}' must have dtype .*, got object"):
        rebuilt(dataset, **{column: dataset.records[column].astype(object)})


def test_categories_in_another_order_are_refused(dataset):
    turned = dataset.records["distortion"].cat.reorder_categories(list(DISTORTIONS)[::-1])
    with pytest.raises(DatasetError, match="column 'distortion' must have dtype category of"):
        rebuilt(dataset, distortion=turned)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image_path", pd.NA, "image_path .* is missing"),
        ("content", pd.NA, "content .* is missing"),
        ("mos", 101.0, "mos .*101.* is outside the scale, 0 to 100, higher = better"),
        ("mos_std", -1.0, "mos_std .* is < 0"),
        ("mos_std", np.inf, "mos_std .* is < 0"),
        ("ratings", 0, "ratings .* is below 1"),
        ("level", -2, "level .* is below 1"),
        ("quality", 3.21, "quality .*3.21.* is not mos mapped"),
        ("quality", np.nan, "quality .*nan.* is not mos mapped"),
        ("mos", np.nan, "quality .* is not mos mapped"),
        ("scenes", ("park",), r"row 4: 'scenes' is \('park',\); known scenes are"),
        ("scenes", ("plant", "plant"), "each once"),
        ("scenes", "plant", "must be a tuple of scenes, got 'plant'"),
    ],
)
def test_values_must_be_as_documented(dataset, column, value, message):
    with pytest.raises(DatasetError, match=message) as caught:
        changed(dataset, column, 4, value)
    assert "row 4" in str(caught.value)


def test_one_path_stands_once(dataset):
    with pytest.raises(DatasetError, match=r"row 4 .* stands in more than one row"):
        changed(dataset, "image_path", 4, dataset.records["image_path"][2])


def test_a_reference_has_one_content(originals):
    fake = originals["kadid-10k"]
    dataset = load(fake.name, fake.root)
    with pytest.raises(DatasetError, match="stands under several contents; images of one reference must have one"):
        changed(dataset, "content", 1, "another")


def test_select(dataset):
    records = dataset.records
    mask = records["distortion"] == "blur"
    blurred = dataset.select(mask)
    assert 0 < len(blurred) < len(dataset)
    assert list(blurred.records["image_path"]) == list(records["image_path"][mask])
    assert list(blurred.records.index) == list(range(len(blurred)))
    assert blurred.session == 1
    assert [r.image_path for r in dataset.select([5, 0, -1])] == [dataset[row].image_path for row in (5, 0, -1)]
    assert len(dataset.select([])) == 0
    assert len(dataset.select(np.zeros(len(dataset), dtype=bool))) == 0


@pytest.mark.parametrize("dtype", ["boolean", object, "bool[pyarrow]"])
def test_what_is_missing_in_a_mask_is_not_chosen(dataset, dtype):
    wanted = [row % 3 == 0 for row in range(len(dataset))]
    given = pd.Series([pd.NA if row % 3 == 1 else wanted[row] for row in range(len(dataset))], dtype=dtype)
    assert given.isna().any()
    assert [r.image_path for r in dataset.select(given)] == [
        record.image_path for record, chosen in zip(dataset, wanted, strict=True) if chosen
    ]
    with pytest.raises(DatasetError, match="a mask for 24 rows must have shape"):
        dataset.select(given[1:])


def test_a_comparison_with_missing_levels_selects(originals):
    fake = originals["waterloo-exploration"]  # pristine images are rows without a level
    whole = load(fake.name, fake.root)
    levels = whole.records["level"]
    assert levels.isna().any()
    mild = whole.select(levels <= 2)
    assert len(mild) == sum(1 for record in whole if record.level is not None and record.level <= 2) > 0
    assert mild.records["level"].le(2).all()


# Columns of one's own


def test_own_columns_are_kept(dataset):
    scores = np.linspace(0, 1, len(dataset))
    features = np.arange(len(dataset) * 3).reshape(-1, 3)
    scored = dataset.with_columns({"brisque": scores, "features": features, "note": [None] * len(dataset)})
    assert list(scored.records.columns) == [*SCHEMA, "brisque", "features", "note"]
    assert list(dataset.records.columns) == list(SCHEMA)
    test = scored.part("test").select([2, 0])
    for record in test:
        row = int(np.flatnonzero(dataset.records["image_path"] == record.image_path)[0])
        assert record.more["brisque"] == scores[row]
        assert record.more["features"].tolist() == features[row].tolist()
        assert record.more["note"] is None
    again = pickle.loads(pickle.dumps(test))
    assert list(again.records.columns) == list(scored.records.columns)
    assert pickle.loads(pickle.dumps(test[0])).more["brisque"] == test[0].more["brisque"]
    assert dataclasses.asdict(test[0])["more"].keys() == {"brisque", "features", "note"}
    replaced = scored.with_columns({"brisque": range(len(dataset))})
    assert replaced.records["brisque"].tolist() == list(range(len(dataset)))
    assert len({replaced[0], scored[1]}) == 2


def test_own_columns_of_a_frame_stand_in_its_order(dataset):
    frame = pd.DataFrame({"score": range(len(dataset))}, index=range(100, 100 + len(dataset)))
    assert dataset.with_columns(frame).records["score"].tolist() == list(range(len(dataset)))
    chosen = dataset.select([4, 2])
    assert chosen.with_columns({"score": pd.Series([7, 9], index=[2, 4])}).records["score"].tolist() == [7, 9]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"mos": [1.0] * 24}, "column 'mos' is the data set's own"),
        ({"mine": [1.0] * 23}, "column 'mine' must have a value for each of the 24 rows, got 23"),
        ({"mine": 3}, "must have a value for each of the 24 rows, got 3"),
        ({"mine": "abc"}, "must have a value for each of the 24 rows, got 'abc'"),
        ({7: [1.0] * 24}, "a column's name must be a text, got 7"),
        ({" ": [1.0] * 24}, "a column's name must be a text"),
    ],
)
def test_own_columns_are_refused(dataset, columns, message):
    with pytest.raises(DatasetError, match=message):
        dataset.with_columns(columns)


def test_two_own_columns_of_one_name(dataset):
    twice = pd.concat([dataset.records, pd.DataFrame([[1, 2]] * 24, columns=["mine", "mine"])], axis=1)
    with pytest.raises(DatasetError, match="records has two columns 'mine'"):
        IQADataset(CARD, Path(), twice)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([True, False], "a mask for 24 rows must have shape"),
        ([24], "row positions must lie in 0 to 23"),
        ([-25], "row positions must lie"),
        ([0.5], "boolean mask or a flat list"),
        ([[1, 2]], "boolean mask or a flat list"),
        (3, "boolean mask or a flat list"),
        ([1, 1], "stands in more than one row"),
    ],
)
def test_select_refuses(dataset, rows, message):
    with pytest.raises(DatasetError, match=message):
        dataset.select(rows)


def test_leaving_out_what_stands_on_both_sides(dataset):
    train, test = dataset.part("train"), dataset.part("test")
    kept = train.select(~train.records["content"].isin(test.records["content"]))
    assert len(kept) == len(train) - 1
    assert {Path(r.image_path).name for r in train} - {Path(r.image_path).name for r in kept} == {"333.bmp"}


def test_part_refuses(dataset, originals):
    with pytest.raises(DatasetError, match="part must be one of train, val, test, got 'all'"):
        dataset.part("all")
    with pytest.raises(DatasetError, match="part 'val' needs a session"):
        load("live-challenge", originals["live-challenge"].root).part("val")
    with pytest.raises(DatasetError, match="has no row of part 'val'"):
        dataset.part("train").part("val")


def test_changing_the_frame_given_does_not_change_the_data_set(dataset):
    frame = dataset.records.copy()
    mine = IQADataset(dataset.card, dataset.root, frame, 1)
    frame.loc[0, "mos"] = -5.0
    assert mine.records["mos"][0] == dataset.records["mos"][0]


def test_repr(dataset):
    assert repr(dataset) == "IQADataset('live-challenge', 24 images, session 1: 17 train, 2 val, 5 test)"
