"""Fitting the deviation of ratings from scores to images that were left out of training."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from defnet.errors import DataError
from defnet.reliability.deviation import Deviation

FEWEST: Final = 20
"""Fewest residuals that a deviation is fitted to; so many also let a 95 % interval be finite."""

_Values = NDArray[np.float64]

# Of the logarithm of the first level, of the powers of the evidence's deviation and of the levels' spread, of the
# logarithm of the second level, of the distance's power, and of the logarithm of the degrees of freedom less 2.
_BOUNDS: Final = ((-6.0, 6.0), (0.0, 2.0), (0.0, 2.0), (-8.0, 3.0), (0.0, 8.0), (np.log(0.5), np.log(100.0)))
# The prior: normal, of the same five. Where images left out are no farther away than usual, they do not tell how errors
# grow beyond; by this they reach the whole scale at about twice the usual distance. The other four are left free.
_USUAL: Final = np.array([0.0, 0.0, 0.0, np.log(0.1), 6.0, 0.0])
_SPREAD: Final = np.array([np.inf, np.inf, np.inf, 1.0, 1.0, np.inf])
_STARTS: Final = (
    (-1.0, 0.5, 0.5, -2.0, 1.0, 1.5),
    (-1.0, 0.0, 1.0, -3.0, 3.0, 2.0),
    (-0.5, 1.0, 0.0, -5.0, 2.0, 2.0),
)


def fit_deviation(
    residual: _Values,
    deviation: _Values,
    spread: _Values,
    distance: _Values,
    *,
    weight: _Values,
    noise: _Values,
    unit: float,
) -> Deviation:
    """The deviation under which residuals of images that were left out are most likely.

    A residual follows a Student t around 0 whose variance is h² and the noise's. The epistemic part has a prior, which
    is worth little where the distances of the images left out differ: the level is about 0.1 within a factor of e, the
    power 6 within 1.

    Args:
        residual: rating less score, (n,).
        deviation: the deviations that the network's evidence predicts, (n,), above 0.
        spread: the spreads of its quality levels, (n,), above 0.
        distance: distances to the training images, (n,), at least 0.
        weight: how much each residual counts, (n,).
        noise: standard deviations of what is known to be wrong with the ratings themselves, (n,), 0 for ratings that
            count as certain.
        unit: a usual distance.

    Raises:
        DataError: there are fewer than `FEWEST` residuals, or all of them are 0.
    """
    if len(residual) < FEWEST:
        raise DataError(f"a deviation is fitted to at least {FEWEST} images that were left out, got {len(residual)}")
    if not np.any(residual):
        raise DataError("every image that was left out is predicted without any error, so there is nothing to fit")
    total = float(weight.sum())
    share = weight / total
    own, wide, far = (np.log(np.maximum(values, 1e-6)) for values in (deviation, spread, distance / unit))

    def loss(parameters: _Values) -> float:
        likelihood = float(share @ _negative_log_density(parameters, residual, own, wide, far, noise))
        return likelihood + float(np.sum(((parameters - _USUAL) / _SPREAD) ** 2)) / (2 * total)

    found = min(
        (minimize(loss, start, method="L-BFGS-B", bounds=_BOUNDS, options={"maxiter": 500}) for start in _STARTS),
        key=lambda one: float(one.fun),
    )
    a, p, w, b, r, f = (float(value) for value in found.x)
    return Deviation(float(np.exp(a)), p, w, float(np.exp(b)), r, unit, 2.0 + float(np.exp(f)))


def _negative_log_density(
    parameters: _Values, residual: _Values, own: _Values, wide: _Values, far: _Values, noise: _Values
) -> _Values:
    a, p, w, b, r, f = parameters
    variance = np.exp(2 * (a + p * own + w * wide)) + np.exp(2 * np.minimum(b + r * far, 20.0)) + noise**2
    df = 2 + np.exp(f)
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * (df - 2))
    density = constant - 0.5 * np.log(variance) - (df + 1) / 2 * np.log1p(residual**2 / (variance * (df - 2)))
    negative: _Values = -density
    return negative
