"""Pictures of what a training came to: predicted against given ratings, and whether the intervals are true."""

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from defnet.report.figure_style import COLORS, GREY, MARKERS, tidy
from evidential_nig import NormalInverseGamma
from evidential_nig.plots import plot_calibration_curve
from iqa_datasets import QualityScale


def reliability_figure(parts: Mapping[str, tuple[NormalInverseGamma, torch.Tensor]]) -> Figure:
    """Observed against expected share of ratings below each predicted quantile, a curve a part.

    Args:
        parts: by its name in words, each part's calibrated evidence of n images and their ratings, (n,), in double
            precision on [1, 5]. The grey band is that of the first part's number of images.
    """
    figure = Figure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.subplots()
    for label, (evidence, target) in parts.items():
        plot_calibration_curve(evidence.predictive(), target, label=f"{label} ({len(target)} photographs)", ax=axes)
    axes.set_title("Are the stated uncertainties true? On the diagonal they are.", fontsize="medium")
    axes.set_xlabel("expected share of ratings below the quantile")
    return figure


def agreement_figure(parts: Mapping[str, tuple[NormalInverseGamma, torch.Tensor]], scale: QualityScale) -> Figure:
    """Predicted against given ratings with the 95 % intervals, on the ratings' own scale.

    Args:
        parts: as for `reliability_figure`.
        scale: the ratings' own.
    """
    figure = Figure(figsize=(5.4, 5.2), layout="constrained")
    axes = figure.subplots()
    limits = scale.low, scale.high
    tidy(axes)
    axes.plot(limits, limits, color=GREY, linestyle="--", linewidth=1)
    for color, marker, (label, (evidence, target)) in zip(COLORS, MARKERS, parts.items(), strict=False):
        lower, upper = (scale.to_score(end.clamp(1, 5)) for end in evidence.predictive().interval(0.95))
        given, predicted = scale.to_score(target), scale.to_score(evidence.loc)
        axes.vlines(given, lower, upper, color=color, alpha=0.22, linewidth=1)
        axes.plot(given, predicted, marker, markersize=3.5, color=color, label=label)
    axes.set(xlabel="rating given", ylabel="rating predicted, with its 95 % interval", xlim=limits)
    axes.set_title("Predicted and given ratings", fontsize="medium")
    axes.legend(loc="upper left", frameon=False)
    return figure
