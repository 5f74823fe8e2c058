"""Crops at several scales of one photograph."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clip_iqa_backbone import CropPlan, ImageError, make_views, open_image
from defnet.data.batches import random_views
from defnet.data.views import cut_pool_views, scaled_crops


def picture(width: int, height: int) -> Image.Image:
    coarse = np.random.default_rng(3).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


class Drawn:
    """A generator that gives the factors that it is told, and remembers the bounds that it was asked within."""

    def __init__(self, factors: list[float], seed: int = 0) -> None:
        self.factors, self.rng = factors, np.random.default_rng(seed)
        self.bounds: tuple[float, float] | None = None
        self.positions: list[list[int]] = []

    def uniform(self, low: float, high: float, count: int) -> np.ndarray:
        self.bounds = (float(np.exp(low)), float(np.exp(high)))
        return np.log(self.factors[:count])

    def integers(self, *args: object, **options: object) -> np.ndarray:
        found = self.rng.integers(*args, **options)  # type: ignore[call-overload]
        self.positions.append(found.tolist())
        return found


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.77, 1.0, 1.6, 3.0])
def test_a_crop_is_that_of_the_resized_image(factor: float) -> None:
    """Though no more than the crop is computed."""
    image, drawn = picture(320, 240), Drawn([factor] * 8)
    crops = scaled_crops(image, 8, 64, (0.3, 3.0), drawn)  # type: ignore[arg-type]
    whole = image.resize((round(320 * factor), round(240 * factor)), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(whole)).permute(2, 0, 1).int()
    for crop, (x, y) in zip(crops, drawn.positions, strict=True):
        assert (crop.int() - pixels[:, y : y + 64, x : x + 64]).abs().max() <= (0 if factor == 1 else 1)
    assert len({tuple(position) for position in drawn.positions}) > 4


def test_factors_are_log_uniform_and_never_too_small() -> None:
    image = picture(320, 240)
    rng = np.random.default_rng(0)
    sizes: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def watched(
        self: Image.Image, size: tuple[int, int], *args: object, box: tuple[float, ...], **kw: object
    ) -> object:
        sizes.append((round(size[0] * self.width / (box[2] - box[0])), self.width))
        return resize(self, size, *args, box=box, **kw)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", watched)
        scaled_crops(image, 600, 24, (0.25, 4.0), rng)
    logs = np.log2([wide / width for wide, width in sizes])
    assert -2.02 <= logs.min() < -1.9
    assert 1.9 < logs.max() <= 2.02
    # Each of the four octaves has about a quarter.
    counts = np.histogram(logs, bins=[-2.1, -1, 0, 1, 2.1])[0]
    assert ((counts > 110) & (counts < 190)).all()
    for scales, size, expected in (
        ((0.1, 2.0), 120, (0.5, 2.0)),
        ((0.1, 0.4), 120, (0.5, 0.5)),  # no factor would do: the one at which a crop fits
        ((0.1, 0.4), 480, (2.0, 2.0)),
    ):
        drawn = Drawn([expected[0]])
        assert scaled_crops(image, 1, size, scales, drawn).shape == (1, 3, size, size)  # type: ignore[arg-type]
        assert drawn.bounds == pytest.approx(expected)


def test_without_scales_nothing_changes_and_with_them_the_whole_image_does_not(photographs: list[Path]) -> None:
    path = photographs[3]
    plan = CropPlan(kind="random", count=4, size=64)
    plain = make_views(open_image(path), plan, generator=np.random.default_rng(5))
    for scales in (None, (0.5, 1.0)):
        local, global_view = random_views(path, 4, 64, False, np.random.default_rng(5), None, scales)
        assert torch.equal(global_view, plain.global_view)
        assert torch.equal(local, plain.local) == (scales is None)
    one, same, other = (cut_pool_views(path, 4, 64, True, seed, None, (0.5, 1.0)) for seed in (0, 0, 1))
    assert torch.equal(one[0], same[0])
    assert not torch.equal(one[0], other[0])
    without = cut_pool_views(path, 4, 64, True, 0)
    assert torch.equal(one[1], without[1])
    assert not torch.equal(one[0], without[0])


def test_what_is_too_narrow_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sliver.png"
    Image.new("RGB", (3000, 12)).save(path)
    with pytest.raises(ImageError, match=r"sliver\.png: is 3000x12: too narrow to enlarge"):
        cut_pool_views(path, 4, 224, False, 0, None, (0.5, 1.0))
