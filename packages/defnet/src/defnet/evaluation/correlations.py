"""How well predictions agree with human ratings."""

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

Array = NDArray[np.float64]


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
