"""Plots of calibration and of the two uncertainties, with matplotlib: `pip install "evidential-nig[plots]"`.

Each function draws into `ax`, or into a new figure without one, and returns the axes. Called again with the same axes,
those that take a `label` add a second model in a colour of its own; `plot_regression` refuses. The colours are told
apart by the colour-blind (they are Okabe and Ito's). Nothing is shown or saved: call `ax.figure.savefig` or
`matplotlib.pyplot.show`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import check_number, check_whole_number
from evidential_nig.calibration import ErrorMetric, ause, calibration_curve, pit, sparsification_curve
from evidential_nig.distribution import NormalInverseGamma

try:
    from matplotlib import pyplot
    from matplotlib.axes import Axes
    from numpy import float64
    from numpy.typing import NDArray
except ImportError as error:
    raise ImportError(
        'evidential_nig.plots needs matplotlib, which cannot be imported: pip install "evidential-nig[plots]"'
    ) from error

__all__ = ["plot_calibration_curve", "plot_pit_histogram", "plot_regression", "plot_sparsification"]

_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#666666"
_REFERENCE = "evidential-nig reference"  # of what a second model is compared with too, and must not be drawn twice
_MODEL = "evidential-nig model"
_IN_95_PERCENT = 1.96


def plot_calibration_curve(
    predictive: Distribution, target: Tensor, *, label: str = "model", ax: Axes | None = None
) -> Axes:
    """Observed against expected share of targets below each predicted quantile.

    On the diagonal the distribution is calibrated. The grey band is where 95 % of the points of a calibrated one lie
    for as many independent targets, ±1.96 √(p(1 − p)/n). A curve that is flat in the middle tells of intervals that are
    too narrow, one that is steep there of intervals that are too wide.

    Args:
        predictive: Predictions, batch shape (...); see `calibration.pit`.
        target: Observations, shape exactly (...).
        label: Name in the legend.
        ax: Axes to draw into.

    Returns:
        The axes.

    Raises:
        TypeError: See `calibration.pit`.
        ValueError: See `calibration.pit`.

    Example:
        >>> from torch.distributions import Normal
        >>> ax = plot_calibration_curve(Normal(torch.zeros(100), 1.0), torch.randn(100))
        >>> ax.get_xlabel()
        'expected share of targets below the quantile'
    """
    curve = calibration_curve(predictive, target)
    ax, color = _prepare(ax)
    if _is_first(ax):
        level = torch.linspace(0, 1, 201, dtype=torch.float64)
        spread = _IN_95_PERCENT * (level * (1 - level) / target.numel()).sqrt()
        low, high = (level - spread).clamp_min(0), (level + spread).clamp_max(1)
        ax.fill_between(_array(level), _array(low), _array(high), color=_GREY, alpha=0.18, linewidth=0)
        ax.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="calibrated", gid=_REFERENCE)
        ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        ax.set(xlabel="expected share of targets below the quantile", ylabel="observed share")
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64, device=curve.expected.device)
    expected, observed = (torch.cat((ends[:1], part, ends[1:])) for part in curve)
    ax.plot(_array(expected), _array(observed), color=color, linewidth=1.8, label=label, gid=_MODEL)
    ax.legend(loc="upper left", frameon=False)
    return ax


def plot_pit_histogram(
    predictive: Distribution, target: Tensor, *, bins: int = 20, label: str = "model", ax: Axes | None = None
) -> Axes:
    """Histogram of the probability integral transform, whose density is 1 for a calibrated distribution.

    High at both ends: intervals too narrow; high in the middle: too wide; sloping: predictions too low or too high. The
    grey band is where 95 % of the bars of a calibrated distribution lie for as many independent targets. Further models
    in the same axes are outlines; the band is that of the first.

    Args:
        predictive: See `plot_calibration_curve`.
        target: See `plot_calibration_curve`.
        bins: Number of bars, at least 2.
        label: Name in the legend.
        ax: Axes to draw into.

    Returns:
        The axes.

    Raises:
        TypeError: See `calibration.pit`.
        ValueError: See `calibration.pit`; or if `bins` is below 2.

    Example:
        >>> from torch.distributions import Normal
        >>> ax = plot_pit_histogram(Normal(torch.zeros(100), 1.0), torch.randn(100), bins=10)
        >>> ax.get_ylabel()
        'density'
    """
    check_whole_number("bins", bins, at_least=2)
    probability = pit(predictive, target).flatten()
    ax, color = _prepare(ax)
    n = len(probability)
    heights = torch.histc(probability.cpu(), bins, 0, 1) * bins / n
    edges = [k / bins for k in range(bins + 1)]
    top = heights.max().item()
    if _is_first(ax):
        spread = _IN_95_PERCENT * math.sqrt((bins - 1) / n)
        ax.axhspan(max(0.0, 1 - spread), 1 + spread, color="black", alpha=0.12, linewidth=0, zorder=1.1)
        ax.axhline(1, color="black", linestyle="--", linewidth=1, label="calibrated", gid=_REFERENCE)
        bars = ax.bar(edges[:-1], _array(heights), 1 / bins, align="edge", color=color, alpha=0.6, edgecolor="white")
        # One of the bars stands for all: in a legend their container would come after the outlines of later models.
        bars[0].set(label=label, gid=_MODEL)
        ax.set(xlim=(0, 1), xlabel="predicted probability of a smaller value, F(y)", ylabel="density")
        top, lowest_top = max(1 + spread, top), 0.0
    else:
        ax.stairs(_array(heights), edges, color=color, linewidth=1.8, label=label, gid=_MODEL)
        lowest_top = ax.get_ylim()[1]
    # Room above the bars for the legend.
    ax.set_ylim(0, max(1.15 * top, lowest_top))
    ax.legend(loc="upper right", frameon=False)
    return ax


def plot_sparsification(
    uncertainty: Tensor,
    error: Tensor,
    *,
    metric: ErrorMetric = "rmse",
    label: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Error that is left after the most uncertain predictions are removed, beside the oracle that knows the errors.

    A useful uncertainty falls steeply, one that knows nothing stays level. The legend has the normalised AUSE. A second
    model has errors of its own and so an oracle of its own, dashed in its colour.

    Args:
        uncertainty: See `calibration.sparsification_curve`.
        error: See `calibration.sparsification_curve`.
        metric: See `calibration.sparsification_curve`.
        label: Name of the model in the legend, where there is more than one.
        ax: Axes to draw into.

    Returns:
        The axes.

    Raises:
        ValueError: See `calibration.sparsification_curve`.

    Example:
        >>> ax = plot_sparsification(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 2.0, -3.0]))
        >>> ax.get_legend_handles_labels()[1]
        ['by uncertainty (AUSE 0.101)', 'oracle']
    """
    curve = sparsification_curve(uncertainty, error, metric=metric)
    area = ause(uncertainty, error, metric=metric).item()
    ax, color = _prepare(ax)
    fraction = _array(curve.fraction)
    ax.plot(
        fraction,
        _array(curve.error),
        color=color,
        linewidth=1.8,
        label=f"{label or 'by uncertainty'} (AUSE {area:.3f})",
        gid=_MODEL,
    )
    oracle = "oracle" if label is None else f"oracle of {label}"
    ax.plot(fraction, _array(curve.oracle), color=color, linestyle="--", linewidth=1.2, label=oracle)
    ax.set(xlim=(0, 1), xlabel="share of predictions removed, the most uncertain first")
    ax.set_ylabel(f"{metric.upper()} of those left, in units of the target")
    # A limit that was set before, by this function for another model, would cut this one off.
    ax.autoscale(axis="y")
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower left", frameon=False)
    return ax


