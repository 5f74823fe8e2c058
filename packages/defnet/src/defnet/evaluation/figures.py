"""Figures of a model on labelled images, of each data set by itself and their average.

The scales of data sets differ: perfect order within each of two sets, with an offset, is no order of both together.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import torch

from defnet.data.table import ImageTable
from defnet.evaluation.accuracy import distortion_accuracy, scene_accuracy
from defnet.evaluation.correlations import correlations
from defnet.evaluation.predictions import Predictions
from defnet.evaluation.uncertainty import uncertainty_figures
from defnet.model.predictive import HIGHEST, LOWEST
from defnet.reliability.familiarity import UNFAMILIAR
from defnet.reliability.reliability import Reliability
from evidential_nig.recalibration import VarianceScale
from iqa_datasets import DISTORTIONS, SCENES

Figures = dict[str, float]


def evaluation_figures(
    predictions: Predictions,
    table: ImageTable,
    *,
    variance_scale: float = 1.0,
    constant_std: float | None = None,
    reliability: Reliability | None = None,
) -> Figures:
    """Every figure of a model on n labelled images of one data set.

    Args:
        predictions: the model's answers, in the table's order.
        table: the truth.
        variance_scale: factor on the predictive variance, fitted on validation data.
        constant_std: standard deviation of the constant-variance rival, fitted on validation data; by default the
            root mean squared error on these very images.
        reliability: what the model knows of its limits; then intervals are its own, NLL and CRPS are those of its
            calibrated evidence, and the variance scale has no part in them.

    The scores are the means of the evidence, or q̂ for a model without evidence, of which the figures of uncertainty are
    absent.

    Returns:
        `images`; `rating_std`, the standard deviation of the ratings; `srcc`, `krcc`, `plcc`, `plcc_logistic`,
        `band_logistic` (see `correlations`) and `rmse` of the scores; `srcc_expected`, `plcc_expected` and
        `plcc_logistic_expected` of the expected quality (q̂ of Eq. 5); accuracies beside the majority class's; and
        those of `uncertainty_figures`; of a model that knows its limits `unfamiliar` too, the share of images whose
        score comes with a warning.
    """
    target = table.quality.double()
    quality = target.numpy()
    figures: Figures = {"images": len(quality), "rating_std": float(quality.std()) if np.ptp(quality) > 0 else 0.0}
    figures |= correlations(predictions.quality, quality)
    expected = correlations(predictions.expected_quality, quality)
    figures |= {f"{name}_expected": expected[name] for name in ("srcc", "plcc", "plcc_logistic")}
    if predictions.scene:
        labels = [[name for name, on in zip(SCENES, row, strict=True) if on] for row in table.scenes.tolist()]
        known = [i for i, names in enumerate(labels) if names]
        figures |= scene_accuracy([predictions.scene[i] for i in known], [labels[i] for i in known])
    if predictions.distortion:
        known = [i for i, row in enumerate(table.distortion.tolist()) if any(row)]
        truth = [DISTORTIONS[int(table.distortion[i].argmax())] for i in known]
        figures |= distortion_accuracy([predictions.distortion[i] for i in known], truth)
    if predictions.evidence is None:
        return figures
    evidence, intervals = predictions.evidence, None
    if reliability is not None and predictions.distance is not None and predictions.spread is not None:
        signs = evidence, predictions.spread, predictions.distance
        intervals = partial(reliability.interval, *signs)
        evidence = reliability.calibrated(*signs)
        familiarity = reliability.familiarity.familiarity(predictions.distance)
        figures["unfamiliar"] = float((familiarity < UNFAMILIAR).double().mean())
    else:
        evidence = VarianceScale(math.sqrt(variance_scale)).apply(evidence)
    rival = figures["rmse"] if constant_std is None else constant_std
    # A rival of no deviation has no density.
    rival = max(rival, float(torch.finfo(torch.float32).tiny))
    bounds = (LOWEST, HIGHEST)
    return figures | uncertainty_figures(evidence, target, bounds=bounds, constant_std=rival, intervals=intervals)


def figures_by_dataset(
    predictions: Predictions,
    table: ImageTable,
    *,
    variance_scale: float = 1.0,
    constant_std: float | None = None,
    reliability: Reliability | None = None,
) -> dict[str, Figures]:
    """The figures of `evaluation_figures` of each data set of a table that has images in it, by name."""
    found: dict[str, Figures] = {}
    for number, name in enumerate(table.names):
        rows = table.rows_of(number)
        if len(rows):
            found[name] = evaluation_figures(
                predictions.select(rows),
                table.select(rows),
                variance_scale=variance_scale,
                constant_std=constant_std,
                reliability=reliability,
            )
    return found


def mean_figures(by_dataset: Mapping[str, Figures]) -> Figures:
    """The mean of each figure over data sets; `images` is their sum.

    A data set that can have no such figure (no labels, too few images for a logistic, or ratings without order: fewer
    than two, or all the same) is left out of its mean. One that could have it, but for predictions that are all the
    same, makes the mean NaN: a model that says one thing of all images must not look better for it.
    """
    names = dict.fromkeys(name for figures in by_dataset.values() for name in figures)
    means = {name: _mean(name, by_dataset.values()) for name in names}
    return means | {"images": sum(figures["images"] for figures in by_dataset.values())}


def _mean(name: str, all_figures: Iterable[Figures]) -> float:
    correlation = name.startswith(("srcc", "krcc", "plcc")) and "logistic" not in name
    values = [
        figures[name]
        for figures in all_figures
        if name in figures and (not math.isnan(figures[name]) or (correlation and figures["rating_std"] > 0))
    ]
    return float(np.mean(values)) if values else float("nan")
