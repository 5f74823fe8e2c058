"""Where to cut an image: the positions are chosen first and only those crops are ever cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

CropKind = Literal["grid", "random", "liqe"]

_LIQE_STRIDE = 32


@dataclass(frozen=True)
class CropPlan:
    """How many square crops to take of an image, how large and where.

    Args:
        kind: Where the crops lie.

            - ``"grid"``: rows and columns from edge to edge, the same for every image of one size. Positions follow
              from the frame and nothing else, so an image always gets the same score.
            - ``"random"``: uniform over all positions, with replacement (DEFNet, section 4.2). Drawn from the
              generator given to :meth:`boxes`, or else from ``seed`` anew at each call: never from a state shared
              with other images.
            - ``"liqe"``: LIQE's choice, every ``n // count``-th of the ``n`` positions of a grid with stride 32,
              counted row by row. The step through that flat index can share a divisor with the number of columns,
              and then only a few columns are ever visited: three of 18 for 768 x 512. For parity with LIQE's weights
              only.
        count: Number of crops.
        size: Side of a crop in pixels.
        seed: Seed of ``"random"`` where no generator is given.

    Raises:
        ValueError: A field is out of range.

    Example:
        >>> CropPlan(count=4, size=224).boxes(500, 400).tolist()
        [[0, 0], [276, 0], [0, 176], [276, 176]]
    """

    kind: CropKind = "grid"
    count: int = 15
    size: int = 224
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(CropKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(CropKind))}, got {self.kind!r}.")
        for field, smallest in (("count", 1), ("size", 1), ("seed", 0)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise ValueError(f"{field} must be an integer of at least {smallest}, got {value!r}.")

    def boxes(self, width: int, height: int, generator: np.random.Generator | None = None) -> npt.NDArray[np.int64]:
        """Choose the crops for a frame; nothing is cut here.

        Args:
            width: Width of the frame in pixels, at least ``size``.
            height: Height of the frame in pixels, at least ``size``.
            generator: Source of chance for ``"random"``; the other kinds do not draw from it.

        Returns:
            Array (count, 2) of the left x and top y of each crop.

        Raises:
            ValueError: The frame is smaller than a crop.
        """
        if width < self.size or height < self.size:
            raise ValueError(
                f"A frame of {width}x{height} holds no crop of {self.size}x{self.size}; scale its short side up first."
            )
        if self.kind == "grid":
            return _grid(width - self.size, height - self.size, self.count, height / width)
        if self.kind == "liqe":
            return _liqe(width - self.size, height - self.size, self.count)
        rng = np.random.default_rng(self.seed) if generator is None else generator
        limits = [width - self.size, height - self.size]
        return rng.integers(0, limits, size=(self.count, 2), endpoint=True, dtype=np.int64)


def _grid(x_room: int, y_room: int, count: int, aspect: float) -> npt.NDArray[np.int64]:
    rows = round(math.sqrt(count * aspect))
    if count >= 4:
        # Two rows at least, and two crops in each, put a crop into every corner.
        rows = min(max(rows, 2), count // 2)
    rows = min(max(rows, 1), count)
    # Without room to move, rows (or columns) would only repeat each other.
    if y_room == 0:
        rows = 1
    elif x_room == 0:
        rows = count
    boxes: list[tuple[int, int]] = []
    for row, y in enumerate(_spread(y_room, rows)):
        columns = (row + 1) * count // rows - row * count // rows
        boxes.extend((x, y) for x in _spread(x_room, columns))
    return np.array(boxes, dtype=np.int64)


def _spread(room: int, count: int) -> list[int]:
    """``count`` whole positions from 0 to ``room``, evenly, both ends included; the middle for one."""
    if count == 1:
        return [room // 2]
    return [round(room * index / (count - 1)) for index in range(count)]


def _liqe(x_room: int, y_room: int, count: int) -> npt.NDArray[np.int64]:
    columns, rows = x_room // _LIQE_STRIDE + 1, y_room // _LIQE_STRIDE + 1
    positions = columns * rows
    # LIQE refuses frames with fewer positions than crops; going round them all keeps every part of the frame in.
    step = max(1, positions // count)
    flat = np.arange(count, dtype=np.int64) * step % positions
    return np.stack([flat % columns, flat // columns], axis=1) * _LIQE_STRIDE