def plot_regression(
    x: Tensor,
    nig: NormalInverseGamma,
    *,
    observations: tuple[Tensor, Tensor] | None = None,
    standard_deviations: float = 2.0,
    ax: Axes | None = None,
) -> Axes:
    """Predicted mean over one input, with a band for each of the two uncertainties.

    The aleatoric band is ±k √`aleatoric`, the epistemic one ±k √`epistemic`, both around the mean; the variance of an
    observation is the sum of the two.

    Args:
        x: Inputs, shape (n,), in any order.
        nig: Predictions at these inputs, batch shape (n,).
        observations: Inputs and targets to draw as points, two tensors of one shape (m,).
        standard_deviations: k > 0.
        ax: Axes to draw into, without a model in them: bands over bands could not be told apart.

    Returns:
        The axes.

    Raises:
        ValueError: If `x` is not one-dimensional, a shape differs, `standard_deviations` is not a finite number above
            0 or `ax` holds a model already.

    Example:
        >>> x = torch.linspace(-1, 1, 50)
        >>> ax = plot_regression(x, NormalInverseGamma(x**3, 10.0, 3.0, 0.1))
        >>> ax.get_legend_handles_labels()[1]
        ['± 2 aleatoric standard deviations', '± 2 epistemic standard deviations', 'mean']
    """
    if x.dim() != 1 or nig.batch_shape != x.shape:
        raise ValueError(
            "x and nig must have one and the same single dimension (of a head with one output take nig[:, 0]), "
            f"but have shapes {tuple(x.shape)} and {tuple(nig.batch_shape)}"
        )
    if observations is not None and (observations[0].dim() != 1 or observations[0].shape != observations[1].shape):
        shapes = " and ".join(str(tuple(part.shape)) for part in observations)
        raise ValueError(f"observations must be two tensors of one shape (m,), but have shapes {shapes}")
    check_number("standard_deviations", standard_deviations, above=0)
    if ax is not None and _models(ax):
        raise ValueError("ax must not hold a model already; draw each regression into axes of its own")
    order = x.argsort()
    at, mean = _array(x[order]), _array(nig.loc[order])
    ax, _ = _prepare(ax)
    blue, vermilion = _COLORS[:2]
    for name, variance, color, layer in (
        ("aleatoric", nig.aleatoric, vermilion, 1.1),
        ("epistemic", nig.epistemic, blue, 1.2),
    ):
        reach = standard_deviations * _array(variance[order].double().sqrt())
        text = f"± {standard_deviations:g} {name} standard deviations"
        ax.fill_between(
            at, mean - reach, mean + reach, facecolor=(color, 0.25), edgecolor=color, label=text, zorder=layer
        )
    if observations is not None:
        inputs, targets = (_array(part) for part in observations)
        ax.scatter(inputs, targets, s=9, color="black", alpha=0.55, linewidths=0, label="observations", zorder=2.1)
    ax.plot(at, mean, color="black", linewidth=1.6, label="mean", zorder=2.2, gid=_MODEL)
    ax.set(xlabel="x", ylabel="y")
    ax.margins(x=0)
    ax.legend(frameon=False)
    return ax


def _prepare(ax: Axes | None) -> tuple[Axes, str]:
    """The axes, and the colour of the next model in them."""
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    ax.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax, _COLORS[_models(ax) % len(_COLORS)]


def _models(ax: Axes) -> int:
    return sum(artist.get_gid() == _MODEL for artist in ax.get_children())


def _is_first(ax: Axes) -> bool:
    return all(line.get_gid() != _REFERENCE for line in ax.get_lines())


def _array(values: Tensor) -> NDArray[float64]:
    array: NDArray[float64] = values.detach().double().cpu().numpy()
    return array
