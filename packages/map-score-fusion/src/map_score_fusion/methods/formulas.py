"""Published formulas of named metrics, whose exponents or weights the user gives: products of powers, weighted sums.

CISI, HFSIMc and CM3 are products of powers of metrics' scores, with exponents that their papers fitted to ratings:

- CISI, of MS-SSIM, VIF and R-SVD: K. Okarma, "Combined image similarity index", Optical Review 19, 2012.
- HFSIMc, of FSIMc and RFSIM: K. Okarma, "Hybrid feature similarity approach to full-reference image quality
  assessment", ICCVG 2012.
- CM3, of IFC, NQM, VSNR and others: K. Okarma, "Quality assessment of images with multiple distortions using combined
  metrics", Elektronika ir Elektrotechnika 20, 2014.

No source at hand states the exponents, so none stand here: `WeightedProduct` takes them from whoever has the paper.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.methods.base import FittingLog, FloatArray, State
from map_score_fusion.methods.baselines import WeightedMean
from map_score_fusion.scaling import EmpiricalDistribution


class Formula(WeightedMean):
    """A fixed formula of some metrics' own scores; the fused score is its rank among the training images.

    The order of images is that of the formula. Where a score of the formula is missing, the one stands in that has the
    mean rank of the image's other scores. The weight of a metric is its part in how much the formula varies over the
    training images; the uncertainty is that of a mean of ranks with these weights, as `WeightedMean` says.

    Args:
        coefficients: Exponent or weight of each metric, by its name; metrics without one take no part.

    Attributes:
        coefficients: As given.
        signs: 1 where higher = better and -1 where lower = better, for each metric, (M,): the formula is about scores
            as they are, and the method sees them turned. Set by `ScoreFusion`; all 1 if None.
        powers: Coefficient of each metric, (M,).
        turned: Whether the formula is better when lower, so that its order was turned round.
        values: The training images' values of the formula, sorted, turned to higher = better.
    """

    coefficient_name: ClassVar[str]
    scaling: EmpiricalDistribution
    values: EmpiricalDistribution

    def __init__(self, coefficients: Mapping[str, float] | None = None) -> None:
        if not coefficients:
            raise ScoreTableError(
                f"the method {self.name!r} needs coefficients, the {self.coefficient_name} of each metric by its "
                f"column's name, such as {{'ssim': 0.5, 'vif': 0.3}}"
            )
        for name, value in coefficients.items():
            number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or value == 0:
                raise ScoreTableError(
                    f"the {self.coefficient_name} of {name!r} is {value!r}; it must be a finite number other than 0"
                )
        self.coefficients = {str(name): float(value) for name, value in coefficients.items()}
        self.signs: FloatArray | None = None
        self.turned = False

    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:
        """Take the metrics' coefficients, and learn where the training images' values lie."""
        self.powers = np.array([self.coefficients.get(name, 0.0) for name in names])
        if not self.powers.any():
            raise ScoreTableError(
                f"no metric of the formula tells the images apart: {', '.join(self.coefficients)} "
                f"{'is' if len(self.coefficients) == 1 else 'are'} constant or without a score"
            )
        self._check(scores * self._signs, names)
        super().fit(scores, names, generator)
        effects = np.sign(self.powers * self._signs)
        self.turned = bool(effects.sum() < 0)
        messages = []
        if self.turned and not (effects > 0).any():
            messages.append(f"the formula of {self.name} is better when lower by its metrics' directions; turned round")
        elif (effects > 0).any() and (effects < 0).any():
            against = [
                name for name, effect in zip(names, effects, strict=True) if effect == (1 if self.turned else -1)
            ]
            messages.append(
                f"in the formula of {self.name} the {self.coefficient_name} of {', '.join(against)} rewards what is "
                "worse by the metric's direction, against the other metrics; check its sign"
            )
        self.values = EmpiricalDistribution.fit(self._value(scores)[:, None])
        self.log = FittingLog(messages=tuple(messages))
        return self

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the rank (N,) of each row's value among those of the training images."""
        return self.values(self._value(scores)[:, None])[:, 0]

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the ranks (N,) and the standard error (N,) of a mean of ranks with the same weights."""
        _, deviations = super().predict_std(scores)
        return self.predict(scores), deviations

    def summary(self) -> Mapping[str, FloatArray]:
        """Return each metric's ``noise`` and its ``coefficient``, 0 where it takes no part."""
        return {**super().summary(), "coefficient": self.powers}

    def state(self) -> State:
        """Return the ranks, the coefficients and the values of the training images."""
        arrays, settings = super().state()
        [values] = self.values.sorted_scores
        arrays |= {"powers": self.powers, "signs": self._signs, "values": values}
        return arrays, {**settings, "coefficients": self.coefficients, "turned": self.turned}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the fitted method again from what ``state`` returned."""
        method = cls(settings["coefficients"])
        method._restore_scaling(arrays, settings)
        method.metric_weights, method.noise = arrays["metric_weights"], arrays["noise"]
        method.powers, method.signs, method.turned = arrays["powers"], arrays["signs"], bool(settings["turned"])
        method.values = EmpiricalDistribution((arrays["values"],))
        method.log = FittingLog()
        return method

    @property
    def _signs(self) -> FloatArray:
        """Each metric's sign, (M,)."""
        return np.ones(len(self.powers)) if self.signs is None else self.signs

    def _fit_scaling(self, scores: FloatArray) -> None:
        self.scaling = EmpiricalDistribution.fit(scores)

    def _scale(self, scores: FloatArray) -> FloatArray:
        return self.scaling(scores)

    def _scaling_state(self) -> State:
        return self.scaling.state(), {}

    def _restore_scaling(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.scaling = EmpiricalDistribution.from_state(arrays)

    def _choose_weights(self, scores: FloatArray, scaled: FloatArray) -> FloatArray:  # noqa: ARG002
        spread = np.abs(self.powers) * np.nanstd(self._terms(scores * self._signs), axis=0)
        total = float(spread.sum())
        weights: FloatArray = spread / total if total > 0 else np.abs(np.sign(self.powers)) / np.sum(self.powers != 0)
        return weights

    def _value(self, scores: FloatArray) -> FloatArray:
        """Return the formula's value (N,), or one in its order, higher = better, of oriented scores (N, M)."""
        ranks = self.scaling(scores)
        taking_part = ~np.isnan(ranks) & (self.powers != 0)
        # A row without any score of the formula goes by what it has.
        counted = np.where(taking_part.any(axis=1, keepdims=True), taking_part, ~np.isnan(ranks))
        mean = np.where(counted, ranks, 0.0).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
        whole = np.where(np.isnan(scores), self.scaling.inverse(np.tile(mean[:, None], (1, scores.shape[1]))), scores)
        value: FloatArray = self._terms(whole * self._signs) @ self.powers
        return -value if self.turned else value

    def _check(self, scores: FloatArray, names: Sequence[str]) -> None:
        """Raise an error where scores (N, M), as the user gave them, are none that the formula is defined for."""

    @abstractmethod
    def _terms(self, scores: FloatArray) -> FloatArray:
        """Return what is multiplied by the coefficients and summed, (N, M), of scores as the user gave them."""


class WeightedProduct(Formula):
    """The product of powers of the metrics' scores, Π xⱼ^eⱼ, with given exponents: the form of CISI, HFSIMc and CM3.

    Scores must be at least 0; an exponent is negative where lower = better.
    """

    name: ClassVar[str] = "weighted-product"
    coefficient_name: ClassVar[str] = "exponent"

    def _check(self, scores: FloatArray, names: Sequence[str]) -> None:
        for name, column, power in zip(names, scores.T, self.powers, strict=True):
            if power and np.nanmin(column) < 0:
                raise ScoreTableError(
                    f"{self.name} takes powers of scores, and {name!r} has negative ones, down to "
                    f"{np.nanmin(column):.6g}; leave it out of the coefficients, or shift the column"
                )

    def _terms(self, scores: FloatArray) -> FloatArray:
        # A score of 0 makes the product the smallest or the largest, as it should.
        return np.where(self.powers != 0, np.log(np.maximum(scores, 1e-300)), 0.0)


class WeightedSum(Formula):
    """The sum of the metrics' scores with given weights, Σ wⱼ xⱼ, each score on its own scale."""

    name: ClassVar[str] = "weighted-sum"
    coefficient_name: ClassVar[str] = "weight"

    def _terms(self, scores: FloatArray) -> FloatArray:
        return np.where(self.powers != 0, scores, 0.0)
