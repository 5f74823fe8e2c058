"""Which images, crops and flips make up each training step.

Every choice is a function of the seed and the step alone, never of what was drawn before, so that a run that resumes
at any step sees what an uninterrupted one sees, whatever the number of loader processes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clip_iqa_backbone import CropPlan
from defnet.config import CropsConfig
from defnet.errors import DataError
from defnet.objective import Targets
from defnet.seeding import draw_generator, order_generator
from defnet.view_pool import ViewPool, views_of_file
from iqa_datasets import DISTORTIONS, SCENES, IQADataset


@dataclass(frozen=True)
class ImageTable:
    """The images of one or more data sets with their ground truth as arrays.

    Attributes:
        paths: files, M of them.
        quality: y_q in [1, 5], higher = better, (M,).
        scenes: multi-hot, (M, 9); zeros where not known.
        distortion: one-hot, (M, 11); zeros where not known.
        dataset: index of each image's data set, (M,).
    """

    paths: tuple[Path, ...]
    quality: Tensor
    scenes: Tensor
    distortion: Tensor
    dataset: Tensor

    def __len__(self) -> int:
        return len(self.paths)

    def targets(self, rows: NDArray[np.int64]) -> Targets:
        """Ground truth of the chosen rows."""
        index = torch.from_numpy(rows)
        return Targets(self.quality[index], self.scenes[index], self.distortion[index], self.dataset[index])

    @classmethod
    def from_datasets(cls, datasets: Sequence[IQADataset]) -> "ImageTable":
        """Join the images of several data sets, in order.

        Raises:
            DataError: an image has no quality score.
        """
        paths: list[Path] = []
        quality, scenes, distortion, dataset = [], [], [], []
        for number, images in enumerate(datasets):
            for record in images:
                if record.quality is None:
                    raise DataError(
                        f"{record.image_path}: has no quality score, so it can be neither trained on nor judged"
                    )
                paths.append(Path(record.image_path))
                quality.append(record.quality)
                scenes.append([float(name in record.scenes) for name in SCENES])
                distortion.append([float(name == record.distortion) for name in DISTORTIONS])
                dataset.append(number)
        return cls(
            paths=tuple(paths),
            quality=torch.tensor(quality, dtype=torch.float32),
            scenes=torch.tensor(scenes, dtype=torch.float32).reshape(-1, len(SCENES)),
            distortion=torch.tensor(distortion, dtype=torch.float32).reshape(-1, len(DISTORTIONS)),
            dataset=torch.tensor(dataset, dtype=torch.int64),
        )


class BatchPlan:
    """The rows of an `ImageTable` that each training step sees.

    Each data set is gone through in shuffled passes without replacement; a step takes the next `batch_size` images of
    every data set.

    Args:
        dataset: index of each row's data set, (M,).
        batch_sizes: images a step of each data set.
        seed: seed of the shuffles.
    """

    def __init__(self, dataset: Tensor, batch_sizes: Sequence[int], seed: int) -> None:
        numbers = dataset.numpy()
        self._rows = [np.flatnonzero(numbers == number) for number in range(len(batch_sizes))]
        for number, rows in enumerate(self._rows):
            if len(rows) == 0:
                raise DataError(f"data set number {number + 1} of the mixture has no training image")
        self._batch_sizes = tuple(batch_sizes)
        self._seed = seed

    def rows(self, step: int) -> NDArray[np.int64]:
        """Rows of step `step`, counted from 0 over the whole run."""
        chosen = []
        for number, (rows, size) in enumerate(zip(self._rows, self._batch_sizes, strict=True)):
            positions = np.arange(step * size, (step + 1) * size)
            passes = positions // len(rows)
            for shuffle in np.unique(passes):
                order = order_generator(self._seed, number, int(shuffle)).permutation(rows)
                chosen.append(order[positions[passes == shuffle] % len(rows)])
        return np.concatenate(chosen)


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
