"""Training batches: which crops and flips of its images each step sees.

Every choice is a function of the seed and the step alone, as in `sampling`.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from defnet.config.data import CropsConfig
from defnet.data.sampling import BatchPlan
from defnet.data.seeding import draw_generator
from defnet.data.table import ImageTable
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.data.views import random_views_of_file
from defnet.errors import DataError


def random_views(
    path: Path,
    crops: int,
    size: int,
    flip: bool,
    generator: np.random.Generator,
    short_side: int | None = None,
    scales: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Cut fresh random sub-images, and flip the whole image first, half of the time.

    Returns:
        uint8 sub-images (crops, 3, size, size) and the global view (3, size, size).
    """
    local, global_view = random_views_of_file(path, crops, size, generator, short_side, scales)
    if flip and generator.random() < 0.5:
        local, global_view = local.flip(-1), global_view.flip(-1)
    return local, global_view


class Batches(Dataset[tuple[Tensor, Tensor, Targets]], ABC):
    """Training batches; item `step` has the views of a step's images and the ground truth of all of them.

    Args:
        table: the training images.
        plan: rows of each step.

    Attributes:
        share: which of a step's images are seen here; all, unless several processes share a batch. The ground truth
            is of the whole batch all the same, since the loss is.
    """

    def __init__(self, table: ImageTable, plan: BatchPlan) -> None:
        self._table, self._plan = table, plan
        self.share = slice(None)

    @property
    def size(self) -> int:
        """Images of a step."""
        return self._plan.size

    def paths(self, step: int) -> list[Path]:
        """Files of the images of a step."""
        return [self._table.paths[row] for row in self._plan.rows(step)]

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Targets]:
        rows = self._plan.rows(step)
        views = [self._views(step, int(row)) for row in rows[self.share]]
        local, global_view = (torch.stack(part) for part in zip(*views, strict=True))
        return local, global_view, self._table.targets(rows)

    @abstractmethod
    def _views(self, step: int, row: int) -> tuple[Tensor, Tensor]:
        """Sub-images and global view of one image in one step."""


class ImageBatches(Batches):
    """Training batches with crops cut afresh from the image files, as pixels.

    Args:
        table: the training images.
        plan: rows of each step.
        crops: flips, and the sizes that images are brought to.
        count: sub-images of each image.
        size: their side in pixels.
        seed: seed of the crops and flips.
    """

    def __init__(
        self, table: ImageTable, plan: BatchPlan, crops: CropsConfig, count: int, size: int, seed: int
    ) -> None:
        super().__init__(table, plan)
        self._crops, self._count, self._size, self._seed = crops, count, size, seed

    def _views(self, step: int, row: int) -> tuple[Tensor, Tensor]:
        generator, crops = draw_generator(self._seed, step, row), self._crops
        path = self._table.paths[row]
        return random_views(path, self._count, self._size, crops.flip, generator, crops.short_side, crops.scales)


class PoolBatches(Batches):
    """Training batches drawn from a pool of pre-cut views or of their features.

    Args:
        table: the training images.
        plan: rows of each step.
        pool: the views; row numbers are the table's.
        count: sub-images to draw, without replacement.
        seed: seed of the draws.
    """

    def __init__(self, table: ImageTable, plan: BatchPlan, pool: ViewPool, count: int, seed: int) -> None:
        smallest = min(pool.counts(row)[0] for row in range(len(pool)))
        if count > smallest:
            raise DataError(f"cannot draw {count} sub-images from a pool of {smallest} an image")
        super().__init__(table, plan)
        self._pool, self._count, self._seed = pool, count, seed

    @property
    def pool(self) -> ViewPool:
        """The views that are drawn from."""
        return self._pool

    def _views(self, step: int, row: int) -> tuple[Tensor, Tensor]:
        locals_, mirrors = self._pool.counts(row)
        generator = draw_generator(self._seed, step, row)
        local = self._pool.local(row)[torch.from_numpy(generator.permutation(locals_)[: self._count])]
        return local, self._pool.global_view(row)[int(generator.integers(mirrors))]
