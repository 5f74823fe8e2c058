"""Ratings of one's own: what must be said, what is refused, and what every sentence names."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from defnet import DataError, DataRoots
from defnet.data.ratings import check_enough, content_digest, declare_ratings, narrow
from iqa_datasets import QualityScale

SCALE = (0.0, 100.0)
SPLIT = "seeded-1:0.7/0.15/0.15"


def renamed(rows: list[dict[str, str]], **titles: str) -> list[dict[str, str]]:
    return [{titles.get(title, title): value for title, value in row.items()} for row in rows]


def test_titles_that_say_what_they_hold_need_not_be_named(rated: Any) -> None:
    ratings = declare_ratings(rated.table, rated.images, scale=SCALE)
    assert ratings.columns == {"image": "image", "rating": "rating", "std": "std"}
    assert (ratings.name, ratings.scale) == ("ratings", QualityScale(0, 100))
    dataset = ratings.load(SPLIT)
    assert len(dataset) == 48
    assert [record.mos for record in dataset] == [float(row["rating"]) for row in rated.rows]
    assert [record.mos_std for record in dataset] == [float(row["std"]) for row in rated.rows]
    assert [Path(record.image_path).name for record in dataset] == [row["image"] for row in rated.rows]
    assert set(dataset.records["session_part"]) == {"train", "val", "test"}
    assert dataset.root == rated.images
    assert ratings.without_rating(dataset) == sorted(p.name for p in rated.images.iterdir())[48:]


def test_other_titles_another_direction_and_a_name(rated: Any) -> None:
    path = rated.write(renamed(rated.rows, image="File", rating="DMOS"), "my table.csv")
    columns = {"image": "file", "rating": "DMOS"}
    ratings = declare_ratings(path, rated.images, scale=SCALE, lower_is_better=True, columns=columns)
    assert ratings.name == "my-table"
    first = ratings.load(SPLIT)[0]
    assert first.quality == pytest.approx(5 - 4 * float(rated.rows[0]["rating"]) / 100)
    assert (
        declare_ratings(path, rated.images, scale=SCALE, lower_is_better=False, columns=columns, name="x").name == "x"
    )


def test_a_folder_beside_the_table_is_its_own(rated: Any) -> None:
    rows = [row | {"image": f"photos/{row['image']}"} for row in rated.rows]
    assert len(declare_ratings(rated.write(rows), scale=SCALE).load(SPLIT)) == 48


def test_it_stands_in_a_mixture_by_its_name(rated: Any) -> None:
    ratings = declare_ratings(rated.table, rated.images, scale=SCALE)
    dataset = DataRoots(ratings=[ratings]).load("ratings", SPLIT)
    assert dataset.name == "ratings"
    with pytest.raises(DataError, match="session 1 is one of LIQE's; take 'seeded-1'"):
        DataRoots(ratings=[ratings]).load("ratings", 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scale": None}, r"Say the range .* --range LOW HIGH .* the ratings in 'rating' go from [\d.]+ to [\d.]+$"),
        ({"scale": (1.0, 5.0)}, r"ratings.csv, line 2: rating is [\d.]+, outside --range 1 5; the ratings go from"),
        ({"scale": (5.0, 1.0)}, "low < high"),
        ({"columns": {"score": "x"}}, "--column score=…: there is no such kind of column; there are image, rating"),
        (
            {"columns": {"rating": "MOS"}},
            "--column rating=MOS: there is no such column; its columns are image",
        ),
        ({"columns": {"rating": "image"}}, "column 'image' cannot be both"),
        ({"images": "nowhere"}, r"nowhere: there is no such folder of photographs \(--images\)"),
        ({"table": "nowhere.csv"}, "nowhere.csv: there is no such table of ratings"),
        ({"table": "nowhere.txt"}, "labels must end in one of .csv, .tsv"),
    ],
)
def test_what_is_not_said_is_asked_for(rated: Any, changes: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"table": rated.table, "images": rated.images, "scale": SCALE} | changes
    with pytest.raises(DataError, match=said):
        declare_ratings(**asked)


def test_the_titles_that_are_needed_are_asked_for_with_what_was_seen(rated: Any) -> None:
    path = rated.write(renamed(rated.rows, image="file", rating="MOS"))
    row = rated.rows[0]
    seen = re.escape(f"its columns are file, MOS, std (first row: {row['image']}, {row['rating']}, {row['std']})")
    with pytest.raises(DataError, match=f"which column holds the photographs' names.*--column image=TITLE; {seen}"):
        declare_ratings(path, rated.images, scale=SCALE)
    with pytest.raises(DataError, match=f"which column holds the ratings.*--column rating=TITLE; {seen}"):
        declare_ratings(path, rated.images, scale=SCALE, columns={"image": "file"})


@pytest.mark.parametrize("title", ["DMOS", "difference", "error", "Rank", "impairment"])
def test_a_title_that_leaves_the_direction_open_is_asked_about(rated: Any, title: str) -> None:
    path = rated.write(renamed(rated.rows, rating=title))
    with pytest.raises(DataError, match=f"'{title}' leaves open .*--lower-is-better or --higher-is-better"):
        declare_ratings(path, rated.images, scale=SCALE, columns={"rating": title})


def change(rated: Any, row: int, **values: str) -> Path:
    rows = [dict(one) for one in rated.rows]
    rows[row] |= values
    path: Path = rated.write(rows)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda r: change(r, 3, rating="nan"), r"ratings.csv, line 5: rating must be a finite number, got 'nan'"),
        (lambda r: change(r, 3, rating=""), r"ratings.csv, line 5: rating must be a finite number, got ''"),
        (lambda r: change(r, 3, rating="good"), r"ratings.csv, line 5: rating must be a finite number, got 'good'"),
        (lambda r: change(r, 3, rating="101"), r"ratings.csv, line 5: rating is 101, outside --range 0 100"),
        (lambda r: change(r, 3, image=""), r"ratings.csv, line 5: image is empty"),
        (lambda r: change(r, 3, std="-1"), r"ratings.csv, line 5: std must be a number from 0 on, got -1"),
        (lambda r: change(r, 3, image=r.rows[0]["image"]), r"line 5: .* stands more than once, first in line 2"),
        (lambda r: change(r, 3, image="/tmp/a.png"), r"line 5: image must be a path inside the folder"),
        (lambda r: change(r, 3, image="../a.png"), r"line 5: image must be a path inside the folder"),
        (lambda r: change(r, 3, image="gone.png"), r"line 5: there is no photograph gone.png in .*photos$"),
        (lambda r: change(r, 46, image="46"), r"line 48: there is no photograph 46 .*; there is 46\.JPG: names need"),
        (lambda r: r.write([row | {"rating": "50"} for row in r.rows]), "all 48 ratings are 50; nothing can be learnt"),
        (lambda r: r.write([{"image": "", "rating": "", "std": ""}][:1]), "line 2: rating must be a finite number"),
    ],
)
def test_a_wrong_row_is_named(rated: Any, make: Callable[[Any], Path], said: str) -> None:
    with pytest.raises(DataError, match=said):
        declare_ratings(make(rated), rated.images, scale=SCALE).load(SPLIT)


def test_several_photographs_that_are_not_there_are_counted(rated: Any) -> None:
    for row in rated.rows[10:14]:
        (rated.images / row["image"]).unlink()
    with pytest.raises(DataError, match=r"line 12: there is no photograph .*, and 4 of the 48 rows in all"):
        declare_ratings(rated.table, rated.images, scale=SCALE).load(SPLIT)
    rows = [row | {"image": f"photos/{row['image']}"} for row in rated.rows]
    with pytest.raises(DataError, match=rf"48 of the 48 rows in all; is it --images {rated.images.parent}\?"):
        declare_ratings(rated.write(rows), rated.images, scale=SCALE).load(SPLIT)


def test_a_damaged_photograph_is_named(rated: Any) -> None:
    damaged = rated.images / rated.rows[5]["image"]
    damaged.unlink()
    damaged.write_bytes(b"no picture")
    with pytest.raises(DataError, match=re.escape(rated.rows[5]["image"])):
        declare_ratings(rated.table, rated.images, scale=SCALE).load(SPLIT)


def test_too_few_are_refused_with_how_many_are_needed(rated: Any) -> None:
    few = declare_ratings(rated.write(rated.rows[:39]), rated.images, scale=SCALE)
    with pytest.raises(DataError, match="has 39 rated photographs; training needs 40 or more"):
        check_enough(few.load(SPLIT), few.table)
    enough = declare_ratings(rated.write(rated.rows[:40]), rated.images, scale=SCALE)
    check_enough(enough.load(SPLIT), enough.table)
    with pytest.raises(DataError, match="leaves 4 photographs for val, and 6 or more are needed"):
        check_enough(enough.load("seeded-1"), enough.table)
    contents = [row | {"content": str(number % 4)} for number, row in enumerate(rated.rows)]
    grouped = declare_ratings(rated.write(contents), rated.images, scale=SCALE).load("seeded-1:0.5/0.25/0.25")
    by_content = grouped.records.groupby("content")["session_part"].nunique()
    assert (by_content == 1).all()


def test_constant_ratings_of_a_part_are_refused(rated: Any) -> None:
    parts = ["train"] * 28 + ["val"] * 10 + ["test"] * 10
    rows = [
        row | {"part": part} | ({"rating": "50"} if part == "val" else {})
        for row, part in zip(rated.rows, parts, strict=True)
    ]
    ratings = declare_ratings(rated.write(rows), rated.images, scale=SCALE)
    assert ratings.has_parts
    with pytest.raises(DataError, match="all ratings of the part val are 50"):
        check_enough(ratings.load("official"), ratings.table)


def test_a_range_that_is_hardly_used_is_doubted(rated: Any) -> None:
    wide = declare_ratings(rated.table, rated.images, scale=(0, 1000))
    assert "is --range right?" in str(narrow(wide, wide.load(SPLIT)))
    right = declare_ratings(rated.table, rated.images, scale=SCALE)
    assert narrow(right, right.load(SPLIT)) is None


def test_the_digest_is_of_all_that_a_run_takes(rated: Any) -> None:
    def digest(rows: list[dict[str, str]], session: str = SPLIT) -> str:
        return content_digest(declare_ratings(rated.write(rows), rated.images, scale=SCALE).load(session))

    first = digest(rated.rows)
    assert digest(rated.rows) == first
    assert digest([row | {"note": "x"} for row in rated.rows]) == first
    other = [dict(row) for row in rated.rows]
    other[7]["rating"] = "51.25"
    assert digest(other) != first
    assert digest(rated.rows, "seeded-2:0.7/0.15/0.15") != first
    assert digest([row | {"scenes": "human"} for row in rated.rows]) != first
