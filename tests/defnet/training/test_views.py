"""The views that a run is given: what they depend on, and that the configuration's choices reach them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clip_iqa_backbone import CropPlan
from defnet import DataRoots, TrainConfig
from defnet.data.mixture import load_mixture
from defnet.data.table import ImageTable
from defnet.data.views import cut_plan_views, cut_pool_views, with_short_side
from defnet.model.initial_model import build_model
from defnet.training.optimizer import freeze
from defnet.training.reporter import Silent
from defnet.training.views import RunViews

MakeConfig = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def tables(roots: DataRoots, make_config: MakeConfig) -> tuple[ImageTable, ImageTable]:
    return load_mixture(make_config(), roots)


def views_of(config: TrainConfig, cache: Path) -> RunViews:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
    freeze(model, config)
    return RunViews(config, model, cache, Silent())


def write_clip(folder: Path, *, activation: str = "gelu", mean: float = 0.5) -> str:
    """A tiny random CLIP as a folder; the same weights every time."""
    import open_clip

    tower = {"layers": 2, "width": 32}
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {**tower, "image_size": 32, "patch_size": 16, "head_width": 16},
            "text_cfg": {**tower, "context_length": 77, "vocab_size": 49408, "heads": 2},
            "quick_gelu": activation == "quick_gelu",
        },
        "preprocess_cfg": {"mean": [mean] * 3, "std": [0.2] * 3},
    }
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    if not (folder / "open_clip_model.safetensors").exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            state = open_clip.create_model(f"local-dir:{folder}").state_dict()
        save_file(state, folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


@pytest.mark.parametrize("edit", [{"activation": "quick_gelu"}, {"mean": 0.4}])
def test_features_of_an_edited_model_are_not_taken_for_the_old_ones(
    edit: dict[str, Any], make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    """The name and the weights are the same; what is computed is not."""
    found = []
    for change in ({}, edit, {}):
        name = write_clip(tmp_path / "clip", **change)
        config = make_config(backbone={"name": name, "freeze_trunk": True})
        pool = views_of(config, tmp_path / "pools").scoring_pool(tables[1])
        found.append(torch.stack([pool.local(row) for row in range(len(pool))]))
    # Beyond the rounding of half precision, in which features are kept.
    assert (found[0] - found[1]).abs().max() > 2e-3 * found[0].abs().max()
    assert torch.equal(found[0], found[2])


def test_runs_that_differ_in_what_learns_share_their_features(
    make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    changes: list[dict[str, Any]] = [{}, {"backbone": {"lite": {"embed_dim": 24}}}, {"objective": {"tau": 1.0}}]
    for change in changes:
        views_of(make_config(**change), tmp_path).scoring_pool(tables[1])
    assert len(list((tmp_path / "validation").iterdir())) == 1
    views_of(make_config(backbone={"lite": {"stages": [0, 2]}}), tmp_path).scoring_pool(tables[1])
    views_of(make_config(precision="bf16"), tmp_path).scoring_pool(tables[1])
    views_of(make_config(crops={"short_side": 230}), tmp_path).scoring_pool(tables[1])
    assert len(list((tmp_path / "validation").iterdir())) == 4


@pytest.mark.parametrize("source", ["pool", "images"])
def test_without_flips_nothing_is_mirrored(
    source: str, make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    """The draws are the same with and without flips, so that every second view, or every second image, differs."""
    options = {"freeze_trunk": False}
    drawn = {}
    for flip in (True, False):
        config = make_config(backbone=options, crops={"train_source": source, "flip": flip, "pool_size": 4})
        batches = views_of(config, tmp_path).training_batches(tables[0], standardize=False)
        drawn[flip] = [batches[step] for step in range(4)]
        if source == "pool":
            pool = batches._pool
            assert pool.counts(0) == (4, 2 if flip else 1)
            for row in range(len(pool)):
                plain, _ = cut_pool_views(tables[0].paths[row], 4, 224, False, 0)
                mirrored = [not torch.equal(*pair) for pair in zip(pool.local(row), plain, strict=True)]
                assert mirrored == [False, flip, False, flip]
    globals_ = {flip: torch.cat([batch[1] for batch in batches]) for flip, batches in drawn.items()}
    if source == "images":
        differing = [not torch.equal(one, other) for one, other in zip(globals_[True], globals_[False], strict=True)]
        assert 2 <= sum(differing) <= len(differing) - 2
        for one, other, differs in zip(globals_[True], globals_[False], differing, strict=True):
            assert torch.equal(one, other.flip(-1) if differs else other)


@pytest.mark.parametrize("plan", ["grid", "random", "liqe"])
def test_validation_sees_the_crops_that_scoring_sees(
    plan: str, make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    config = make_config(backbone={"freeze_trunk": False}, crops={"test_plan": plan, "test_count": 5}, seed=3)
    pool = views_of(config, tmp_path).scoring_pool(tables[1])
    for row, path in enumerate(tables[1].paths):
        local, global_view = cut_plan_views(path, CropPlan(kind=plan, count=5, size=224, seed=3))
        assert torch.equal(pool.local(row), local)
        assert torch.equal(pool.global_view(row), global_view)


def test_a_short_side_is_that_long_and_the_shape_stays() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    assert with_short_side(image, None) is image
    assert with_short_side(image, 300) is image
    assert with_short_side(image, 768).size == (1024, 768)
    assert with_short_side(image, 150).size == (200, 150)
    assert with_short_side(image.rotate(90, expand=True), 768).size == (768, 1024)
    # Smaller without aliases: a mean of the pixels stays a mean.
    small = np.asarray(with_short_side(image, 30), float)
    assert small.mean() == pytest.approx(np.asarray(image, float).mean(), abs=1)
    assert small.std() < 20
    with pytest.raises(ValueError, match="is 10x1000: too narrow to enlarge its short side to 768 pixels"):
        with_short_side(Image.new("RGB", (10, 1000)), 768)


@pytest.mark.parametrize("source", ["pool", "images"])
def test_a_short_side_reaches_training_and_validation(
    source: str, make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    crops = {"train_source": source, "short_side": 224, "flip": False, "test_count": 1}
    views = views_of(make_config(backbone={"freeze_trunk": False}, crops=crops), tmp_path)
    path = tables[1].paths[0]
    plan = CropPlan(count=1, size=224)
    assert torch.equal(views.scoring_pool(tables[1]).local(0), cut_plan_views(path, plan, 224)[0])
    # Of an image whose short side is one crop, all crops lie along the long side.
    batches = views.training_batches(tables[0], standardize=False)
    local, _, _ = batches[0]
    for crop, file in zip(local[:, 0], batches.paths(0), strict=True):
        from clip_iqa_backbone import open_image

        frame = torch.from_numpy(np.array(with_short_side(open_image(file), 224))).permute(2, 0, 1)
        width, height = frame.shape[2], frame.shape[1]
        places = [(0, x) for x in range(width - 223)] + [(y, 0) for y in range(height - 223)]
        assert any(torch.equal(crop, frame[:, y : y + 224, x : x + 224]) for y, x in places)


@pytest.mark.parametrize("source", ["pool", "images"])
def test_scales_reach_training_and_no_other_views(
    source: str, make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    drawn, scored = {}, {}
    for scales in (None, [1.1, 1.2], [1.3, 1.5]):
        crops = {"train_source": source, "scales": scales, "flip": False}
        views = views_of(make_config(backbone={"freeze_trunk": False}, crops=crops), tmp_path)
        drawn[str(scales)] = views.training_batches(tables[0], standardize=False)[0]
        scored[str(scales)] = views.scoring_pool(tables[1]).local(0)
    none, some, others = drawn.values()
    assert torch.equal(none[1], some[1])
    assert not torch.equal(none[0], some[0])
    assert not torch.equal(some[0], others[0])
    assert len({crops.numpy().tobytes() for crops in scored.values()}) == 1
    assert len(list((tmp_path / "validation").iterdir())) == 1
    if source == "pool":
        assert len(list((tmp_path / "training").iterdir())) == 3


def test_pools_that_were_made_before_there_were_scales_are_found(
    make_config: MakeConfig, tables: tuple[ImageTable, ImageTable], tmp_path: Path
) -> None:
    views_of(make_config(backbone={"freeze_trunk": False}), tmp_path).training_batches(tables[0], standardize=False)
    key = {"count": 4, "flip": True, "seed": 0, "short_side": None, "size": 224}
    [folder] = (tmp_path / "training").iterdir()
    assert folder.name == hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
