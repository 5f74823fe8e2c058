"""The paper's figures by number, each made of runs and their predictions alone.

Figures 4 and 7 need image files and two models: see `defnet.experiments.gmad`. Figures 2 and 3 are drawings.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import pandas as pd

from defnet.errors import DataError
from defnet.experiments.result import Result
from defnet.report.ablation_plots import figure_8, figure_9, figure_10
from defnet.report.agreement_plots import figure_1, figure_11
from defnet.report.calibration_plots import reliability
from defnet.report.distribution_plots import figure_5, figure_6
from defnet.report.figure_style import write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FigureMaker: TypeAlias = "Callable[[Sequence[Result], Sequence[pd.DataFrame]], Figure]"

FIGURES: Final[dict[str, FigureMaker]] = {
    "1": figure_1,
    "5": figure_5,
    "6": figure_6,
    "8": figure_8,
    "9": figure_9,
    "10": figure_10,
    "11": figure_11,
    "reliability": reliability,
}
"""What makes each figure, of results and their tables of predictions in the same order."""


def write_figure(
    number: str, results: Sequence[Result], predictions: Sequence[pd.DataFrame], folder: Path
) -> list[Path]:
    """Draw a figure and write it as PNG and SVG.

    Args:
        number: which, of `FIGURES`.
        results: runs.
        predictions: their tables of predictions, in the same order.
        folder: where to; the files are called `figureN`, or as the figure is called.

    Returns:
        The files.

    Raises:
        DataError: there is no such figure, or nothing to draw.
    """
    if number not in FIGURES:
        raise DataError(f"there is no figure {number!r}; there are {', '.join(FIGURES)}")
    name = f"figure{number}" if number.isdigit() else number
    return write_picture(FIGURES[number](results, predictions), folder, name)
