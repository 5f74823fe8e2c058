"""How well predictions agree with human ratings, and whether their stated uncertainty is true."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from defnet.student_t import StudentT

Array = NDArray[np.float64]

INTERVAL_LEVELS = (0.50, 0.80, 0.95)


def gaussian_crps(target: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> Array:
    """Continuous ranked probability score of normal predictions (Gneiting & Raftery, JASA 2007, Eq. 21)."""
    scale = np.asarray(scale, float)
    z = (np.asarray(target, float) - np.asarray(loc, float)) / scale
    return np.asarray(scale * (z * (2 * special.ndtr(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)))


def logistic(x: ArrayLike, b1: float, b2: float, b3: float, b4: float) -> Array:
    """The four-parameter logistic of VQEG: b2 + (b1 − b2) / (1 + exp(−(x − b3) / |b4|))."""
    return np.asarray(b2 + (b1 - b2) * special.expit((np.asarray(x, float) - b3) / max(abs(b4), 1e-12)))


def fit_logistic(prediction: ArrayLike, target: ArrayLike) -> Array:
    """Least-squares parameters of the VQEG logistic that maps predictions to ratings, (4,).

    Raises:
        RuntimeError: the fit does not converge.
    """
    prediction, target = np.asarray(prediction, float), np.asarray(target, float)
    # In units of the predictions' spread: the solver's steps are relative, and a start at 1e-16 would never move.
    center, spread = prediction.mean(), prediction.std() or 1.0
    start = [target.max(), target.min(), 0.0, 0.25]
    if np.corrcoef(prediction, target)[0, 1] < 0:
        start[0], start[1] = start[1], start[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optimize.OptimizeWarning)  # about the covariance, which nobody asks for
        parameters, _ = optimize.curve_fit(logistic, (prediction - center) / spread, target, start, maxfev=20000)
    parameters[2:] = center + spread * parameters[2], spread * abs(parameters[3])
    return np.asarray(parameters)


def correlations(prediction: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """SRCC, KRCC, PLCC as predicted, PLCC after the VQEG logistic, and RMSE on the ratings' scale.

    Figures that cannot be computed (fewer than two images, constant predictions, a fit that does not converge) are NaN.
    """
    prediction, target = np.asarray(prediction, float), np.asarray(target, float)
    figures = dict.fromkeys(("srcc", "krcc", "plcc", "plcc_logistic"), float("nan"))
    figures["rmse"] = float(np.sqrt(np.mean((prediction - target) ** 2)))
    if len(prediction) < 2 or np.ptp(prediction) == 0 or np.ptp(target) == 0:
        return figures
    figures["srcc"] = float(stats.spearmanr(prediction, target).statistic)
    figures["krcc"] = float(stats.kendalltau(prediction, target).statistic)
    figures["plcc"] = float(stats.pearsonr(prediction, target).statistic)
    try:
        fitted = logistic(prediction, *fit_logistic(prediction, target))
        figures["plcc_logistic"] = float(stats.pearsonr(fitted, target).statistic)
    except (RuntimeError, ValueError, TypeError):  # no convergence, or fewer images than parameters
        pass
    return figures


def scene_accuracy(predicted: Sequence[str], labelled: Sequence[Sequence[str]]) -> dict[str, float]:
    """Share of images whose top scene is among the labelled ones (LIQE's rule), beside that of a constant answer."""
    if not predicted:
        return {"scene_accuracy": float("nan"), "scene_majority": float("nan")}
    names = {name for labels in labelled for name in labels}
    return {
        "scene_accuracy": float(np.mean([p in labels for p, labels in zip(predicted, labelled, strict=True)])),
        "scene_majority": float(max(np.mean([name in labels for labels in labelled]) for name in names)),
    }


def distortion_accuracy(predicted: Sequence[str], labelled: Sequence[str]) -> dict[str, float]:
    """Share of images whose top distortion is the labelled one, beside that of a constant answer."""
    if not predicted:
        return {"distortion_accuracy": float("nan"), "distortion_majority": float("nan")}
    labels = np.asarray(labelled)
    return {
        "distortion_accuracy": float(np.mean(np.asarray(predicted) == labels)),
        "distortion_majority": float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
    }


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
