"""Pictures of a data set's scores: their distribution, and how far from normal it is. Needs matplotlib."""

from typing import TYPE_CHECKING, Literal

import numpy as np
import scipy.stats

from iqa_datasets.errors import DatasetError
from iqa_datasets.records import IQADataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEWEST = 10


def plot_scores(dataset: IQADataset, *, score: Literal["mos", "quality"] = "mos") -> "Figure":
    """Draw the histogram of the scores with a kernel density estimate, beside their normal Q–Q plot.

    The density is Gaussian with Scott's bandwidth; dashed is the normal distribution of the same mean and deviation.
    In the Q–Q plot the line is that distribution, and the title gives the correlation with it (1 for a normal sample).

    Reference: DEFNet, supplementary B, Figures 5 and 6.

    Args:
        dataset: a data set with scores.
        score: ``"mos"``, as published, or ``"quality"``, on [1, 5] with higher = better.

    Returns:
        A matplotlib figure that is on no screen: save it by ``figure.savefig("scores.svg")``.

    Raises:
        DatasetError: there are fewer than 10 scores, or they are all the same.
        ImportError: matplotlib is not installed: ``pip install "iqa-datasets[plots]"``.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plot_scores needs matplotlib: pip install "iqa-datasets[plots]"') from error

    values = dataset.records[score].dropna().to_numpy(dtype=np.float64)
    if len(values) < _FEWEST or np.ptp(values) == 0:
        raise DatasetError(
            f"{dataset!r} has {len(values)} scores" + (", all the same" if len(values) >= _FEWEST else "") + "; a plot "
            f"needs {_FEWEST} or more that differ"
        )
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    _density(left, values)
    _quantiles(right, values)
    scale = dataset.card.scale
    label = "quality, 1 to 5, higher = better" if score == "quality" else f"score as published, {scale}"
    left.set_xlabel(label)
    part = "" if dataset.session is None else f", session {dataset.session}"
    figure.suptitle(f"{dataset.card.title}: {len(values):,} images{part}")
    return figure


def _density(axes: "Axes", values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    mean, deviation = values.mean(), values.std(ddof=1)
    axes.hist(values, bins="fd", density=True, color="#c6d7e8", edgecolor="white", linewidth=0.5)
    grid = np.linspace(values.min() - deviation, values.max() + deviation, 400)
    axes.plot(grid, scipy.stats.gaussian_kde(values)(grid), color="#1f5a91", label="kernel density")
    normal = scipy.stats.norm.pdf(grid, mean, deviation)
    axes.plot(grid, normal, color="#333333", linestyle="--", linewidth=1, label="normal of the same mean and deviation")
    axes.set_ylabel("density")
    axes.set_ylim(top=axes.get_ylim()[1] * 1.18)  # room for the legend
    axes.legend(frameon=False, fontsize="small", loc="upper left")
    shape = f"skewness {scipy.stats.skew(values):+.2f}, excess kurtosis {scipy.stats.kurtosis(values):+.2f}"
    axes.set_title(f"mean {mean:.3g}, deviation {deviation:.3g}, {shape}", fontsize="small")


def _quantiles(axes: "Axes", values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    (expected, ordered), (_, _, correlation) = scipy.stats.probplot(values, dist="norm")
    axes.plot(expected, ordered, ".", markersize=3, color="#1f5a91", rasterized=len(values) > 2000)
    ends = np.array([expected[0], expected[-1]])
    axes.plot(ends, values.mean() + values.std(ddof=1) * ends, color="#333333", linestyle="--", linewidth=1)
    axes.set_xlabel("quantile of the standard normal distribution")
    axes.set_ylabel("quantile of the scores")
    axes.set_title(f"Q–Q plot, correlation {correlation:.4f}", fontsize="small")
