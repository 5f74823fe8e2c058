"""Student-t predictive distributions of many images, in NumPy.

Only scipy.special is imported: scipy.stats would add seconds to the start of a score.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


@dataclass(frozen=True)
class StudentT:
    """Predictive distributions of n images (the predictive Student-t of normal-inverse-gamma evidence).

    Attributes:
        df: degrees of freedom 2α, (n,), above 0.
        loc: means δ, (n,).
        scale: √(β(1 + ν)/(να)), (n,), above 0.
    """

    df: Array
    loc: Array
    scale: Array

    def interval(self, level: float) -> tuple[Array, Array]:
        """Lower and upper ends of the central interval that holds the truth with probability `level`."""
        half = self.scale * special.stdtrit(self.df, 0.5 + level / 2)
        return self.loc - half, self.loc + half

    def nll(self, target: ArrayLike) -> Array:
        """Negative log-likelihood of each target, (n,)."""
        return np.log(self.scale) - self._log_density((np.asarray(target, float) - self.loc) / self.scale)

    def _log_density(self, z: Array) -> Array:
        """Log-density of the standard distribution with these degrees of freedom."""
        df = self.df
        return -special.betaln(0.5, df / 2) - np.log(df) / 2 - (df + 1) / 2 * np.log1p(z**2 / df)

    def crps(self, target: ArrayLike) -> Array:
        """Continuous ranked probability score of each target, (n,); needs df > 1.

        Closed form of Jordan, Krüger & Lerch (Journal of Statistical Software, 2019).
        """
        df, z = self.df, (np.asarray(target, float) - self.loc) / self.scale
        spread = 2 * np.sqrt(df) / (df - 1) * np.exp(special.betaln(0.5, df - 0.5) - 2 * special.betaln(0.5, df / 2))
        density = np.exp(self._log_density(z))
        score = z * (2 * special.stdtr(df, z) - 1) + 2 * density * (df + z**2) / (df - 1) - spread
        return np.asarray(self.scale * score)
