"""Figures 5 and 6: how ratings, and errors of predictions, are distributed, beside the normal distribution."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from defnet.errors import DataError
from defnet.experiments.prediction_table import evidence_of
from defnet.experiments.result import Result
from defnet.report.figure_style import COLORS, GREY, by_name, dataset_title, panels
from evidential_nig.calibration import pit
from evidential_nig.recalibration import VarianceScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_POINTS = 400  # of a Q–Q plot: more cannot be told apart


def figure_5(results: Sequence[Result], predictions: Sequence[pd.DataFrame]) -> "Figure":
    """Histograms with kernel densities: of each data set's ratings (the paper's Figure 5), and of errors below.

    Args:
        results: runs; errors are those of the runs that have the first one's name.
        predictions: their tables.

    Returns:
        The figure, a column a data set. Ratings are those of all images that the tables hold, each once; errors, rating
        minus score, those of the test parts of all sessions.

    Raises:
        DataError: there is no run.
    """
    columns = _columns(results, predictions)
    figure, grid = panels(2, len(columns))
    for place, (name, (ratings, errors, _)) in enumerate(columns.items()):
        upper, lower = grid[0, place], grid[1, place]
        _histogram(upper, ratings, COLORS[0])
        upper.set(title=f"{dataset_title(name)}\n{len(ratings)} images", xlabel="rating", ylabel="density")
        _histogram(lower, errors, COLORS[1])
        lower.set(xlabel="rating minus score, test parts", ylabel="density")
        for axes in (upper, lower):
            axes.title.set_fontsize(9)
    grid[0, 0].legend(frameon=False, fontsize=7)
    return figure


def figure_6(results: Sequence[Result], predictions: Sequence[pd.DataFrame]) -> "Figure":
    """Q–Q plots against the normal distribution: of each data set's ratings (the paper's Figure 6), and errors below.

    Errors come twice: in units of their own deviation, which tells whether their distribution is normal, and in units
    of what the model states for each image (after the variance scale), which tells whether that is true.

    Args:
        results: see `figure_5`.
        predictions: see `figure_5`.

    Returns:
        The figure, a column a data set.

    Raises:
        DataError: there is no run.
    """
    columns = _columns(results, predictions)
    figure, grid = panels(2, len(columns), height=3.0)
    for place, (name, (ratings, errors, stated)) in enumerate(columns.items()):
        upper, lower = grid[0, place], grid[1, place]
        _quantiles(upper, _standardised(ratings), COLORS[0], "ratings")
        upper.set_title(f"{dataset_title(name)}\n{len(ratings)} images", fontsize=9)
        _quantiles(lower, _standardised(errors), COLORS[1], "errors in units of their deviation")
        if stated is not None:
            _quantiles(lower, stated, COLORS[2], "errors in units of what is stated", marker="x")
        for axes in (upper, lower):
            axes.set(xlabel="quantile of the normal distribution", ylabel="observed quantile")
            axes.legend(frameon=False, fontsize=7, loc="upper left")
    return figure


def _columns(
    results: Sequence[Result], predictions: Sequence[pd.DataFrame]
) -> dict[str, tuple[Array, Array, Array | None]]:
    """Of each data set its ratings, the errors, and these as normal scores of the stated distributions."""
    if not results:
        raise DataError("there is no run to draw")
    rated = pd.concat([table[["dataset", "part", "image", "quality"]] for table in predictions])
    rated = rated[rated["part"] != "all"].drop_duplicates(["dataset", "image"])
    chosen = by_name(results, predictions)[results[0].name]
    errors: dict[str, list[Array]] = {}
    stated: dict[str, list[Array]] = {}
    for result, table in chosen:
        for name, rows in table[table["part"] == "test"].groupby("dataset", sort=False):
            errors.setdefault(str(name), []).append((rows["quality"] - rows["score"]).to_numpy(float))
            if "loc" in rows:
                stated.setdefault(str(name), []).append(normal_scores(rows, result.variance_scale or 1.0))
    return {
        name: (
            rated[rated["dataset"] == name]["quality"].to_numpy(float),
            np.concatenate(values),
            np.concatenate(stated[name]) if name in stated else None,
        )
        for name, values in errors.items()
    }


def normal_scores(rows: pd.DataFrame, variance_scale: float) -> Array:
    """Where ratings lie in the stated distributions, as quantiles of the normal: standard normal if these are true.

    Args:
        rows: n rows of a table of predictions with evidence.
        variance_scale: factor on its variance.

    Returns:
        Φ⁻¹(F(rating)), (n,).
    """
    import torch

    predictive = VarianceScale(variance_scale**0.5).apply(evidence_of(rows)).predictive()
    probability = pit(predictive, torch.tensor(rows["quality"].to_numpy(np.float64))).numpy()
    scores: Array = special.ndtri(np.clip(probability, 1e-12, 1 - 1e-12))
    return scores


def _standardised(values: Array) -> Array:
    units: Array = (values - values.mean()) / max(float(values.std()), 1e-300)
    return units


def _histogram(axes: "Axes", values: Array, color: str) -> None:
    axes.hist(values, bins="auto" if len(values) < 5000 else 60, density=True, color=color, alpha=0.3, label="images")
    if len(values) < 2 or np.ptp(values) == 0:
        return
    reach = 0.15 * np.ptp(values)
    at = np.linspace(values.min() - reach, values.max() + reach, 200)
    axes.plot(at, stats.gaussian_kde(values)(at), color=color, linewidth=1.8, label="kernel density")
    normal = stats.norm(values.mean(), values.std(ddof=1)).pdf(at)
    axes.plot(at, normal, color=GREY, linestyle="--", linewidth=1.2, label="normal")


def _quantiles(axes: "Axes", values: Array, color: str, label: str, marker: str = "o") -> None:
    count = min(len(values), _POINTS)
    level = (np.arange(count) + 0.5) / count
    expected, observed = special.ndtri(level), np.quantile(values, level, method="hazen")
    straight = np.corrcoef(expected, observed)[0, 1] if count > 2 and np.ptp(observed) > 0 else float("nan")
    axes.axline((0, 0), slope=1, color=GREY, linestyle="--", linewidth=1)
    size = 9 if marker == "o" else 12
    axes.scatter(
        expected, observed, s=size, color=color, marker=marker, linewidths=0.8, label=f"{label} (r = {straight:.3f})"
    )
