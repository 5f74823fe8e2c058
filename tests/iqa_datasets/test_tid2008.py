import csv

import pytest

from iqa_datasets import load
from iqa_datasets.loaders.tid2008 import CARD
from iqa_datasets.testing.layouts import write_text


def test_real_names_and_scores(data_root, tmp_path):
    table = data_root / "scores" / "tid2008_6metrics.csv"
    if not table.is_file():
        pytest.skip(f"{table} is not there")
    rows = list(csv.DictReader(table.open()))
    write_text(tmp_path / "mos_with_names.txt", (f"{row['mos']} {row['image_name']}" for row in rows))
    write_text(tmp_path / "mos_std.txt", ("0.1" for _ in rows))
    for folder in ("distorted_images", "reference_images"):
        (tmp_path / folder).mkdir()
    for row in rows:
        (tmp_path / "distorted_images" / row["image_name"]).touch()
    for number in range(1, 26):
        (tmp_path / "reference_images" / f"I{number:02}.BMP").touch()

    dataset = load("tid2008", tmp_path)
    assert len(dataset) == CARD.size == 1700
    assert dataset.records["mos"].tolist() == [float(row["mos"]) for row in rows]
    assert dataset.records["content"].nunique() == CARD.references
    assert dataset.records["distortion_name"].nunique() == CARD.distortion_types
    assert (dataset.records.groupby(["content", "distortion_name"])["level"].max() == 4).all()
    for row, record in zip(rows, dataset, strict=True):
        assert record.image_path.endswith(row["image_name"])
        reference, kind, level = row["image_name"].split(".")[0][1:].split("_")
        assert record.reference_path.endswith(f"I{reference}.BMP")
        assert record.level == int(level)
        assert (record.distortion == "blur") == (kind == "08")
