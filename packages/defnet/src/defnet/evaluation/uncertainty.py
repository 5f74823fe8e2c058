"""Whether the stated uncertainty is true."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from defnet.model.student_t import StudentT

Array = NDArray[np.float64]

INTERVAL_LEVELS = (0.50, 0.80, 0.95)


def gaussian_crps(target: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> Array:
    """Continuous ranked probability score of normal predictions (Gneiting & Raftery, JASA 2007, Eq. 21)."""
    scale = np.asarray(scale, float)
    z = (np.asarray(target, float) - np.asarray(loc, float)) / scale
    return np.asarray(scale * (z * (2 * special.ndtr(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)))


def uncertainty_figures(
    predictive: StudentT, target: ArrayLike, *, bounds: tuple[float, float], constant_std: float
) -> dict[str, Any]:
    """Whether the stated uncertainty is true.

    Args:
        predictive: predictive distributions of n images.
        target: ratings on the same scale, (n,).
        bounds: ends of the scale; intervals are cut to them.
        constant_std: standard deviation of the rival that has the same means and one variance for all images, fitted
            on validation data.

    Returns:
        `coverage_50`, `coverage_80`, `coverage_95` and the mean `width_*` of the cut intervals; `nll`, `crps` and
        `nll_constant`, `crps_constant` of the rival; `error_spearman`, the rank correlation of predicted standard
        deviation and absolute error (NaN where one of them is the same for all images).
    """
    target = np.asarray(target, float)
    figures: dict[str, Any] = {}
    for level in INTERVAL_LEVELS:
        lower, upper = (np.clip(end, *bounds) for end in predictive.interval(level))
        figures[f"coverage_{level * 100:.0f}"] = float(np.mean((lower <= target) & (target <= upper)))
        figures[f"width_{level * 100:.0f}"] = float(np.mean(upper - lower))
    figures["nll"] = float(predictive.nll(target).mean())
    figures["crps"] = float(predictive.crps(target).mean())
    figures["nll_constant"] = float(-np.mean(stats.norm.logpdf(target, predictive.loc, constant_std)))
    figures["crps_constant"] = float(gaussian_crps(target, predictive.loc, constant_std).mean())
    variance = predictive.scale**2 * predictive.df / np.maximum(predictive.df - 2, 1e-12)
    error = np.abs(target - predictive.loc)
    defined = len(target) > 1 and np.ptp(variance) > 0 and np.ptp(error) > 0
    figures["error_spearman"] = float(stats.spearmanr(variance, error).statistic) if defined else float("nan")
    return figures
