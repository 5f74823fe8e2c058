"""The photographs that a model is furthest wrong about, as one picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image, ImageOps

from iqa_datasets import open_image

_TILE = (320, 240)
_COLUMNS = 5


@dataclass(frozen=True)
class JudgedImage:
    """A rated photograph and what a model says of it, on the ratings' own scale.

    Attributes:
        path: the file.
        name: its name in the table.
        part: the part of the session, in words.
        rating: the rating given.
        predicted: the rating predicted.
        lower: lower end of the 95 % interval.
        upper: upper end.
    """

    path: Path
    name: str
    part: str
    rating: float
    predicted: float
    lower: float
    upper: float

    @property
    def error(self) -> float:
        """Predicted minus given."""
        return self.predicted - self.rating

    @property
    def inside(self) -> bool:
        """Whether the interval holds the rating."""
        return self.lower <= self.rating <= self.upper


def worst(images: Sequence[JudgedImage], count: int = 10) -> list[JudgedImage]:
    """The images of the largest errors, the largest first."""
    return sorted(images, key=lambda image: (-abs(image.error), image.name))[:count]


def thumbnail(path: Path) -> Image.Image:
    """A photograph on a white tile of 320 × 240."""
    image = open_image(path, at_least=max(_TILE))
    return ImageOps.pad(image, _TILE, Image.Resampling.LANCZOS, color=(255, 255, 255))


def worst_figure(images: Sequence[JudgedImage]) -> Figure:
    """The images in rows of five, each with its name, the rating given and the rating predicted."""
    rows = max(1, -(-len(images) // _COLUMNS))
    figure = Figure(figsize=(3.0 * _COLUMNS, 2.95 * rows), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, image in zip(grid.flat, images, strict=False):
        axes.imshow(thumbnail(image.path))
        axes.set_title(
            f"{_short(image.name)}\ngiven {image.rating:.3g}, predicted {image.predicted:.3g}\n"
            f"95 %: {image.lower:.3g} to {image.upper:.3g}",
            fontsize=9,
            color="black" if image.inside else "#a03000",
            parse_math=False,
        )
    return figure


def _short(name: str, width: int = 34) -> str:
    return name if len(name) <= width else f"…{name[1 - width :]}"
