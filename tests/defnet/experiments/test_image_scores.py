"""Scores of images from tables that anything may have written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from defnet import DataError, DataRoots
from defnet.experiments.image_scores import (
    ImageSet,
    images_in_folder,
    images_of_dataset,
    scores_by_model,
    scores_in_table,
)
from iqa_datasets.testing import FakeDataset


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    names = ("one/a.png", "one/b.png", "two/a.png", "two/c.png")
    return ImageSet(tuple(tmp_path / name for name in names), names, None)


def _table(tmp_path: Path, content: dict[str, list[object]], name: str = "scores.csv") -> Path:
    path = tmp_path / name
    frame = pd.DataFrame(content)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def test_rows_are_found_by_name_path_and_a_files_name_of_its_own(images: ImageSet, tmp_path: Path) -> None:
    names = [str(images.files[2]), "one/a.png", "elsewhere/c.png", "b.png", "unknown.png"]
    for ending in ("csv", "tsv", "parquet"):
        path = _table(tmp_path, {"image": names, "quality": [3.0, 1.0, 4.0, 2.0, 9.0]}, f"scores.{ending}")
        np.testing.assert_array_equal(scores_in_table(path, images), [1, 2, 3, 4])


def test_a_files_name_that_several_have_is_no_answer(images: ImageSet, tmp_path: Path) -> None:
    path = _table(tmp_path, {"path": ["a.png", "b.png", "x/c.png", "y/c.png"], "quality": [1.0, 2.0, 3.0, 4.0]})
    np.testing.assert_array_equal(scores_in_table(path, images), [np.nan, 2, np.nan, np.nan])


def test_scores_that_are_lower_for_better_are_turned_round(images: ImageSet, tmp_path: Path) -> None:
    path = _table(tmp_path, {"image": list(images.names), "score": [4.0, 3.0, None, float("inf")]})
    np.testing.assert_array_equal(scores_in_table(path, images, better="lower"), [-4, -3, np.nan, np.nan])
    np.testing.assert_array_equal(scores_in_table(path, images, better="higher"), [4, 3, np.nan, np.nan])


def test_of_a_run_the_score_is_taken_and_not_the_rating(images: ImageSet, tmp_path: Path) -> None:
    content = {
        "image": list(images.names),
        "part": ["test"] * 4,
        "quality": [5.0, 5.0, 5.0, 4.0],
        "score": [1.0, 2.0, 3.0, 4.0],
        "expected_quality": [2.0] * 4,
    }
    path = _table(tmp_path, content, "predictions.parquet")
    np.testing.assert_array_equal(scores_in_table(path, images), [1, 2, 3, 4])


def test_first_frames_stand_for_files_of_several(images: ImageSet, tmp_path: Path) -> None:
    path = _table(
        tmp_path, {"path": ["one/a.png", "one/a.png", "one/b.png"], "frame": [1, 2, 1], "quality": [1.0, 7.0, 2.0]}
    )
    np.testing.assert_array_equal(scores_in_table(path, images), [1, 2, np.nan, np.nan])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"image": ["b.png"], "musiq": [1.0]},
            r"which column holds the scores\? --column b.score=TITLE; it has image, ",
        ),
        (
            {"file": ["b.png"], "quality": [1.0]},
            r"which column holds the images\? --column b.image=TITLE; it has file,",
        ),
        ({"image": ["b.png"], "score": [1.0]}, r"say which way 'score' goes: --better b=higher or --better b=lower"),
        ({"image": ["b.png"], "score": [1.0], "quality": [1.0]}, "has both quality and score; say which"),
        ({"image": ["b.png", "b.png"], "quality": [1.0, 2.0]}, "b.png stands in it twice"),
        ({"image": ["z.png"], "quality": [1.0]}, "has no score of any of the 4 images; its first is 'z.png'"),
        ({"image": [], "quality": []}, "holds no row"),
    ],
)
def test_what_is_not_known_is_asked_for(
    images: ImageSet, tmp_path: Path, content: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        scores_in_table(_table(tmp_path, content), images, side="b.")


def test_columns_that_are_named_must_be_there(images: ImageSet, tmp_path: Path) -> None:
    path = _table(tmp_path, {"file": ["b.png"], "musiq": [61.0]})
    chosen = scores_in_table(path, images, image_column="file", score_column="musiq", better="higher")
    np.testing.assert_array_equal(chosen, [np.nan, 61, np.nan, np.nan])
    with pytest.raises(DataError, match="has no column 'niqe'; it has file, musiq"):
        scores_in_table(path, images, image_column="file", score_column="niqe", better="lower")
    with pytest.raises(DataError, match="there is no such table of scores"):
        scores_in_table(tmp_path / "none.csv", images)


def test_images_of_a_folder_and_of_a_data_set(roots: DataRoots, fake: FakeDataset, tmp_path: Path) -> None:
    rated = images_of_dataset(roots, "live-challenge", 1, "test")
    assert rated.ratings is not None
    assert len(rated.files) == len(rated.ratings) < len(images_of_dataset(roots, "live-challenge").files) == 24
    for path, name in zip(rated.files, rated.names, strict=True):
        assert path == fake.root / name
        assert path.is_file()
    whole = images_in_folder(fake.root)
    assert whole.ratings is None
    assert set(rated.names) <= set(whole.names)
    with pytest.raises(DataError, match="holds no image"):
        images_in_folder(tmp_path)
    with pytest.raises(DataError, match="no such folder of images"):
        images_in_folder(tmp_path / "none")


def test_a_models_scores_are_those_of_defnet_score_and_gone_on_with(
    model_file: Path, photographs: list[Path], tmp_path: Path, scorer: object
) -> None:
    images = images_in_folder(photographs[0].parent)
    chosen = ImageSet(images.files[:4], images.names[:4], None)
    counts: list[int] = []
    found = scores_by_model(str(model_file), chosen, tmp_path / "a.csv", device="cpu", advance=counts.append)
    expected = [score.quality for score in scorer.score(chosen.files)]  # type: ignore[attr-defined]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert sum(counts) == 4
    content = (tmp_path / "a.csv").read_bytes()
    again = scores_by_model(str(model_file), chosen, tmp_path / "a.csv", device="cpu")
    np.testing.assert_array_equal(again, found)
    assert (tmp_path / "a.csv").read_bytes() == content


def test_an_image_that_cannot_be_scored_is_told_and_has_no_score(
    model_file: Path, photographs: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    images = ImageSet((photographs[0], broken), ("whole", "broken.png"), None)
    told: list[str] = []
    found = scores_by_model(str(model_file), images, tmp_path / "a.csv", device="cpu", failed=told.append)
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    assert len(told) == 1
    assert told[0].startswith(str(broken))
