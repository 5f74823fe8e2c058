"""How the figures look, and how they are written: without pyplot, whose figures would be the whole process's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from defnet.experiments.result import Result
from iqa_datasets.atomic_files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES: Final = (".png", ".svg")

COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which the colour-blind tell apart."""

MARKERS: Final = ("o", "s", "^", "D", "v", "P")
"""What tells them apart without colour."""

GREY: Final = "#666666"

DATASET_TITLES: Final = {
    "live": "LIVE",
    "csiq": "CSIQ",
    "kadid-10k": "KADID-10k",
    "bid": "BID",
    "live-challenge": "LIVE In the Wild",
    "koniq-10k": "KonIQ-10k",
    "tid2013": "TID2013",
    "spaq": "SPAQ",
    "pipal": "PIPAL",
}

MODEL_TITLES: Final = {"q+s+d-M+U+F": "DEFNet", "liqe": "LIQE"}
"""What the runs of an experiment are called that are whole models."""

Value = TypeVar("Value")


def model_title(name: str) -> str:
    """What the runs of a name are called in a figure."""
    return MODEL_TITLES.get(name, name)


def dataset_title(name: str) -> str:
    """What a data set is called in a figure."""
    return DATASET_TITLES.get(name, name)


def panels(rows: int, columns: int, *, width: float = 3.2, height: float = 2.6) -> tuple["Figure", NDArray[Any]]:
    """A figure with a grid of axes.

    Args:
        rows: number of rows.
        columns: number of columns.
        width: of one panel, in inches.
        height: of one panel.

    Returns:
        The figure and its axes, (rows, columns).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(width * columns, 4.2), height * rows), layout="constrained")
    grid: NDArray[Any] = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        tidy(axes)
    return figure, grid


def tidy(axes: "Axes") -> None:
    """Draw a light grid and no box."""
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def by_name(results: Sequence[Result], values: Sequence[Value]) -> dict[str, list[tuple[Result, Value]]]:
    """Runs with what belongs to each, by their names, in the order in which names come first."""
    found: dict[str, list[tuple[Result, Value]]] = {}
    for result, value in zip(results, values, strict=True):
        found.setdefault(result.name, []).append((result, value))
    return found


def over_sessions(results: Sequence[Result], dataset: str, figure: str, part: str = "test") -> NDArray[np.float64]:
    """A figure of each session, the mean over its seeds; sessions that lack it have no part.

    Args:
        results: runs of one configuration.
        dataset: the data set's name.
        figure: such as `srcc`.
        part: of the split.
    """
    sessions: dict[str, list[float]] = {}
    for result in results:
        value = _figures(result, part).get(dataset, {}).get(figure)
        if value is not None and np.isfinite(value):
            sessions.setdefault(str(result.session), []).append(float(value))
    return np.array([np.mean(values) for values in sessions.values()], float)


def _figures(result: Result, part: str) -> Mapping[str, Mapping[str, float]]:
    return result.figures.get(part, {})


def datasets_of(results: Sequence[Result]) -> list[str]:
    """Names of the data sets that any of the runs was judged on, in order."""
    return list(dict.fromkeys(name for result in results for name in _figures(result, "test")))


def write_picture(figure: "Figure", folder: Path, name: str) -> list[Path]:
    """Write a figure as PNG and SVG, each atomically; the same figure gives the same bytes.

    Args:
        figure: the figure.
        folder: where; it is made where it is not there.
        name: the files' name without their suffix.

    Returns:
        The files.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    with mpl.rc_context({"svg.hashsalt": "defnet", "svg.fonttype": "path"}):
        for path in paths:
            with replacing(path) as part:
                svg = path.suffix == ".svg"
                figure.savefig(part, dpi=160, metadata={"Date": None} if svg else {"Software": None})
    return paths
