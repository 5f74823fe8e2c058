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


def logistic_band(prediction: ArrayLike, target: ArrayLike, parameters: ArrayLike, level: float = 0.95) -> float:
    """Mean width of the confidence band of a fitted logistic, on the ratings' scale.

    The band holds the curve, not the ratings, with this probability at each image, by the delta method: with J the
    derivatives of the fitted values by the parameters, h the diagonal of J (JᵀJ)⁻¹Jᵀ and s² the residuals' variance
    with n − 4 degrees of freedom, its half width is t s √h.

    Args:
        prediction: scores of n images.
        target: their ratings.
        parameters: b1 to b4 of `logistic`, as fitted to them.
        level: the probability.

    Returns:
        The mean over the images; NaN for fewer than five.
    """
    x, y = np.asarray(prediction, float), np.asarray(target, float)
    b1, b2, b3, b4 = (float(value) for value in np.asarray(parameters))
    free = len(x) - 4
    if free < 1:
        return float("nan")
    z = (x - b3) / max(abs(b4), 1e-12)
    share = special.expit(z)
    slope = share * special.expit(-z)
    # By b3 and b4 up to factors, which do not change the space that the columns span.
    columns = np.stack([share, 1 - share, slope, slope * z], axis=1)
    columns /= np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    basis, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    leverage = np.square(basis[:, sizes > 1e-10 * sizes[0]]).sum(1)
    deviation = np.sqrt(np.sum((y - logistic(x, b1, b2, b3, b4)) ** 2) / free)
    return float(2 * special.stdtrit(free, 0.5 + level / 2) * deviation * np.sqrt(leverage).mean())


def correlations(prediction: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """How well predictions agree with ratings of the same images.

    Returns:
        `srcc`, `krcc`, `plcc` as predicted, `plcc_logistic` after the VQEG logistic, `band_logistic`, the mean width of
        the 95 % confidence band of that fit (the paper's Table 6), and `rmse`, all on the ratings' scale.

    Figures that cannot be computed (fewer than two images, constant predictions, a fit that does not converge) are NaN.
    """
    prediction, target = np.asarray(prediction, float), np.asarray(target, float)
    figures = dict.fromkeys(("srcc", "krcc", "plcc", "plcc_logistic", "band_logistic"), float("nan"))
    figures["rmse"] = float(np.sqrt(np.mean((prediction - target) ** 2)))
    if len(prediction) < 2 or np.ptp(prediction) == 0 or np.ptp(target) == 0:
        return figures
    figures["srcc"] = float(stats.spearmanr(prediction, target).statistic)
    figures["krcc"] = float(stats.kendalltau(prediction, target).statistic)
    figures["plcc"] = float(stats.pearsonr(prediction, target).statistic)
    try:
        parameters = fit_logistic(prediction, target)
        figures["plcc_logistic"] = float(stats.pearsonr(logistic(prediction, *parameters), target).statistic)
        figures["band_logistic"] = logistic_band(prediction, target, parameters)
    except (RuntimeError, ValueError, TypeError):  # no convergence, or fewer images than parameters
        pass
    return figures
