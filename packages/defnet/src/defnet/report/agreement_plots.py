"""Figures 1 and 11: how well scores agree with ratings, and how wide the bands and intervals around them are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from defnet.errors import DataError
from defnet.evaluation.correlations import logistic_reach
from defnet.experiments.result import Result
from defnet.report.figure_style import (
    COLORS,
    GREY,
    MARKERS,
    by_name,
    dataset_title,
    datasets_of,
    model_title,
    over_sessions,
    panels,
)
from iqa_datasets import agreement
from iqa_datasets.agreement import logistic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure_1(results: Sequence[Result], predictions: Sequence[pd.DataFrame] = ()) -> "Figure":  # noqa: ARG001
    """Agreement against width: of the band of the logistic fit (the paper's measure) and of the stated intervals.

    Args:
        results: runs of one or several models, told apart by their names.
        predictions: not looked at; all figures' makers take the same.

    Returns:
        The figure. On the left SRCC and the mean width of the 95 % confidence band of the logistic, which tells how
        well the curve is known and goes down with the number of images, whatever the model states. On the right how
        many ratings the stated 95 % intervals hold, and their mean width. A colour is a model, a shape a data set, a
        faint point a session and a strong one their median.

    Raises:
        DataError: there is no run.
    """
    if not results:
        raise DataError("there is no run to draw")
    figure, grid = panels(1, 2, width=4.4, height=3.8)
    left, right = grid[0]
    datasets = datasets_of(results)
    for number, (name, runs) in enumerate(by_name(results, [None] * len(results)).items()):
        own = [result for result, _ in runs]
        for shape, dataset in enumerate(datasets):
            of_model = COLORS[number % len(COLORS)], MARKERS[shape % len(MARKERS)]
            label = model_title(name) + (f", {dataset_title(dataset)}" if len(datasets) > 1 else "")
            _sessions(left, own, dataset, ("srcc", "band_logistic"), of_model, label)
            _sessions(right, own, dataset, ("coverage_95", "width_95"), of_model, label)
    left.set(xlabel="SRCC", ylabel="mean width of the logistic's 95 % band")
    right.set(xlabel="share of ratings in the stated 95 % intervals", ylabel="mean width of these intervals")
    right.axvline(0.95, color=GREY, linestyle="--", linewidth=1, label="as stated")
    shown: dict[str, Any] = {}
    for axes in (left, right):
        axes.margins(0.12)
        axes.set_ylim(bottom=0)
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(list(shown.values()), list(shown), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _sessions(
    axes: "Axes",
    results: Sequence[Result],
    dataset: str,
    names: tuple[str, str],
    of_model: tuple[str, str],
    label: str,
) -> None:
    x, y = (over_sessions(results, dataset, name) for name in names)
    if not len(x) or len(x) != len(y):
        return  # a model that states no uncertainty has no interval
    color, marker = of_model
    axes.scatter(x, y, s=14, color=color, marker=marker, alpha=0.35, linewidths=0)
    axes.scatter(
        [np.median(x)], [np.median(y)], s=60, color=color, marker=marker, edgecolors="white", label=label, zorder=3
    )


def figure_11(results: Sequence[Result], predictions: Sequence[pd.DataFrame]) -> "Figure":
    """Ratings over scores with the logistic fit and its 95 % confidence band, a row a model and a column a data set.

    Args:
        results: runs of one or several models; of each name the run that comes first is drawn.
        predictions: their tables; the test part is drawn.

    Raises:
        DataError: there is no run.
    """
    if not results:
        raise DataError("there is no run to draw")
    runs = by_name(results, predictions)
    datasets = datasets_of(results)
    figure, grid = panels(len(runs), len(datasets), width=3.6, height=3.2)
    for row, (name, own) in enumerate(runs.items()):
        result, table = own[0]
        test = table[table["part"] == "test"]
        for column, dataset in enumerate(datasets):
            axes = grid[row, column]
            rows = test[test["dataset"] == dataset]
            if rows.empty:
                axes.set_visible(False)
                continue
            _scatter(axes, rows["score"].to_numpy(float), rows["quality"].to_numpy(float), COLORS[row % len(COLORS)])
            axes.set(xlabel="score", ylabel="rating")
            session = "" if result.session is None else f", session {result.session}"
            axes.set_title(f"{model_title(name)}: {dataset_title(dataset)}{session}", fontsize=9)
    return figure


def _scatter(axes: "Axes", score: np.ndarray, rating: np.ndarray, color: str) -> None:
    axes.scatter(score, rating, s=10, color=color, alpha=0.5, linewidths=0)
    found = agreement(score, rating)
    if found.logistic is None:
        return
    at = np.linspace(score.min(), score.max(), 200)
    curve, reach = logistic(at, *found.logistic), logistic_reach(score, rating, found.logistic, at)
    width = 2 * logistic_reach(score, rating, found.logistic, score).mean()
    axes.fill_between(at, curve - reach, curve + reach, color="black", alpha=0.18, linewidth=0)
    label = f"logistic, 95 % band {width:.2f} wide\nSRCC {found.srcc:.3f}, PLCC {found.plcc_logistic:.3f} after it"
    axes.plot(at, curve, color="black", linewidth=1.4, label=label)
    axes.legend(frameon=False, fontsize=7, loc="upper left")
