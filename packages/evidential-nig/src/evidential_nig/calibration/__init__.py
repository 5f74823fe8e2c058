"""Figures of a predictive distribution against observations: calibration, sharpness, scores and the ranking of errors.

`predictive` is a `torch.distributions.Distribution` of single numbers with a `cdf`: `NormalInverseGamma.predictive()`,
`torch.distributions.Normal`, or a `MixtureSameFamily` for an ensemble. Its batch shape and the shape of the targets
must be the same, dimension by dimension; all elements count alike.

These are figures and not losses: they are computed in `float64` without recording gradients, and returned as tensors on
the device of their input.
"""

from evidential_nig.arguments import Levels
from evidential_nig.calibration.probabilities import (
    CalibrationCurve,
    calibration_curve,
    interval_coverage,
    interval_width,
    miscalibration_area,
    pit,
    quantile_calibration_error,
)
from evidential_nig.calibration.ranking import (
    ErrorMetric,
    SparsificationCurve,
    ause,
    error_uncertainty_correlation,
    expected_normalized_calibration_error,
    sparsification_curve,
)
from evidential_nig.calibration.scores import crps, nll, sharpness
from evidential_nig.calibration.summary import CalibrationSummary, summarize

__all__ = [
    "CalibrationCurve",
    "CalibrationSummary",
    "ErrorMetric",
    "Levels",
    "SparsificationCurve",
    "ause",
    "calibration_curve",
    "crps",
    "error_uncertainty_correlation",
    "expected_normalized_calibration_error",
    "interval_coverage",
    "interval_width",
    "miscalibration_area",
    "nll",
    "pit",
    "quantile_calibration_error",
    "sharpness",
    "sparsification_curve",
    "summarize",
]
