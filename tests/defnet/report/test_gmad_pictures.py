"""Pictures of gMAD pairs: the right images in the right places."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from defnet import DataError
from defnet.experiments.gmad import Competition, compete
from defnet.report.gmad_pictures import pairs_picture, scores_picture


@pytest.fixture
def competition() -> tuple[dict[str, np.ndarray], list[str], Competition]:
    generator = np.random.default_rng(2)
    scores = {"a": generator.normal(size=30), "b": generator.normal(size=30)}
    images = [f"{i}.png" for i in range(30)]
    return scores, images, compete(scores, images, np.arange(30.0), levels=2, tolerance=0.5)


def test_pairs_stand_above_each_other(
    competition: tuple[dict[str, np.ndarray], list[str], Competition], tmp_path: Path
) -> None:
    scores, images, found = competition
    files = {}
    for number, name in enumerate(images):
        files[name] = tmp_path / name
        Image.new("RGB", (1000, 500), (8 * number, 0, 0)).save(files[name])
    shown = [axes for axes in pairs_picture(found, files).axes if axes.get_images()]
    assert len(shown) == 2 * len(found.pairs) == 8
    by_place = [
        name
        for attacker in ("a", "b")
        for which in ("better", "worse")
        for name in [getattr(pair, which) for pair in found.pairs if pair.attacker == attacker]
    ]
    for axes, name in zip(shown, by_place, strict=True):
        pixels = np.asarray(axes.get_images()[0].get_array())
        assert max(pixels.shape) == 480
        assert pixels[0, 0, 0] == 8 * int(name.removesuffix(".png"))
        number = int(name.removesuffix(".png"))
        title = axes.get_title()
        assert all(f"{model} {values[number]:.2f}" in title for model, values in scores.items())
        assert f"rated {number:.2f}" in title
    assert "b fixed, 10 % below" in shown[0].get_title()


def test_an_image_that_is_gone_is_said(
    competition: tuple[dict[str, np.ndarray], list[str], Competition], tmp_path: Path
) -> None:
    _, images, found = competition
    with pytest.raises(DataError, match=r"\d+\.png"):
        pairs_picture(found, {name: tmp_path / name for name in images})


def test_lines_join_the_two_of_a_pair(competition: tuple[dict[str, np.ndarray], list[str], Competition]) -> None:
    scores, images, found = competition
    [axes] = scores_picture(scores, images, found).axes
    np.testing.assert_allclose(axes.collections[0].get_offsets(), np.stack([scores["a"], scores["b"]], 1))
    ends = [np.stack(line.get_data(), 1) for line in axes.get_lines()]
    expected = [
        [[scores[model][images.index(name)] for model in ("a", "b")] for name in (pair.better, pair.worse)]
        for pair in found.pairs
    ]
    np.testing.assert_allclose(ends, expected)
