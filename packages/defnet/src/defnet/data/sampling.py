"""Which images make up each training step.

Every choice is a function of the seed and the step alone, never of what was drawn before, so that a run that resumes
at any step sees what an uninterrupted one sees, whatever the number of loader processes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from defnet.data.seeding import order_generator
from defnet.errors import DataError


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

    @property
    def size(self) -> int:
        """Images of a step."""
        return sum(self._batch_sizes)

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
