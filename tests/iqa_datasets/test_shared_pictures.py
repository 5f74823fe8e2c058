"""What two data sets share: copies, mirrored copies and crops, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from iqa_datasets import IQADataset, info, load, overlap
from iqa_datasets.records import make_records
from iqa_datasets.testing.photographs import DRAWINGS, draw


def picture(number: int) -> Image.Image:
    scene = list(DRAWINGS)[number % len(DRAWINGS)]
    return Image.fromarray((draw(scene, 320, 480, np.random.default_rng(number)) * 255).astype(np.uint8))


def dataset(folder: Path, images: dict[str, Image.Image], reference: dict[str, str] | None = None) -> IQADataset:
    folder.mkdir()
    for name, image in images.items():
        image.save(folder / name)
    names = list(images if reference is None else reference)
    columns = {}
    if reference is not None:
        for name in names:
            images[reference[name]].save(folder / name, quality=10)
        columns = {
            "reference_path": [str(folder / reference[name]) for name in names],
            "content": [reference[name] for name in names],
        }
    card = info("live-challenge")
    records = make_records(
        names, [str(folder / name) for name in names], card.scale, folder / "none", mos=[50.0] * len(names), **columns
    )
    return IQADataset(card, folder, pd.DataFrame(records))


@pytest.fixture
def first(tmp_path):
    return dataset(tmp_path / "first", {f"{number}.png": picture(number) for number in range(6)})


def found(result):
    return {(Path(one.first).name, Path(one.second).name): one.kind for one in result.shared}


def test_copies_crops_and_nothing_else(first, tmp_path):
    third = picture(3)
    second = dataset(
        tmp_path / "second",
        {
            "same.png": picture(0),
            "small.jpg": picture(1).resize((300, 200)),
            "mirror.png": ImageOps.mirror(picture(2)),
            "middle.png": third.crop((80, 40, 400, 280)),
            "corner.jpg": picture(4).crop((160, 80, 480, 320)),
            "other.png": picture(11),
            "another.png": picture(12),
        },
    )
    result = overlap(first, second)
    assert found(result) == {
        ("0.png", "same.png"): "identical",
        ("1.png", "small.jpg"): "near",
        ("2.png", "mirror.png"): "mirrored",
        ("3.png", "middle.png"): "crop",
        ("4.png", "corner.jpg"): "crop",
    }
    assert result.compared == (6, 7)
    assert result.crops_sought
    for one in result.shared:
        assert (one.similarity == one.similarity) == (one.kind == "crop")
    # The other way round the same pairs are found.
    assert {pair[::-1] for pair in found(overlap(second, first))} == set(found(result))


def test_without_crops(first, tmp_path):
    second = dataset(tmp_path / "second", {"middle.png": picture(3).crop((80, 40, 400, 280)), "same.png": picture(0)})
    result = overlap(first, second, crops=False)
    assert found(result) == {("0.png", "same.png"): "identical"}
    assert not result.crops_sought


def test_crops_of_too_many_are_not_sought(first, tmp_path, monkeypatch):
    monkeypatch.setattr("iqa_datasets.shared_pictures.CROP_PAIRS", 5)
    second = dataset(tmp_path / "second", {"middle.png": picture(3).crop((80, 40, 400, 280))})
    result = overlap(first, second)
    assert (result.shared, result.crops_sought) == ([], False)


def test_two_crops_of_one_picture(tmp_path):
    # As LIVE and TID2013, whose references were both cut from Kodak's photographs.
    one = dataset(tmp_path / "one", {"a.png": picture(5).crop((0, 0, 400, 320))})
    other = dataset(tmp_path / "other", {"b.png": picture(5).crop((40, 20, 440, 300))})
    assert found(overlap(one, other)) == {("a.png", "b.png"): "crop"}


def test_references_stand_for_the_images(first, tmp_path):
    reference = {f"{number}-{level}.jpg": f"r{number}.png" for number in (0, 7) for level in range(3)}
    second = dataset(tmp_path / "second", {f"r{number}.png": picture(number) for number in (0, 7)}, reference)
    [shared] = overlap(first, second).shared
    assert Path(shared.second).name == "r0.png"
    assert (shared.first_images, shared.second_images) == (1, 3)


def test_flat_pictures_are_no_crops(tmp_path):
    one = dataset(tmp_path / "one", {"grey.png": Image.new("RGB", (300, 200), "grey"), "a.png": picture(1)})
    spot = Image.new("RGB", (300, 200), "navy")
    spot.paste("white", (150, 100, 156, 106))
    other = dataset(tmp_path / "other", {"moon.png": spot, "b.png": picture(2)})
    assert found(overlap(one, other)) == {}


def test_with_itself(clive):
    whole = load("live-challenge", clive.root)
    result = overlap(whole, whole, crops=False)
    assert sum(one.first == one.second for one in result.shared) == result.compared[0] == len(whole) - 1  # the twins
