"""Which images, crops and flips a step sees: functions of the seed and the step alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from clip_iqa_backbone import CropPlan, make_views, open_image
from defnet import CropsConfig, DataError, DataRoots
from defnet.data.batches import ImageBatches, PoolBatches, random_views
from defnet.data.sampling import BatchPlan
from defnet.data.table import ImageTable
from defnet.data.view_pool import build_pool
from defnet.data.views import cut_pool_views
from iqa_datasets import DISTORTIONS, SCENES, IQADataset


@pytest.fixture(scope="module")
def dataset(roots: DataRoots) -> IQADataset:
    return roots.load("live-challenge", 1)


@pytest.fixture(scope="module")
def table(dataset: IQADataset) -> ImageTable:
    return ImageTable.from_datasets([dataset.part("train")])


def test_a_table_holds_what_the_records_say(dataset: IQADataset) -> None:
    parts = [dataset.part("val"), dataset.part("train")]
    table = ImageTable.from_datasets(parts)
    records = [record for part in parts for record in part]
    assert [str(path) for path in table.paths] == [record.image_path for record in records]
    assert table.quality.tolist() == pytest.approx([record.quality for record in records])
    assert 1 <= table.quality.min() < table.quality.max() <= 5
    for row, record in enumerate(records):
        assert {SCENES[k] for k in table.scenes[row].nonzero().flatten().tolist()} == set(record.scenes)
        assert [DISTORTIONS[k] for k in table.distortion[row].nonzero().flatten().tolist()] == [record.distortion]
    assert table.dataset.tolist() == [0] * len(parts[0]) + [1] * len(parts[1])
    chosen = table.targets(np.array([3, 0]))
    assert chosen.quality.tolist() == table.quality[[3, 0]].tolist()
    assert torch.equal(chosen.scenes, table.scenes[[3, 0]])


def test_what_is_not_labelled_is_a_row_of_zeros(dataset: IQADataset) -> None:
    part = dataset.part("val")
    records = part.records.copy()
    records["scenes"] = [()] * len(records)
    records["distortion"] = records["distortion"].where([False] * len(records))
    table = ImageTable.from_datasets([IQADataset(part.card, part.root, records, part.session)])
    assert not table.scenes.any()
    assert not table.distortion.any()


def test_an_image_without_a_score_is_named(dataset: IQADataset) -> None:
    part = dataset.part("val")
    records = part.records.copy()
    records.loc[1, ["mos", "quality"]] = np.nan
    broken = IQADataset(part.card, part.root, records, part.session)
    with pytest.raises(DataError, match=rf"{Path(part[1].image_path).name}: has no quality score"):
        ImageTable.from_datasets([broken])


@given(sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), min_size=1, max_size=3), seed=st.integers(0, 9))
def test_every_image_comes_once_a_pass(sizes: list[tuple[int, int]], seed: int) -> None:
    dataset = torch.tensor([number for number, (images, _) in enumerate(sizes) for _ in range(images)])
    batch_sizes = [batch for _, batch in sizes]
    plan = BatchPlan(dataset, batch_sizes, seed)
    steps = 2 * max(images for images, _ in sizes)
    drawn: list[list[int]] = [[] for _ in sizes]
    for step in range(steps):
        rows = plan.rows(step)
        # Data sets stand one after the other, each with its share.
        assert dataset[rows].tolist() == [n for n, batch in enumerate(batch_sizes) for _ in range(batch)]
        for row in rows.tolist():
            drawn[int(dataset[row])].append(row)
    for number, (images, batch) in enumerate(sizes):
        assert len(drawn[number]) == steps * batch
        everything = torch.nonzero(dataset == number).flatten().tolist()
        for start in range(0, len(drawn[number]) - images + 1, images):
            assert sorted(drawn[number][start : start + images]) == everything


def test_batches_are_functions_of_seed_and_step() -> None:
    dataset = torch.zeros(11, dtype=torch.int64)
    one, other, reseeded = (BatchPlan(dataset, [4], seed) for seed in (3, 3, 4))
    forward = [one.rows(step).tolist() for step in range(12)]
    assert [other.rows(step).tolist() for step in reversed(range(12))] == forward[::-1]
    assert [reseeded.rows(step).tolist() for step in range(12)] != forward
    # Passes are shuffled anew.
    flat = [row for rows in forward for row in rows]
    assert flat[:11] != flat[11:22]


def test_a_data_set_without_training_images_is_an_error() -> None:
    with pytest.raises(DataError, match="data set number 2 of the mixture has no training image"):
        BatchPlan(torch.zeros(3, dtype=torch.int64), [2, 2], 0)


def test_random_views_are_crops_of_the_image_or_of_its_mirror(table: ImageTable) -> None:
    path = table.paths[0]
    mirrored = 0
    for seed in range(20):
        local, global_view = random_views(path, 3, 64, True, np.random.default_rng(seed))
        plain = make_views(
            open_image(path), CropPlan(kind="random", count=3, size=64), generator=np.random.default_rng(seed)
        )
        if torch.equal(global_view, plain.global_view):
            assert torch.equal(local, plain.local)
        else:
            mirrored += 1
            assert torch.equal(global_view, plain.global_view.flip(-1))
            assert torch.equal(local, plain.local.flip(-1))
    assert 4 <= mirrored <= 16
    for seed in range(10):
        local, _ = random_views(path, 3, 64, False, np.random.default_rng(seed))
        plain = make_views(
            open_image(path), CropPlan(kind="random", count=3, size=64), generator=np.random.default_rng(seed)
        )
        assert torch.equal(local, plain.local)


@pytest.fixture(params=["images", "pool"])
def batches(request: pytest.FixtureRequest, table: ImageTable, tmp_path: Path) -> ImageBatches | PoolBatches:
    plan = BatchPlan(table.dataset, [3], seed=5)
    if request.param == "images":
        return ImageBatches(table, plan, CropsConfig(), count=2, size=48, seed=5)
    pool = build_pool(tmp_path, table.paths, lambda path: cut_pool_views(path, 5, 48, True, 5), {})
    return PoolBatches(table, plan, pool, count=2, seed=5)


def loaded(batches: ImageBatches | PoolBatches, steps: range, workers: int) -> list[tuple[torch.Tensor, ...]]:
    loader = DataLoader(batches, batch_size=None, sampler=steps, num_workers=workers)
    return [(local, view, targets.quality, targets.scenes) for local, view, targets in loader]


def test_worker_processes_do_not_change_what_is_drawn(batches: ImageBatches | PoolBatches) -> None:
    alone, together = loaded(batches, range(5), 0), loaded(batches, range(5), 2)
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    # Neither does where one begins.
    for one, other in zip(alone[3:], loaded(batches, range(3, 5), 0), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_batches_have_the_targets_of_their_rows(batches: ImageBatches | PoolBatches, table: ImageTable) -> None:
    plan = BatchPlan(table.dataset, [3], seed=5)
    for step in range(3):
        local, global_view, targets = batches[step]
        assert (local.shape, global_view.shape) == ((3, 2, 3, 48, 48), (3, 3, 48, 48))
        assert local.dtype == torch.uint8
        assert targets.quality.tolist() == table.quality[plan.rows(step)].tolist()


def test_crops_are_drawn_anew_in_every_pass(batches: ImageBatches | PoolBatches, table: ImageTable) -> None:
    plan = BatchPlan(table.dataset, [3], seed=5)
    draws: dict[int, list[bytes]] = {}
    for step in range(12):
        for row, local in zip(plan.rows(step).tolist(), batches[step][0], strict=True):
            draws.setdefault(row, []).append(local.numpy().tobytes())
    repeated = [row for row, seen in draws.items() if len(seen) > 1]
    assert repeated
    assert sum(len(set(draws[row])) > 1 for row in repeated) > 0.7 * len(repeated)


def test_a_pools_crops_are_drawn_without_replacement_and_evenly(table: ImageTable, tmp_path: Path) -> None:
    pool = build_pool(tmp_path, table.paths[:2], lambda path: cut_pool_views(path, 5, 32, True, 5), {})
    rows = torch.zeros(2, dtype=torch.int64)
    batches = PoolBatches(table, BatchPlan(rows, [2], 0), pool, count=3, seed=1)
    names = {pool.local(row)[k].numpy().tobytes(): (row, k) for row in range(2) for k in range(5)}
    globals_ = {pool.global_view(row)[k].numpy().tobytes(): (row, k) for row in range(2) for k in range(2)}
    seen, mirrors = Counter(), Counter()
    for step in range(60):
        local, global_view, _ = batches[step]
        for image, view in zip(local, global_view, strict=True):
            drawn = [names[crop.numpy().tobytes()] for crop in image]
            assert len(set(drawn)) == 3
            assert len({row for row, _ in drawn}) == 1
            seen.update(k for _, k in drawn)
            row, mirror = globals_[view.numpy().tobytes()]
            assert row == drawn[0][0]
            mirrors[mirror] += 1
    assert set(seen) == set(range(5))
    assert min(seen.values()) > 0.6 * max(seen.values())
    assert 30 < mirrors[0] < 90


def test_a_pool_smaller_than_a_draw_is_an_error(table: ImageTable, tmp_path: Path) -> None:
    pool = build_pool(tmp_path, table.paths[:1], lambda path: cut_pool_views(path, 4, 32, True, 5), {})
    with pytest.raises(DataError, match="cannot draw 5 sub-images from a pool of 4 an image"):
        PoolBatches(table, BatchPlan(torch.zeros(1, dtype=torch.int64), [1], 0), pool, count=5, seed=1)
