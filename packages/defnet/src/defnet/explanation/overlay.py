"""What sub-images say, laid over the photograph as colour."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from defnet.scoring.pictures import Box

LONGEST = 1100
"""Longest side of the picture that colours are laid over, in pixels."""

Colour = tuple[int, int, int]

QUALITY_COLOURS: tuple[Colour, ...] = ((201, 68, 84), (219, 122, 65), (214, 170, 69), (117, 170, 102), (38, 150, 140))
"""From bad, 1, to perfect, 5: those of the page to look through."""

DEVIATION_COLOURS: tuple[Colour, ...] = (
    (46, 70, 120),
    (108, 92, 152),
    (184, 108, 144),
    (236, 150, 110),
    (250, 222, 150),
)
"""From the surest to the least sure; their lightness rises, so that they are told apart without colour."""


def small(image: Image.Image) -> Image.Image:
    """A copy of an image of at most `LONGEST` pixels."""
    scale = min(1.0, LONGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0) if scale < 1 else image.copy()


def mean_where_seen(
    boxes: Sequence[Box], values: Sequence[float], size: tuple[int, int], cells: int = 160
) -> NDArray[np.float64]:
    """At each place of an image the mean value of the sub-images that hold it; NaN where none does.

    Args:
        boxes: the sub-images, in pixels of an image of that size.
        values: one for each.
        size: (width, height) of the image.
        cells: number of places along the longer side.

    Returns:
        The values, (rows, columns).
    """
    scale = cells / max(size)
    columns, rows = (max(1, round(side * scale)) for side in size)
    total, seen = np.zeros((rows, columns)), np.zeros((rows, columns))
    for (left, top, right, low), value in zip(boxes, values, strict=True):
        here = np.s_[
            round(top / size[1] * rows) : max(round(low / size[1] * rows), round(top / size[1] * rows) + 1),
            round(left / size[0] * columns) : max(
                round(right / size[0] * columns), round(left / size[0] * columns) + 1
            ),
        ]
        total[here] += value
        seen[here] += 1
    with np.errstate(invalid="ignore"):
        return total / np.where(seen > 0, seen, np.nan)


def colour_of(value: float, low: float, high: float, colours: Sequence[Colour]) -> Colour:
    """A colour between the first for `low` and the last for `high`."""
    part = min(1.0, max(0.0, (value - low) / (high - low) if high > low else 0.0)) * (len(colours) - 1)
    index = min(len(colours) - 2, int(part))
    mixed = (a + (part - index) * (b - a) for a, b in zip(colours[index], colours[index + 1], strict=True))
    red, green, blue = (round(channel) for channel in mixed)
    return red, green, blue


def ink_on(colour: Colour) -> str:
    """Black or white, whichever stands out from a colour."""
    red, green, blue = colour
    return "#10100f" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "#ffffff"


def laid_over(
    image: Image.Image,
    values: NDArray[np.float64],
    low: float,
    high: float,
    colours: Sequence[Colour],
    opacity: float = 0.5,
) -> Image.Image:
    """A photograph in grey under the colours of `values`; where there is no value it is as it is.

    Args:
        image: the photograph.
        values: what `mean_where_seen` returned.
        low: the value of the first colour.
        high: that of the last.
        colours: the colours.
        opacity: of the colours, in [0, 1].
    """
    table = np.array(
        [[*colour_of(v, low, high, colours), 255.0 * opacity] if v == v else [0.0] * 4 for v in values.ravel()]
    )
    layer = Image.fromarray(table.reshape(*values.shape, 4).round().astype(np.uint8), "RGBA").resize(
        image.size, Image.Resampling.NEAREST
    )
    base = image.convert("RGBA")
    grey = image.convert("L").convert("RGBA")
    base = Image.composite(grey, base, layer.getchannel("A").point(lambda alpha: 255 if alpha else 0))
    return Image.alpha_composite(base, layer).convert("RGB")
