"""Pictures of a gMAD competition: the pairs themselves (Figures 4 and 7), and where they lie among all images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from defnet.errors import DataError
from defnet.experiments.gmad import Competition, Pair
from defnet.report.figure_style import COLORS, GREY, panels
from iqa_datasets import DatasetError
from iqa_datasets.images import open_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 480  # pixels of a shown image's long side


def pairs_picture(competition: Competition, files: Mapping[str, Path]) -> "Figure":
    """The pairs: a block of two rows for each defender and rank, a column a level; above the image called better.

    Args:
        competition: the pairs.
        files: the images' files, by their names.

    Raises:
        DataError: an image cannot be read.
    """
    blocks: dict[tuple[str, str, int], list[Pair]] = {}
    for pair in competition.pairs:
        blocks.setdefault((pair.attacker, pair.defender, pair.rank), []).append(pair)
    across = max(len(block) for block in blocks.values())
    figure, grid = panels(2 * len(blocks), across, width=2.7, height=2.35)
    letters = iter(ascii_lowercase * 4)
    for row, block in enumerate(blocks.values()):
        for column in range(across):
            upper, lower = grid[2 * row, column], grid[2 * row + 1, column]
            for axes in (upper, lower):
                axes.set_axis_off()
            if column >= len(block):
                continue
            pair = block[column]
            upper.set_title(
                f"({next(letters)}) {pair.defender} fixed, {100 * pair.level:.0f} % below\n{_scores(pair, best=True)}",
                fontsize=7.5,
            )
            lower.set_title(_scores(pair, best=False), fontsize=7.5)
            _show(upper, files[pair.better])
            _show(lower, files[pair.worse])
    return figure


def _scores(pair: Pair, *, best: bool) -> str:
    attacker = pair.attacker_better if best else pair.attacker_worse
    defender = pair.defender_better if best else pair.defender_worse
    rating = pair.rating_better if best else pair.rating_worse
    rated = "" if rating is None else f", rated {rating:.2f}"
    return f"{pair.attacker} {attacker:.2f}, {pair.defender} {defender:.2f}{rated}"


def _show(axes: "Axes", path: Path) -> None:
    try:
        image = open_image(path)
    except DatasetError as error:
        raise DataError(str(error)) from error
    image.thumbnail((_LONGEST, _LONGEST))
    axes.imshow(np.asarray(image))


def scores_picture(scores: Mapping[str, ArrayLike], images: Sequence[str], competition: Competition) -> "Figure":
    """Both models' scores of all images, with a line between the two of each pair.

    Args:
        scores: both models' scores, as `compete` took them.
        images: the images' names.
        competition: the pairs.
    """
    (first, x), (second, y) = ((name, np.asarray(values, float)) for name, values in scores.items())
    row = {name: number for number, name in enumerate(images)}
    figure, grid = panels(1, 1, width=5.2, height=4.6)
    axes = grid[0, 0]
    axes.scatter(x, y, s=9, color=GREY, alpha=0.5, linewidths=0, label=f"{len(images)} images")
    for number, attacker in enumerate((first, second)):
        pairs = [pair for pair in competition.pairs if pair.attacker == attacker]
        for place, pair in enumerate(pairs):
            ends = [row[pair.better], row[pair.worse]]
            label = f"pairs that {attacker} attacks with" if place == 0 else None
            axes.plot(x[ends], y[ends], "o-", color=COLORS[number], markersize=5, linewidth=1.4, label=label)
    axes.set(xlabel=first, ylabel=second)
    axes.legend(frameon=False, fontsize=8)
    return figure
