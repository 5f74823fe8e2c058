"""From photographs that nobody has rated to a data set with ratings."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from scipy import stats
from typer.testing import CliRunner

from defnet import ConfigError, DataError, DataRoots
from defnet.cli import app
from defnet.pseudo_ratings.photographs import choose_photographs, jpeg_quality
from defnet.pseudo_ratings.rated_folder import PseudoRatings, pseudo_rate
from iqa_datasets import load

SIZE = (192, 176)
OPTIONS: dict[str, Any] = {"metrics": ["psnr", "gmsd", "vsi"], "size": SIZE, "per_piece": 8, "workers": 1}


def _photograph(seed: int, width: int = 400, height: int = 320) -> Image.Image:
    """Coarse shapes and fine grain, as photographs have both."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(30, 226, (5, 6, 3), dtype=np.uint8)).resize((width, height), 3)
    grain = Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return Image.blend(coarse, grain.filter(ImageFilter.GaussianBlur(1)), 0.25)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(("a.png", "b é.jpg", "more/a.png")):
        (folder / name).parent.mkdir(exist_ok=True)
        _photograph(number).save(folder / name, quality=95)
    return folder


@pytest.fixture(scope="module")
def made(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> PseudoRatings:
    return pseudo_rate(photographs, tmp_path_factory.mktemp("rated") / "out", **OPTIONS)


def test_it_loads_as_a_data_set_with_sessions_by_content(made: PseudoRatings) -> None:
    dataset = load("folder", made.folder, session="seeded-1:0.34/0.33/0.33")
    assert len(dataset) == len(made.records) == 3 * 9
    assert dataset.records["content"].nunique() == 3
    assert set(dataset.records["session_part"]) == {"train", "val", "test"}
    np.testing.assert_allclose(sorted(dataset.records["quality"]), sorted(1 + 4 * made.records["rating"]), rtol=1e-6)
    assert dataset.records["mos_std"].notna().all()
    assert DataRoots(folders={"synthetic": made.folder}).load("synthetic").records["distortion"].nunique() > 3


def test_a_piece_is_rated_above_all_that_was_made_of_it(made: PseudoRatings) -> None:
    for reference, rows in made.records.groupby("reference"):
        pristine = rows[rows["image"] == reference]
        assert len(pristine) == 1
        assert (pristine["rating"].item() > rows.loc[rows["image"] != reference, "rating"]).all()
        assert pristine["psnr"].item() == pytest.approx(80)


def test_ratings_follow_their_metrics(made: PseudoRatings) -> None:
    """Each metric by its own direction, whatever the fusion: GMSD is lower for better images."""
    table = made.records
    for metric, sign in (("psnr", 1), ("gmsd", -1), ("vsi", 1)):
        assert sign * stats.spearmanr(table[metric], table["rating"])[0] > 0.5
    assert sum(made.weights.values()) == pytest.approx(1)
    assert ((table["rating"] >= 0) & (table["rating"] <= 1)).all()
    assert (table["rating_std"] > 0).all()


def test_the_same_again_and_in_two_processes(made: PseudoRatings, photographs: Path, tmp_path: Path) -> None:
    again = pseudo_rate(photographs, tmp_path / "again", **{**OPTIONS, "workers": 2})
    assert (again.folder / "ratings.csv").read_bytes() == (made.folder / "ratings.csv").read_bytes()
    other = pseudo_rate(photographs, tmp_path / "other", **OPTIONS, seed=1)
    assert (other.folder / "ratings.csv").read_bytes() != (made.folder / "ratings.csv").read_bytes()


@pytest.mark.parametrize("stage", ["cutting", "distorting", "measuring"])
def test_a_stopped_run_goes_on_to_the_same_end(
    stage: str, made: PseudoRatings, photographs: Path, tmp_path: Path
) -> None:
    def stops(items: Iterable[Any], _total: int, what: str) -> Iterable[Any]:
        for number, item in enumerate(items):
            yield item
            if what == stage and number == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pseudo_rate(photographs, tmp_path / "out", **OPTIONS, track=stops)
    assert not (tmp_path / "out" / "ratings.csv").exists()
    whole = pseudo_rate(photographs, tmp_path / "out", **OPTIONS)
    assert (whole.folder / "ratings.csv").read_bytes() == (made.folder / "ratings.csv").read_bytes()


def test_more_can_be_made_in_the_same_folder(made: PseudoRatings, photographs: Path, tmp_path: Path) -> None:
    pseudo_rate(photographs, tmp_path / "out", **{**OPTIONS, "per_piece": 4})
    more = pseudo_rate(photographs, tmp_path / "out", **OPTIONS)
    pd.testing.assert_frame_equal(
        more.records.sort_values("image", ignore_index=True), made.records.sort_values("image", ignore_index=True)
    )


@pytest.mark.parametrize(("width", "height", "taken"), [(192, 176, True), (191, 176, False), (192, 175, False)])
def test_a_photograph_as_large_as_a_piece_is_large_enough(tmp_path: Path, width: int, height: int, taken: bool) -> None:
    _photograph(3).save(tmp_path / "good.png")
    _photograph(4, width, height).save(tmp_path / "small.png")
    assert ("small.png" in choose_photographs(tmp_path, SIZE).chosen) is taken


def test_photographs_that_are_no_references_are_named(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    good = _photograph(9)
    good.save(folder / "good.png")
    good.resize((380, 304)).save(folder / "good again.png")
    _photograph(10, 300, 150).save(folder / "small.png")
    _photograph(11).save(folder / "ruined.jpg", quality=40)
    _photograph(12).filter(ImageFilter.GaussianBlur(4)).save(folder / "ruined.webp", quality=1)
    (folder / "broken.png").write_bytes(b"nothing")
    found = choose_photographs(folder, SIZE)
    assert found.chosen == ("good again.png",)
    reasons = {Path(path).name: reason for path, reason in found.refused}
    assert reasons["good.png"] == "shows the same picture as good again.png"
    assert "is 300x150, smaller than the 192x176" in reasons["small.png"]
    assert "JPEG file of quality 40, below 75" in reasons["ruined.jpg"]
    assert "bits a pixel" in reasons["ruined.webp"]
    assert len(reasons) == 5
    (folder / "good.png").unlink()
    (folder / "good again.png").unlink()
    with pytest.raises(DataError, match="holds no photograph that could be a reference; the first of 4"):
        choose_photographs(folder, SIZE)
    with pytest.raises(DataError, match="there is no such folder"):
        choose_photographs(folder / "none", SIZE)


@pytest.mark.parametrize("quality", [30, 50, 75, 92])
def test_the_quality_of_a_jpeg_file_is_that_of_its_encoder(quality: int, tmp_path: Path) -> None:
    _photograph(0).save(tmp_path / "a.jpg", quality=quality)
    found = jpeg_quality(tmp_path / "a.jpg")
    assert found is not None
    assert round(found) == quality
    assert jpeg_quality(__file__) is None


def test_other_settings_and_other_folders_are_refused(made: PseudoRatings, photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"method was 'robust' and is 'mean-rank'|seed was 0 and is 3"):
        pseudo_rate(photographs, made.folder, **OPTIONS, seed=3)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty and was not made by pseudo-rate"):
        pseudo_rate(photographs, tmp_path, **OPTIONS)
    with pytest.raises(ConfigError, match="the metric 'musiq' is unknown"):
        pseudo_rate(photographs, tmp_path / "out", **{**OPTIONS, "metrics": ["psnr", "musiq"]})
    with pytest.raises(ConfigError, match="brisque does not compare with a reference"):
        pseudo_rate(photographs, tmp_path / "out2", **{**OPTIONS, "metrics": ["psnr", "brisque"]})
    with pytest.raises(ConfigError, match="method is 'best'"):
        pseudo_rate(photographs, tmp_path / "out", **OPTIONS, method="best")


def test_the_command_says_what_it_refused(photographs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    _photograph(1).save(folder / "a.png")
    _photograph(2, 100, 100).save(folder / "b.png")
    options = ["--metrics", "psnr,gmsd,vsi", "--size", "192x176", "--per-piece", "3", "--workers", "1"]
    result = CliRunner().invoke(app, ["pseudo-rate", str(folder), str(tmp_path / "out"), *options])
    assert result.exit_code == 1, result.output
    assert 'b.png,"is 100x100, smaller' in result.stdout
    assert "4 images of 1 pieces rated; 1 photographs refused" in result.stderr
    content = json.loads((tmp_path / "out/pseudo-ratings.json").read_text())
    assert content["settings"]["metrics"] == ["psnr", "gmsd", "vsi"]
    assert content["images"] == 4
    assert Path(content["refused"][0]["path"]).name == "b.png"
    (folder / "b.png").unlink()
    result = CliRunner().invoke(app, ["pseudo-rate", str(folder), str(tmp_path / "out"), *options])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, ["pseudo-rate", str(folder), str(tmp_path / "out"), "--size", "big"])
    assert result.exit_code == 2
    assert "--size must be WIDTHxHEIGHT, such as 512x384, got 'big'" in result.stderr
