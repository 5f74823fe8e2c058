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

_Rows = NDArray[np.int64]


class BatchPlan:
    """The rows of an `ImageTable` that each training step sees.

    Each data set is gone through in shuffled passes; a step takes `batch_size` images of every data set. Regardless of
    contents, that is the next ones of the pass, and every image comes once a pass. With several images of one content
    together, see `batches_by_content`; a pass is whole steps then, and its last one is filled up with images that the
    pass has had.

    Args:
        dataset: index of each row's data set, (M,).
        batch_sizes: images a step of each data set.
        seed: seed of the shuffles.
        content: number of what each row shows, (M,); not looked at where `per_content` is 1.
        per_content: images of one content together, of each data set; a divisor of its `batch_size`. By default 1.
    """

    def __init__(
        self,
        dataset: Tensor,
        batch_sizes: Sequence[int],
        seed: int,
        content: Tensor | None = None,
        per_content: Sequence[int] | None = None,
    ) -> None:
        numbers = dataset.numpy()
        self._rows = [np.flatnonzero(numbers == number) for number in range(len(batch_sizes))]
        for number, rows in enumerate(self._rows):
            if len(rows) == 0:
                raise DataError(f"data set number {number + 1} of the mixture has no training image")
        self._batch_sizes = tuple(batch_sizes)
        self._seed = seed
        self._per_content = (1,) * len(self._rows) if per_content is None else tuple(per_content)
        self._content = numbers if content is None else content.numpy()
        self._last_pass: dict[int, tuple[int, list[_Rows]]] = {}

    @property
    def size(self) -> int:
        """Images of a step."""
        return sum(self._batch_sizes)

    def rows(self, step: int) -> _Rows:
        """Rows of step `step`, counted from 0 over the whole run."""
        chosen: list[_Rows] = []
        for number, together in enumerate(self._per_content):
            chosen.extend(self._next(number, step) if together == 1 else [self._by_content(number, step)])
        return np.concatenate(chosen)

    def _next(self, number: int, step: int) -> list[_Rows]:
        rows, size = self._rows[number], self._batch_sizes[number]
        positions = np.arange(step * size, (step + 1) * size)
        passes = positions // len(rows)
        orders = {shuffle: self._generator(number, int(shuffle)).permutation(rows) for shuffle in np.unique(passes)}
        return [order[positions[passes == shuffle] % len(rows)] for shuffle, order in orders.items()]

    def _by_content(self, number: int, step: int) -> _Rows:
        rows, size = self._rows[number], self._batch_sizes[number]
        shuffle, within = divmod(step, -(-len(rows) // size))
        if self._last_pass.get(number, (-1,))[0] != shuffle:
            # Kept, since a pass is made whole: the next step is in it, too. What it holds depends on nothing before it.
            batches = batches_by_content(
                rows, self._content[rows], size, self._per_content[number], self._generator(number, shuffle)
            )
            self._last_pass[number] = (shuffle, batches)
        return self._last_pass[number][1][within]

    def _generator(self, number: int, shuffle: int) -> np.random.Generator:
        return order_generator(self._seed, number, shuffle)


def batches_by_content(
    rows: _Rows, content: NDArray[np.int64], size: int, together: int, generator: np.random.Generator
) -> list[_Rows]:
    """One pass over a data set in which images of one content stand together.

    The shuffled images of each content are parted into bunches of `together`, the last one of fewer where they do not
    go into it; the bunches are shuffled. A batch takes the first bunch that it has room for, until it is full; where
    none fits, it takes a part of the first one. So contents whose images go into bunches are never torn apart, and a
    batch tears at most one of the others.

    Args:
        rows: the images, M of them, at least one.
        content: what each of them shows, (M,).
        size: images of a batch.
        together: images of one content in a bunch.
        generator: source of chance.

    Returns:
        ⌈M / size⌉ batches of `size` rows. Every row stands in one of them; the last one is filled up with the pass's
        first bunches again, without what is in it, and only then with that.
    """
    order = generator.permutation(len(rows))
    order = order[np.argsort(content[order], kind="stable")]
    starts = np.flatnonzero(np.diff(content[order], prepend=content[order[0]] - 1))
    contents = np.split(rows[order], starts[1:])
    parted = [some[start : start + together] for some in contents for start in range(0, len(some), together)]
    bunches = [parted[place] for place in generator.permutation(len(parted))]
    waiting = list(bunches)
    batches = []
    while waiting:
        batch = _fill([], waiting, size)
        if not waiting and sum(map(len, batch)) < size:
            seen = np.concatenate(batch)
            others = (bunch[~np.isin(bunch, seen)] for bunch in bunches)
            batch = _fill(batch, [bunch for bunch in others if len(bunch)], size)
            while sum(map(len, batch)) < size:  # a batch larger than the data set
                batch = _fill(batch, list(bunches), size)
        batches.append(np.concatenate(batch))
    return batches


def _fill(batch: list[_Rows], waiting: list[_Rows], size: int) -> list[_Rows]:
    """The batch with bunches that are waiting added until it is full; what it takes waits no longer."""
    batch = list(batch)
    room = size - sum(map(len, batch))
    while room and waiting:
        place = next((place for place, bunch in enumerate(waiting) if len(bunch) <= room), None)
        if place is None:
            batch.append(waiting[0][:room])
            waiting[0] = waiting[0][room:]
            room = 0
        else:
            batch.append(waiting.pop(place))
            room -= len(batch[-1])
    return batch
