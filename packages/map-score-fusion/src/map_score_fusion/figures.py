"""Pictures of a fitted fusion. Needs ``pip install "map-score-fusion[reports]"``.

Each function returns a matplotlib figure that is on no screen: save it by ``figure.savefig("file.svg")``.
"""

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import scipy.optimize
import scipy.stats

from map_score_fusion.bootstrap import FloatArray
from map_score_fusion.errors import ScoreTableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1c2127"
FAINT: Final = "#8a929c"
BLUE: Final = "#2f6fae"
BAND: Final = "#7fb0dd"
ORANGE: Final = "#c8641e"

_POINTS = 4000
_GRID = 201
_TAIL = 0.5  # per cent of the scores at either end that the axes of a panel leave out


def plot_metric_curves(
    names: list[str],
    scores: FloatArray,
    fused: FloatArray,
    curves: "dict[str, FloatArray] | None" = None,
) -> "Figure":
    """Draw each metric's scores over the fused score, with its curve and the central 68 % of its scores.

    The counterpart of the paper's Figure 2, with the fused score in place of the ratings.

    Args:
        names: Names of the metrics.
        scores: Scores as given, (N, M); missing and infinite ones are not drawn. Nor is the outermost half per cent at
            either end of a metric's scores.
        fused: Fused scores, (N,).
        curves: ``"expected"``, ``"lower"`` and ``"upper"``, each (G, M), at G fused scores evenly from 0 to 1, on the
            scores' own scale. Without, running medians and quantiles of the scores themselves.
    """
    figure, panels = _panels(len(names))
    drawn = np.sort(np.random.default_rng(0).permutation(len(fused))[:_POINTS])
    for at, (axes, name) in enumerate(zip(panels, names, strict=False)):
        column = scores[:, at]
        finite = np.isfinite(column) & np.isfinite(fused)
        if not finite.any():
            continue
        shown = drawn[finite[drawn]]
        opacity = float(np.clip(1200 / max(len(shown), 1), 0.2, 0.7))
        axes.plot(
            fused[shown],
            column[shown],
            ".",
            color=FAINT,
            markersize=3,
            alpha=opacity,
            markeredgewidth=0,
            rasterized=True,
        )
        if curves is None:
            x, lower, expected, upper = _running_quantiles(fused[finite], column[finite])
        else:
            x = np.linspace(0, 1, len(curves["expected"]))
            lower, expected, upper = (curves[key][:, at] for key in ("lower", "expected", "upper"))
        axes.fill_between(x, lower, upper, color=BAND, alpha=0.35, linewidth=0)
        axes.plot(x, expected, color=BLUE, linewidth=1.8)
        low, high = np.percentile(column[finite], [_TAIL, 100 - _TAIL])
        margin = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
        axes.set_xlim(-0.02, 1.02)
        axes.set_title(_plain(name), fontsize="medium", loc="left", color=INK)
        axes.set_xlabel("fused score", fontsize="small")
        _quiet(axes)
    return figure


def plot_weights(names: list[str], weights: FloatArray) -> "Figure":
    """Draw each metric's mean weight, and within which bounds it lies for 90 % of the images.

    Args:
        names: Names of the metrics.
        weights: Weights (N, M); rows of NaN are left out.
    """
    known = weights[~np.isnan(weights).any(axis=1)]
    if not len(known):
        raise ScoreTableError("no image has weights, so that none can be drawn")
    mean = known.mean(axis=0)
    low, high = np.percentile(known, [5, 95], axis=0)
    order = np.argsort(mean, kind="stable")
    figure = _figure(7.2, 0.6 + 0.3 * len(names))
    axes = figure.subplots()
    axes.barh(range(len(names)), 100 * mean[order], color=BAND, height=0.66)
    axes.hlines(range(len(names)), 100 * low[order], 100 * high[order], color=BLUE, linewidth=1.6)
    axes.set_yticks(range(len(names)), [_plain(names[at]) for at in order])
    axes.set_xlabel("weight in per cent: mean (bar) and where it lies for 90 % of the images (line)", fontsize="small")
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(left=0)
    _quiet(axes)
    axes.grid(visible=False, axis="y")
    return figure


