"""A few human ratings that correct a fusion which was fitted without any."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.methods.base import FittingLog, FloatArray, FusionMethod, State
from map_score_fusion.metric_errors import angular
from map_score_fusion.scaling import EmpiricalDistribution

FEWEST_RATINGS: Final = 6
"""Ratings that an anchor needs: below that a table's order says nothing."""

PENALTIES: Final = (np.inf, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""What squared shares of single metrics cost against a rating's squared error; with ∞ the ratings change nothing."""

CONTRARY: Final = -2.5
"""Ratings that correlate with the fused score below this many standard errors under no correlation are refused."""

_FOLDS, _REWEIGHTINGS = 20, 200


class Anchored(FusionMethod):
    """A fitted method whose fused score is moved towards single metrics as far as ratings of a few images ask for it.

    The anchored score is a weighted mean, with shares that sum to 1, of the fused score and of each metric's score, all
    as ranks among the training images on the angular scale. The shares follow from

        rating = a + b · (share₀ · fused + Σ shareⱼ · scoreⱼ) + error,   all shares ≥ 0,

    by least squares with a penalty λ Σ (b shareⱼ)² on the shares of single metrics: with λ = ∞ the score stays what it
    was without ratings, with λ = 0 it is supervised stacking with shares that are not negative (L. Breiman, "Stacked
    Regressions", Machine Learning 24, 1996). How far ratings can be believed is judged by cross-validation: the shares
    are a mean over `PENALTIES`, each weighted by the probability that it predicts left-out ratings best, over Bayesian
    bootstraps of these (pseudo-BMA+: Y. Yao, A. Vehtari, D. Simpson, A. Gelman, "Using Stacking to Average Bayesian
    Predictive Distributions", Bayesian Analysis 13, 2018). Ten ratings change little, a hundred as much as they
    warrant.

    Attributes:
        base: The method as it was fitted without ratings.
        scaling: The training images' ranks.
        reference: The training images' ranks by the base's fused score.
        shares: Share of the base's fused score, then of each metric, (1 + M,).
        ratings: How many ratings it rests on.
    """

    name: ClassVar[str] = "anchored"
    base: FusionMethod
    scaling: EmpiricalDistribution
    reference: EmpiricalDistribution
    shares: FloatArray
    ratings: int

    @classmethod
    def of(
        cls,
        base: FusionMethod,
        scores: FloatArray,
        rated: FloatArray,
        ratings: FloatArray,
        generator: np.random.Generator,
    ) -> Self:
        """Anchor a fitted method.

        Args:
            base: The method.
            scores: Oriented training scores (N, M).
            rated: Oriented scores (R, M) of the images with ratings, which need not be among the former.
            ratings: Their ratings, higher = better, (R,), no NaN.
            generator: Where folds and bootstraps come from.

        Raises:
            ScoreTableError: There are fewer than `FEWEST_RATINGS`, all are the same, or they go against the scores.
        """
        if len(ratings) < FEWEST_RATINGS:
            raise ScoreTableError(
                f"{len(ratings)} images have a rating and a score; at least {FEWEST_RATINGS} are needed to anchor a fit"
            )
        if ratings.min() == ratings.max():
            raise ScoreTableError(f"all {len(ratings)} ratings are {ratings[0]:.6g}; they tell no images apart")
        anchored = cls()
        anchored.base, anchored.log = base, base.log
        anchored.scaling = EmpiricalDistribution.fit(scores)
        anchored.reference = EmpiricalDistribution.fit(base.predict(scores)[:, None])
        fused, positions = anchored._positions(rated, base.predict(rated))
        agreement = float(spearmanr(fused, ratings).statistic) if fused.min() < fused.max() else 0.0
        if agreement * np.sqrt(len(ratings) - 1) < CONTRARY:
            raise ScoreTableError(
                f"ratings fall as fused scores rise (Spearman's correlation {agreement:.2f} over {len(ratings)} "
                "images): a higher rating must mean better quality; pass the negative of a DMOS"
            )
        anchored.shares = _believed_shares(np.column_stack([fused, positions]), ratings, generator)
        anchored.ratings = len(ratings)
        return anchored

    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:
        """Not to be called: ``of`` makes an anchored method of a fitted one."""
        raise NotImplementedError("an anchored method is made of a fitted one, by Anchored.of")

    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the anchored scores (N,); a missing score's share goes to the base's."""
        return self._mean(*self._positions(scores, self.base.predict(scores)))

    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the anchored scores (N,) and the standard deviations of the base's, brought to their scale (N,)."""
        fused, deviations = self.base.predict_std(scores)
        upper, lower = (angular(self.reference((fused + side)[:, None]))[:, 0] for side in (deviations, -deviations))
        return self._mean(*self._positions(scores, fused)), (upper - lower) / 2.0

    def weights(self, scores: FloatArray) -> FloatArray:
        """Return each metric's weight (N, M): its own share, and its weight in the base's score times the base's."""
        own = np.where(np.isnan(scores), 0.0, self.shares[1:])
        weights: FloatArray = own + (1.0 - own.sum(axis=1, keepdims=True)) * self.base.weights(scores)
        return weights

    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return what the base says of each score's noise (N, M)."""
        return self.base.score_uncertainty(scores)

    def summary(self) -> Mapping[str, FloatArray]:
        """Return what the base fitted, and ``rating_share``, what the ratings gave to each metric by itself."""
        return {**self.base.summary(), "rating_share": self.shares[1:]}

    def state(self) -> State:
        """Return the base's state, and the shares and ranks."""
        arrays, settings = self.base.state()
        [reference] = self.reference.sorted_scores
        of_anchor = {f"anchor.{name}": array for name, array in self.scaling.state().items()}
        of_anchor |= {"anchor.reference": reference, "anchor.shares": self.shares}
        return {**arrays, **of_anchor}, {"base": settings, "ratings": self.ratings}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Not to be called: ``around`` puts an anchor around a base that was read."""
        raise NotImplementedError("the base is read first; then Anchored.around")

    @classmethod
    def around(cls, base: FusionMethod, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the anchored method again from its base and what ``state`` returned."""
        anchored = cls()
        anchored.base, anchored.log = base, FittingLog()
        of_anchor = {name.removeprefix("anchor."): array for name, array in arrays.items()}
        anchored.scaling = EmpiricalDistribution.from_state(of_anchor)
        anchored.reference = EmpiricalDistribution((of_anchor["reference"],))
        anchored.shares, anchored.ratings = of_anchor["shares"], int(settings["ratings"])
        return anchored

    def _positions(self, scores: FloatArray, fused: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return angular ranks of the base's fused scores (N,) and of the scores (N, M), the former where missing."""
        own = angular(self.reference(fused[:, None]))
        positions = angular(self.scaling(scores))
        return own[:, 0], np.where(np.isnan(positions), own, positions)

    def _mean(self, fused: FloatArray, positions: FloatArray) -> FloatArray:
        mean: FloatArray = np.clip(self.shares[0] * fused + positions @ self.shares[1:], 0.0, 1.0)
        return mean


def read_ratings(y: Any, rows: int) -> FloatArray:
    """Return ratings as float64, (N,), NaN where there is none.

    Raises:
        ScoreTableError: There is not one entry for each of so many rows, or one is no finite number.
    """
    if y is None:
        raise ScoreTableError("use_ratings=True needs y, the ratings, NaN where there is none")
    cells = np.asarray(y, dtype=object)
    if cells.shape != (rows,):
        raise ScoreTableError(f"y must have one rating, or NaN, for each of the {rows} images, got shape {cells.shape}")
    ratings = np.full(rows, np.nan)
    for row in np.flatnonzero(~np.asarray(pd.isna(cells))).tolist():
        try:
            ratings[row] = float(cells[row])
        except (TypeError, ValueError) as error:
            raise ScoreTableError(f"the rating of row {row} is {cells[row]!r}, which is no number") from error
        if not np.isfinite(ratings[row]):
            raise ScoreTableError(f"the rating of row {row} is infinite")
    return ratings


def _believed_shares(positions: FloatArray, ratings: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return shares (1 + M,), sum 1, of positions (R, 1 + M), the fused one first, as `Anchored` says."""
    images = len(ratings)
    fold = generator.permutation(images) % min(images, _FOLDS)
    squares = np.empty((len(PENALTIES), images))
    for index, penalty in enumerate(PENALTIES):
        for left_out in range(int(fold.max()) + 1):
            seen = fold != left_out
            slopes = _slopes(positions[seen], ratings[seen], penalty)
            level = ratings[seen].mean() - positions[seen].mean(axis=0) @ slopes
            squares[index, ~seen] = (ratings[~seen] - level - positions[~seen] @ slopes) ** 2
    # Log likelihoods of left-out ratings, up to a constant, were their errors normal with their mean square.
    drawn = generator.dirichlet(np.ones(images), size=_REWEIGHTINGS)
    log_likelihood = -0.5 * images * np.log(np.maximum(drawn @ squares.T, np.finfo(float).tiny))
    belief = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    belief = (belief / belief.sum(axis=1, keepdims=True)).mean(axis=0)
    shares = np.zeros(positions.shape[1])
    for weight, penalty in zip(belief, PENALTIES, strict=True):
        slopes = _slopes(positions, ratings, penalty)
        total = float(slopes.sum())
        shares += weight * (slopes / total if total > 0.0 else np.eye(1, len(shares))[0])
    found: FloatArray = shares / shares.sum()
    return found


def _slopes(positions: FloatArray, ratings: FloatArray, penalty: float) -> FloatArray:
    """Return slopes b · share (1 + M,), none negative, of ratings (R,) on positions (R, 1 + M); see `Anchored`."""
    centred, deviation = positions - positions.mean(axis=0), ratings - ratings.mean()
    slopes = np.zeros(positions.shape[1])
    if np.isinf(penalty):
        size = float(centred[:, 0] @ centred[:, 0])
        slopes[0] = max(float(centred[:, 0] @ deviation) / size, 0.0) if size > 0.0 else 0.0
        return slopes
    free = np.sqrt(penalty) * np.eye(len(slopes))[1:]  # the share of the fused score costs nothing
    slopes, _ = nnls(np.vstack([centred, free]), np.concatenate([deviation, np.zeros(len(free))]))
    return slopes
