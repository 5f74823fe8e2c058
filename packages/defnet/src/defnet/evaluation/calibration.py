"""One factor on the predicted variance, and the constant deviation that it must beat, fitted on validation data.

The scales of data sets differ, by an offset or in how far raters agree. So everything is fitted within each data set
and then averaged: pooled, one set's offset would be another's uncertainty.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from defnet.data.table import ImageTable
from defnet.errors import DataError
from defnet.evaluation.predictions import Predictions
from evidential_nig import NormalInverseGamma
from evidential_nig.recalibration import VarianceScale

SMALLEST, LARGEST = 1e-4, 1e4
"""Bounds of the factor on the variance: a handful of ratings that happen to be met, or missed, prove no more."""


def fit_variance_scale(evidence: NormalInverseGamma, target: Tensor) -> float:
    """The factor on β that makes held-out ratings most likely.

    β multiplies every variance of normal-inverse-gamma evidence (aleatoric, epistemic and predictive) and moves neither
    the mean nor the degrees of freedom, so that one factor keeps all of them consistent.

    Args:
        evidence: evidence of n validation images, under the crop plan used for scoring.
        target: their ratings, (n,).

    Returns:
        The maximum-likelihood factor, within [1e-4, 1e4].

    Raises:
        DataError: there are fewer than two images.
    """
    if len(target) < 2:
        raise DataError(f"a variance scale needs at least two validation images, got {len(target)}")
    if bool((target == evidence.loc).all()):
        return SMALLEST
    factor = VarianceScale.fit(evidence, target).factor ** 2
    return min(max(factor, SMALLEST), LARGEST)


@dataclass(frozen=True)
class Calibration:
    """What validation data say of a model's variances.

    Attributes:
        variance_scale: factor on β: the geometric mean of the data sets' own.
        constant_std: standard deviation of the rival with one variance for all images: the root of the mean of the
            data sets' mean squared errors. None for a model that states no uncertainty.
        by_dataset: the factor of each data set that has two validation images or more.
    """

    variance_scale: float
    constant_std: float | None
    by_dataset: dict[str, float]


def calibrate(predictions: Predictions, table: ImageTable) -> Calibration:
    """Fit the variance scale and its rival within each data set, and average.

    Of a model whose score comes without an uncertainty nothing is fitted.

    Raises:
        DataError: no data set has two images.
    """
    if predictions.evidence is None:
        return Calibration(variance_scale=1.0, constant_std=None, by_dataset={})
    factors: dict[str, float] = {}
    squares: list[float] = []
    for number, name in enumerate(table.names):
        rows = table.rows_of(number)
        if len(rows) < 2:
            continue
        evidence = predictions.evidence[torch.from_numpy(rows)]
        target = table.quality[torch.from_numpy(rows)].double()
        factors[name] = fit_variance_scale(evidence, target)
        squares.append((target - evidence.loc).square().mean().item())
    if not factors:
        raise DataError("calibration needs at least two validation images of one data set")
    return Calibration(
        variance_scale=float(np.exp(np.mean(np.log(list(factors.values()))))),
        constant_std=float(np.sqrt(np.mean(squares))),
        by_dataset=factors,
    )
