"""One factor on the predicted variance, fitted on validation data."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from defnet.errors import DataError
from defnet.model.student_t import StudentT


def fit_variance_scale(predictive: StudentT, target: ArrayLike) -> float:
    """The factor on β that makes held-out ratings most likely.

    β multiplies every variance of normal-inverse-gamma evidence (aleatoric, epistemic and predictive) and moves neither
    the mean nor the degrees of freedom, so that one factor keeps all of them consistent.

    Args:
        predictive: predictive distributions of n validation images, under the crop plan used for scoring.
        target: their ratings, (n,).

    Returns:
        The maximum-likelihood factor, within [1e-4, 1e4].

    Raises:
        DataError: there are fewer than two images.
    """
    target = np.asarray(target, float)
    if len(target) < 2:
        raise DataError(f"a variance scale needs at least two validation images, got {len(target)}")

    def nll(log_factor: float) -> float:
        scaled = StudentT(predictive.df, predictive.loc, predictive.scale * np.exp(log_factor / 2))
        return float(scaled.nll(target).mean())

    bound = np.log(1e4)
    return float(np.exp(optimize.minimize_scalar(nll, bounds=(-bound, bound), method="bounded").x))
