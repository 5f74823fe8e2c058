"""Pools of pre-cut views: what is in them, when they are used again, and builds that were interrupted."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from clip_iqa_backbone import CropPlan, ImageError, make_views, open_image
from defnet import DataError, DEFNet
from defnet.data.view_pool import ViewPool, build_pool
from defnet.data.views import cut_plan_views, cut_pool_views

Cut = Callable[[Path], tuple[torch.Tensor, torch.Tensor]]


def small_cut(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    return cut_pool_views(path, 4, 32, True, 0)


def same(one: ViewPool, other: ViewPool) -> bool:
    return len(one) == len(other) and all(
        torch.equal(one.local(row), other.local(row)) and torch.equal(one.global_view(row), other.global_view(row))
        for row in range(len(one))
    )


def files_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def contains(image: torch.Tensor, crop: torch.Tensor) -> bool:
    """Whether a crop (3, S, S) stands somewhere in an image (3, H, W)."""
    size = crop.shape[-1]
    first = (image[0, : image.shape[1] - size + 1, : image.shape[2] - size + 1] == crop[0, 0, 0]).nonzero()
    return any(torch.equal(image[:, y : y + size, x : x + size], crop) for y, x in first.tolist())


def test_every_second_view_of_a_training_pool_is_mirrored(photographs: list[Path]) -> None:
    path = photographs[0]
    image = torch.from_numpy(np.array(open_image(path))).permute(2, 0, 1)
    local, global_view = cut_pool_views(path, 6, 64, True, 3)
    assert (local.shape, local.dtype) == ((6, 3, 64, 64), torch.uint8)
    for k in range(6):
        crop = local[k] if k % 2 == 0 else local[k].flip(-1)
        assert contains(image, crop)
        assert not contains(image, crop.flip(-1))
    assert global_view.shape == (2, 3, 64, 64)
    assert torch.equal(global_view[1], global_view[0].flip(-1))
    plain, one_global = cut_pool_views(path, 6, 64, False, 3)
    assert torch.equal(plain[::2], local[::2])
    assert torch.equal(plain[1::2], local[1::2].flip(-1))
    assert torch.equal(one_global, global_view[:1])


def test_crops_of_a_pool_depend_on_the_seed_and_the_files_name_alone(photographs: list[Path], tmp_path: Path) -> None:
    first = small_cut(photographs[0])[0]
    copy = Path(shutil.copy(photographs[0], tmp_path))
    assert torch.equal(small_cut(copy)[0], first)
    renamed = Path(shutil.copy(photographs[0], tmp_path / "other.bmp"))
    assert not torch.equal(small_cut(renamed)[0], first)
    assert not torch.equal(cut_pool_views(photographs[0], 4, 32, True, 1)[0], first)


def test_views_for_scoring_are_those_of_the_plan(photographs: list[Path]) -> None:
    plan = CropPlan(count=5, size=64)
    local, global_view = cut_plan_views(photographs[2], plan)
    views = make_views(open_image(photographs[2]), plan)
    assert torch.equal(local, views.local)
    assert torch.equal(global_view, views.global_view[None])


def test_a_pool_holds_the_views_in_the_order_of_the_paths(photographs: list[Path], tmp_path: Path) -> None:
    done: list[int] = []
    pool = build_pool(tmp_path, photographs, small_cut, {"a": 1}, advance=done.append)
    assert (len(pool), pool.counts(0)) == (len(photographs), (4, 2))
    assert sum(done) == len(photographs)
    for row, path in enumerate(photographs):
        local, global_view = small_cut(path)
        assert torch.equal(pool.local(row), local)
        assert torch.equal(pool.global_view(row), global_view)


def test_features_are_kept_in_half_precision_and_are_finite(
    photographs: list[Path], tmp_path: Path, make_model: Callable[..., DEFNet]
) -> None:
    backbone = make_model().eval().backbone
    paths = photographs[:4]

    def cut(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        return cut_pool_views(path, 4, 224, True, 0)

    with torch.no_grad():
        pool = build_pool(tmp_path, paths, cut, {}, encode=backbone.image_features)
        for row, path in enumerate(paths):
            local, global_view = cut(path)
            assert pool.local(row).shape == (4, backbone.image.feature_dim)
            assert pool.local(row).dtype == torch.float16
            assert torch.isfinite(pool.local(row)).all()
            for found, views in ((pool.local(row), local), (pool.global_view(row), global_view)):
                expected = backbone.image_features(views)
                assert found.float().numpy() == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-4)


def test_a_feature_beyond_half_precision_is_an_error(photographs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not fit half precision"):
        build_pool(tmp_path, photographs[:1], small_cut, {}, encode=lambda views: torch.full((len(views), 3), 1e5))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_pool_is_used_again_and_grows(photographs: list[Path], tmp_path: Path) -> None:
    build_pool(tmp_path, photographs[:6], small_cut, {"a": 1})
    before = files_in(tmp_path)

    def only(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        assert path in photographs[6:8], f"{path.name} was cut again"
        return small_cut(path)

    pool = build_pool(tmp_path, [*photographs[3:8], photographs[0]], only, {"a": 1})
    after = files_in(tmp_path)
    assert after.items() >= before.items()
    assert len(after) == len(before) + 2
    for row, path in enumerate([*photographs[3:8], photographs[0]]):
        assert torch.equal(pool.local(row), small_cut(path)[0])


def test_another_key_is_another_pool(photographs: list[Path], tmp_path: Path) -> None:
    build_pool(tmp_path, photographs[:3], small_cut, {"trunk": "one"})
    before = files_in(tmp_path)
    other = build_pool(
        tmp_path, photographs[:3], lambda path: cut_pool_views(path, 4, 32, True, 9), {"trunk": "another"}
    )
    assert torch.equal(other.local(0), cut_pool_views(photographs[0], 4, 32, True, 9)[0])
    assert files_in(tmp_path).items() > before.items()


def test_a_file_that_has_changed_is_cut_again(photographs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [Path(shutil.copy(path, folder)) for path in photographs[:3]]
    first = build_pool(tmp_path / "pool", paths, small_cut, {})
    stamp = paths[1].stat().st_mtime_ns
    shutil.copy(photographs[4], paths[1])
    os.utime(paths[1], ns=(stamp + 10**9, stamp + 10**9))
    second = build_pool(tmp_path / "pool", paths, small_cut, {})
    assert torch.equal(second.local(0), first.local(0))
    assert torch.equal(second.local(1), small_cut(paths[1])[0])
    assert not torch.equal(second.local(1), first.local(1))


def test_an_unreadable_image_is_named_and_what_came_before_is_kept(photographs: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photographs[1].read_bytes()[:-200])
    paths = [*photographs[:9], broken, *photographs[9:12]]
    with pytest.raises(ImageError, match=r"broken\.png: is damaged or truncated"):
        build_pool(tmp_path / "pool", paths, small_cut, {})
    kept = files_in(tmp_path / "pool")
    assert len(kept) >= 8
    assert not [name for name in kept if name.endswith(".part")]
    broken.write_bytes(photographs[1].read_bytes())
    build_pool(tmp_path / "pool", paths, small_cut, {})
    assert files_in(tmp_path / "pool").items() >= kept.items()


def whole_files(folder: Path) -> set[Path]:
    """Files of views; what is being written has a hidden name."""
    return {path for path in folder.rglob("*.safetensors") if not path.name.startswith(".")}


def test_a_build_that_was_killed_goes_on(photographs: list[Path], tmp_path: Path) -> None:
    """Whatever moment the process dies at, no half file is taken for a whole one and nothing is done twice."""
    expected = build_pool(tmp_path / "whole", photographs, small_cut, {})
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        process = context.Process(target=build_pool, args=(tmp_path / "killed", photographs, slow_cut, {}))
        process.start()
        before = len(whole_files(tmp_path / "killed"))
        deadline = time.monotonic() + 60
        while len(whole_files(tmp_path / "killed")) < before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -9
    finished = whole_files(tmp_path / "killed")
    assert 6 <= len(finished) < len(photographs)
    again: list[Path] = []

    def counted(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        again.append(path)
        return small_cut(path)

    pool = build_pool(tmp_path / "killed", photographs, counted, {})
    assert same(pool, expected)
    assert len(again) == len(photographs) - len(finished)


def slow_cut(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    time.sleep(0.05)
    return small_cut(path)


def test_a_pool_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        ViewPool([])


def test_a_pools_files_hold_tensors_only(photographs: list[Path], tmp_path: Path) -> None:
    build_pool(tmp_path, photographs[:1], small_cut, {})
    [file] = tmp_path.rglob("*.safetensors")
    tensors = load_file(file)
    assert set(tensors) == {"local", "global"}
    save_file(tensors, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == file.read_bytes()


def test_an_image_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    sliver = tmp_path / "sliver.png"
    Image.new("RGB", (1, 20000)).save(sliver)
    with pytest.raises(ImageError, match=r"sliver\.png: is 1x20000"):
        cut_pool_views(sliver, 4, 224, False, 0)


def test_a_damaged_file_of_the_pool_is_named(tmp_path: Path) -> None:
    file = tmp_path / "0.safetensors"
    save_file({"local": torch.zeros(1), "global": torch.zeros(1)}, file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"0\.safetensors: is not a whole file"):
        ViewPool([file])
