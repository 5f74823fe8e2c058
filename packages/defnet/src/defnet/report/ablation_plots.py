"""Figures 8 to 10: correlations and accuracies of the sixteen combinations of tasks and losses, by data set."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from defnet.config.training import TrainConfig
from defnet.errors import DataError
from defnet.experiments.result import Result
from defnet.report.figure_style import COLORS, GREY, MARKERS, dataset_title, datasets_of, over_sessions, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TASK_SETS: Final = ("q", "q + s", "q + d", "q + s + d")
LOSS_SETS: Final = ("M", "M + U", "M + F", "M + U + F")

_WIDTH = 0.19


def combination(config: TrainConfig) -> tuple[str, str]:
    """Which tasks and which losses a configuration has, in the paper's letters.

    Example:
        >>> from defnet.config.toml_files import load_train_config
        >>> combination(load_train_config("lite"))
        ('q + s + d', 'M + U + F')
    """
    tasks = " + ".join(task[0] for task in ("quality", "scene", "distortion") if task in config.model.tasks)
    objective = config.objective
    losses = "M" + " + U" * objective.teaches_cross + " + F" * objective.teaches_fusion
    return tasks, losses


def figure_8(results: Sequence[Result], predictions: Sequence[pd.DataFrame] = ()) -> "Figure":  # noqa: ARG001
    """SRCC of the sixteen rows of the ablation, a panel a data set.

    Args:
        results: runs; what each is stands in its configuration, whatever its name.
        predictions: not looked at; all figures' makers take the same.

    Returns:
        The figure: of each row the sessions as points (the mean over seeds), their median, and a bar between quartiles.

    Raises:
        DataError: there is no run.
    """
    return _ablation(results, [("srcc", "SRCC", None)])


def figure_9(results: Sequence[Result], predictions: Sequence[pd.DataFrame] = ()) -> "Figure":  # noqa: ARG001
    """PLCC of the same, of the scores as they are; see `figure_8`."""
    return _ablation(results, [("plcc", "PLCC, without a fit", None)])


def figure_10(results: Sequence[Result], predictions: Sequence[pd.DataFrame] = ()) -> "Figure":  # noqa: ARG001
    """Accuracies of scenes (above) and distortions (below) of the same, beside a constant answer's; see `figure_8`.

    The top scene is right where it is among the labelled ones.
    """
    figures = [
        ("scene_accuracy", "accuracy of the top scene", "scene_majority"),
        ("distortion_accuracy", "accuracy of the top distortion", "distortion_majority"),
    ]
    return _ablation(results, figures)


def _ablation(results: Sequence[Result], figures: Sequence[tuple[str, str, str | None]]) -> "Figure":
    if not results:
        raise DataError("there is no run to draw")
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        rows.setdefault(combination(result.config), []).append(result)
    datasets = datasets_of(results)
    across = min(3, len(datasets))
    down = -(-len(datasets) // across)
    picture, grid = panels(len(figures) * down, across, width=4.4, height=3.0)
    for block, (name, label, rival) in enumerate(figures):
        # An accuracy is that of the rows that learn its task.
        task_sets = [tasks for tasks in TASK_SETS if rival is None or name[0] in tasks]
        for place in range(down * across):
            axes = grid[block * down + place // across, place % across]
            if place >= len(datasets):
                axes.set_visible(False)
                continue
            for number, losses in enumerate(LOSS_SETS):
                at = np.arange(len(task_sets)) + (number - 1.5) * _WIDTH
                values = [over_sessions(rows.get((tasks, losses), []), datasets[place], name) for tasks in task_sets]
                _bars(axes, at, values, number, losses)
            if rival is not None:
                constant = over_sessions(results, datasets[place], rival)
                if len(constant):
                    axes.axhline(np.median(constant), color=GREY, linestyle="--", linewidth=1, label="constant answer")
            axes.set_xticks(range(len(task_sets)), task_sets)
            axes.set(ylabel=label, xlim=(-0.6, len(task_sets) - 0.4))
            axes.set_title(dataset_title(datasets[place]), fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside upper center", ncols=5 if across > 1 else 3, frameon=False, fontsize=8)
    return picture


def _bars(axes: "Axes", at: np.ndarray, values: Sequence[np.ndarray], number: int, label: str) -> None:
    """Quartiles as bars, the median as a marker, sessions as points; nothing where there is no run."""
    there = [i for i, sessions in enumerate(values) if len(sessions)]
    color = COLORS[number]
    quartiles = np.array([np.quantile(values[i], [0.25, 0.5, 0.75]) for i in there]).reshape(-1, 3)
    axes.vlines(at[there], quartiles[:, 0], quartiles[:, 2], color=color, linewidth=7, alpha=0.35)
    for i in there:
        axes.plot(np.full(len(values[i]), at[i]), values[i], ".", color=color, markersize=2.5, alpha=0.8)
    axes.plot(
        at[there],
        quartiles[:, 1],
        MARKERS[number],
        color=color,
        markersize=5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        label=label,
        gid=f"median {label}",
    )
