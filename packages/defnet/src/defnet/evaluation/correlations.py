"""How well predictions agree with human ratings: the repository's one `agreement`, and what DEFNet's tables add."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from iqa_datasets import agreement
from iqa_datasets.agreement import logistic


def correlations(prediction: ArrayLike, target: ArrayLike) -> dict[str, float]:
    """How well predictions agree with ratings of the same images.

    Args:
        prediction: predicted quality of n images, on the ratings' scale, finite.
        target: their ratings, (n,).

    Returns:
        `srcc`, `krcc`, `plcc` as predicted, `plcc_logistic` after the logistic of VQEG (see `iqa_datasets.agreement`),
        `band_logistic`, the mean width of the 95 % confidence band of that fit (the paper's Table 6), and `rmse` as
        predicted. Figures that cannot be computed (fewer than two images, or six for the logistic; constant
        predictions) are NaN.
    """
    prediction, target = np.asarray(prediction, float), np.asarray(target, float)
    found = agreement(prediction, target)
    band = float("nan") if found.logistic is None else logistic_band(prediction, target, found.logistic)
    return {
        "srcc": found.srcc,
        "krcc": found.krcc,
        "plcc": found.plcc,
        "plcc_logistic": found.plcc_logistic,
        "band_logistic": band,
        "rmse": float(np.sqrt(np.mean((prediction - target) ** 2))),
    }


def logistic_band(prediction: ArrayLike, target: ArrayLike, parameters: ArrayLike, level: float = 0.95) -> float:
    """Mean width of the confidence band of a fitted logistic, on the ratings' scale.

    Args:
        prediction: scores of n images.
        target: their ratings.
        parameters: β₁ to β₄ of `iqa_datasets.agreement.logistic`, as fitted to them.
        level: the probability.

    Returns:
        The mean over the images of the width, twice `logistic_reach`; NaN for fewer than five.
    """
    return float(2 * logistic_reach(prediction, target, parameters, prediction, level).mean())


def logistic_reach(
    prediction: ArrayLike, target: ArrayLike, parameters: ArrayLike, at: ArrayLike, level: float = 0.95
) -> NDArray[np.float64]:
    """How far the confidence band of a fitted logistic reaches to either side of the curve.

    The band holds the curve, not the ratings, with this probability at each point, by the delta method: with J the
    derivatives of the fitted values by the parameters, j those at the point, h = j (JᵀJ)⁻¹ jᵀ and s² the residuals'
    variance with n − 4 degrees of freedom, the reach is t s √h.

    Args:
        prediction: scores of n images.
        target: their ratings.
        parameters: β₁ to β₄ of `iqa_datasets.agreement.logistic`, as fitted to them.
        at: the m scores where the band is wanted.
        level: the probability.

    Returns:
        (m,), on the ratings' scale; NaN for fewer than five images.
    """
    x, y, points = (np.asarray(values, float) for values in (prediction, target, at))
    b1, b2, b3, b4 = (float(value) for value in np.asarray(parameters))
    free = len(x) - 4
    if free < 1:
        return np.full(points.shape, np.nan)
    columns = _derivatives(x, b3, b4)
    length = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    _, sizes, turned = np.linalg.svd(columns / length, full_matrices=False)
    kept = sizes > 1e-10 * sizes[0]
    leverage = np.square((_derivatives(points, b3, b4) / length) @ turned[kept].T / sizes[kept]).sum(1)
    deviation = np.sqrt(np.sum((y - logistic(x, b1, b2, b3, b4)) ** 2) / free)
    reach: NDArray[np.float64] = special.stdtrit(free, 0.5 + level / 2) * deviation * np.sqrt(leverage)
    return reach


def _derivatives(x: NDArray[np.float64], b3: float, b4: float) -> NDArray[np.float64]:
    """Of the logistic by its four parameters; by the last two up to factors, which do not change what they span."""
    z = (x - b3) / max(abs(b4), 1e-300)
    share = special.expit(z)
    slope = share * special.expit(-z)
    return np.stack([share, 1 - share, slope, slope * np.clip(z, -1e3, 1e3)], axis=1)
