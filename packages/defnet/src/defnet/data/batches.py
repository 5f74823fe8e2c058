"""Training batches: which crops and flips of its images each step sees.

Every choice is a function of the seed and the step alone, as in `sampling`.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from clip_iqa_backbone import CropPlan
from defnet.config.data import CropsConfig
from defnet.data.sampling import BatchPlan
from defnet.data.seeding import draw_generator
from defnet.data.table import ImageTable
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.data.views import views_of_file
from defnet.errors import DataError


def random_views(
    path: Path, crops: int, size: int, flip: bool, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut fresh random sub-images, and flip the whole image first, half of the time.

    Returns:
        uint8 sub-images (crops, 3, size, size) and the global view (3, size, size).
    """
    views = views_of_file(path, CropPlan(kind="random", count=crops, size=size), generator)
    local, global_view = views.local, views.global_view
    if flip and generator.random() < 0.5:
        local, global_view = local.flip(-1), global_view.flip(-1)
    return local, global_view


class ImageBatches(Dataset[tuple[Tensor, Tensor, Targets]]):
    """Training batches with crops cut afresh from the image files; item `step` is a whole batch of pixels."""

    def __init__(
        self, table: ImageTable, plan: BatchPlan, crops: CropsConfig, count: int, size: int, seed: int
    ) -> None:
        self._table, self._plan, self._crops = table, plan, crops
        self._count, self._size, self._seed = count, size, seed

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Targets]:
        rows = self._plan.rows(step)
        views = [
            random_views(
                self._table.paths[row],
                self._count,
                self._size,
                self._crops.flip,
                draw_generator(self._seed, step, int(row)),
            )
            for row in rows
        ]
        local, global_view = (torch.stack(part) for part in zip(*views, strict=True))
        return local, global_view, self._table.targets(rows)


class PoolBatches(Dataset[tuple[Tensor, Tensor, Targets]]):
    """Training batches drawn from a pool of pre-cut views or of their features; item `step` is a whole batch.

    Args:
        table: the training images.
        plan: rows of each step.
        pool: the views; row numbers are the table's.
        count: sub-images to draw, without replacement.
        seed: seed of the draws.
    """

    def __init__(self, table: ImageTable, plan: BatchPlan, pool: ViewPool, count: int, seed: int) -> None:
        if count > pool.counts[0]:
            raise DataError(f"cannot draw {count} sub-images from a pool of {pool.counts[0]} an image")
        self._table, self._plan, self._pool = table, plan, pool
        self._count, self._seed = count, seed

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Targets]:
        rows = self._plan.rows(step)
        locals_, mirrors = self._pool.counts
        local, global_view = [], []
        for row in rows.tolist():
            generator = draw_generator(self._seed, step, row)
            local.append(self._pool.local(row)[torch.from_numpy(generator.permutation(locals_)[: self._count])])
            global_view.append(self._pool.global_view(row)[int(generator.integers(mirrors))])
        return torch.stack(local), torch.stack(global_view), self._table.targets(rows)