def plot_residual_correlations(names: list[str], correlations: FloatArray) -> "Figure":
    """Draw how alike the metrics err: correlations of what the fused score leaves over, (M, M)."""
    from matplotlib.colors import to_rgb

    count = len(names)
    size = 1.6 + 0.42 * count
    figure = _figure(size + 1.2, size)
    axes = figure.subplots()
    # Opacity in place of a colour map, so that zero is the paper's own colour, be that light or dark.
    picture = np.zeros((count, count, 4))
    picture[..., :3] = np.where((correlations >= 0)[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    picture[..., 3] = np.abs(correlations) * 0.85
    axes.imshow(picture, interpolation="nearest")
    if count <= 24:
        for (row, column), value in np.ndenumerate(correlations):
            if row != column:
                text = f"{value:.1f}".replace("-0.0", "0.0").replace("0.", ".")
                axes.text(column, row, text, ha="center", va="center", color=INK, fontsize=7)
    labels = [_plain(name) for name in names]
    axes.set_xticks(range(count), labels, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(count), labels)
    _quiet(axes)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return figure


def plot_noise_against_srcc(noise: "pd.Series[float]", srcc: "pd.Series[float]") -> "Figure":
    """Draw each metric's fitted uncertainty against its correlation with ratings (the paper's section 4.2).

    Args:
        noise: Mean ω̃ of each metric on the scale of the fused score, by name.
        srcc: SRCC of each metric, turned to higher = better, by name.

    Raises:
        ScoreTableError: No metric has both.
    """
    both = pd.DataFrame({"noise": noise, "srcc": srcc}).dropna()
    if both.empty:
        raise ScoreTableError("no metric has both an uncertainty and an SRCC")
    both = both.sort_values("srcc")
    figure = _figure(7.2, max(4.2, 1.2 + 0.22 * len(both)))
    axes = figure.subplots()
    axes.margins(x=0.08, y=0.08)
    axes.plot(both["noise"], both["srcc"], "o", color=BLUE, markersize=6)
    # The names stand in a column beside the axes, as near to their points' heights as a line's distance allows, so that
    # metrics of like figures stay legible.
    low, high = axes.get_ylim()
    steps = np.arange(len(both)) * min(0.055, 1 / len(both))
    heights = scipy.optimize.isotonic_regression((both["srcc"].to_numpy() - low) / (high - low) - steps).x + steps
    for height, (name, row) in zip(heights, both.iterrows(), strict=True):
        axes.annotate(
            _plain(str(name)), (row["noise"], row["srcc"]), (1.03, height), textcoords="axes fraction",
            va="center", fontsize="small", color=INK,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkB": 4, "relpos": (0, 0.5)},
        )  # fmt: skip
    axes.set_xlabel("fitted uncertainty: mean ω̃, on the scale of the fused score")
    axes.set_ylabel("SRCC with the ratings")
    if len(both) > 2 and both["noise"].nunique() > 1 and both["srcc"].nunique() > 1:
        rank = float(scipy.stats.spearmanr(both["noise"], both["srcc"]).statistic)
        axes.set_title(f"Spearman's correlation of the two over {len(both)} metrics: {rank:+.2f}", fontsize="medium")
    _quiet(axes)
    return figure


def _running_quantiles(fused: FloatArray, column: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the middle of bins of equally many images, and the 16 %, 50 % and 84 % quantile of their scores."""
    order = np.argsort(fused, kind="stable")
    bins = np.array_split(order, max(1, min(25, len(order) // 12)))
    x = np.array([fused[part].mean() for part in bins])
    lower, middle, upper = np.array([np.percentile(column[part], [15.87, 50, 84.13]) for part in bins]).T
    return x, lower, middle, upper


def _panels(count: int) -> "tuple[Figure, list[Axes]]":
    across = min(3, count)
    down = math.ceil(count / across)
    figure = _figure(3.1 * across, 2.5 * down)
    panels = list(np.ravel(figure.subplots(down, across, squeeze=False)))
    for empty in panels[count:]:
        empty.set_axis_off()
    return figure, panels


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "map-score-fusion[reports]"') from error
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    return figure


def _quiet(axes: "Axes") -> None:
    """Leave of the frame and the ticks what is needed to read the numbers."""
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize="small", color=FAINT)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.title.set_color(INK)
    axes.grid(visible=True, color=FAINT, alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _plain(name: str) -> str:
    """Return a name as matplotlib shows it as it stands, without mathematics and without control characters."""
    return "".join(char if char.isprintable() else "?" for char in name).replace("$", r"\$")
