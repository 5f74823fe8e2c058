"""How well scores agree with human ratings: SRCC, KRCC, PLCC as it is and after the logistic of VQEG, RMSE."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

FEWEST_FOR_LOGISTIC: Final = 6
"""Pairs from which on the logistic is fitted: its four parameters go through any four, and nearly through any five."""

_COARSE = 1200  # points at which the starts of the search are compared; a longer table is thinned to about as many
_ROUNDS = 60  # steps of Newton's method at most; ten are usual
_SATURATED = 30.0  # widths from its middle at which a logistic is 0 or 1 to 1e-13

# How far a middle may lie beyond the outermost score, in widths: at fifteen a logistic is an exponential to six digits;
# far beyond twenty it is a constant and the rounding of its last digits, which may correlate with anything.
_FAR = 15.0
_FURTHEST = 20.0


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with ratings. What cannot be computed is NaN, and ``note`` says why.

    Attributes:
        n: pairs of a score and a rating, on which every figure here rests.
        srcc: Spearman's rank correlation, ties share their mean rank.
        krcc: Kendall's τ-b.
        plcc: Pearson's correlation of the scores as they are; NaN where one is infinite.
        plcc_logistic: Pearson's correlation after the four-parameter logistic of VQEG, with the sign of the
            association: negative where ratings fall as scores rise. (Many papers print its absolute value.)
        rmse_logistic: root of the mean squared difference between the ratings and the logistic, in the ratings' units.
        logistic: β₁ to β₄ of `logistic`; None where it cannot be fitted.
        note: why a figure is NaN, or what is unusual about the fit, in a clause; empty where nothing is.
    """

    n: int
    srcc: float
    krcc: float
    plcc: float
    plcc_logistic: float
    rmse_logistic: float
    logistic: tuple[float, float, float, float] | None
    note: str = ""


@dataclass(frozen=True)
class LogisticFit:
    """The four-parameter logistic of VQEG, fitted by least squares.

    Attributes:
        parameters: β₁ to β₄ of `logistic`, β₄ > 0. β₁ < β₂ where ratings fall as scores rise.
        correlation: Pearson's correlation between the rising logistic and the ratings: its square is the share of the
            ratings' variance that the fit explains, and its sign is that of β₁ − β₂.
        rmse: root of the mean squared difference, in the ratings' units.
        limit: ``"linear"``, ``"exponential"`` or ``"step"`` where the best logistic is, as far as the scores can tell,
            what logistics tend to as they grow ever wider, move ever further out, or grow ever steeper; None otherwise.
    """

    parameters: tuple[float, float, float, float]
    correlation: float
    rmse: float
    limit: str | None

    def __call__(self, scores: ArrayLike) -> Array:
        """Return the ratings that the fit expects for these scores, of the same shape."""
        return logistic(scores, *self.parameters)


def agreement(scores: ArrayLike, ratings: ArrayLike, *, lower_is_better: bool = False) -> Agreement:
    """Compare scores with human ratings of the same images.

    Args:
        scores: (N,), NaN where missing. Infinite scores count as the best or worst.
        ratings: (N,), finite, NaN where missing.
        lower_is_better: of either the scores or the ratings, and not of both, lower is better (a distance beside MOS,
            a quality beside DMOS). Every correlation then changes its sign, so that agreement is positive.

    Returns:
        The figures. Correlations need two pairs and scores and ratings that are not all the same; the logistic needs
        `FEWEST_FOR_LOGISTIC`.

    Raises:
        ValueError: the shapes differ, or a rating is infinite.

    Example:
        >>> found = agreement([0.1, 0.4, 0.35, 0.8, 0.7, 0.9], [1, 2, 3, 4, 5, 6])
        >>> found.n, round(found.srcc, 3), round(found.krcc, 3)
        (6, 0.886, 0.733)
    """
    x, y = _pair(scores, ratings)
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    nan = float("nan")
    note = _undefined(x, y, 2)
    if note:
        return Agreement(len(x), nan, nan, nan, nan, nan, None, note)
    sign = -1.0 if lower_is_better else 1.0
    ranks, values, linear = sign * srcc(x, y), sign * krcc(x, y), sign * plcc(x, y)
    if len(x) < FEWEST_FOR_LOGISTIC:
        return Agreement(len(x), ranks, values, linear, nan, nan, None, _undefined(x, y, FEWEST_FOR_LOGISTIC))
    fit = fit_logistic(x, y)
    if fit.limit == "step":
        note = "the best logistic is a step: PLCC tells two levels apart"
    return Agreement(len(x), ranks, values, linear, sign * fit.correlation, fit.rmse, fit.parameters, note)


def srcc(scores: ArrayLike, ratings: ArrayLike) -> float:
    """Return Spearman's rank correlation of two vectors (N,) without NaN; NaN where one is constant."""
    from scipy.stats import rankdata

    x, y = _pair(scores, ratings)
    return _pearson(rankdata(x), rankdata(y))


def krcc(scores: ArrayLike, ratings: ArrayLike) -> float:
    """Return Kendall's τ-b of two vectors (N,) without NaN; NaN where one is constant."""
    from scipy.stats import kendalltau

    x, y = _pair(scores, ratings)
    return float(kendalltau(x, y).statistic) if len(x) > 1 else float("nan")


def plcc(scores: ArrayLike, ratings: ArrayLike) -> float:
    """Return Pearson's correlation of two vectors (N,); NaN where one is constant or a score is infinite."""
    x, y = _pair(scores, ratings)
    return _pearson(x, y) if np.isfinite(x).all() else float("nan")


def logistic(scores: ArrayLike, b1: float, b2: float, b3: float, b4: float) -> Array:
    """Return the logistic of VQEG, β₂ + (β₁ − β₂) / (1 + exp(−(x − β₃) / |β₄|)), of the scores' shape.

    Source: Final report from the Video Quality Experts Group on the validation of objective models of video quality
    assessment, phase I (2000).
    """
    return b2 + (b1 - b2) * _expit((np.asarray(scores, dtype=np.float64) - b3) / max(abs(b4), 1e-300))


def fit_logistic(scores: ArrayLike, ratings: ArrayLike) -> LogisticFit:
    """Fit the four-parameter logistic of VQEG to ratings by least squares, at the best optimum there is.

    For given middle and width the best asymptotes follow by linear regression, so that the search is over two numbers.
    It starts from the best places of a grid that spans both, and from what the grid cannot hold and sums over the
    sorted scores tell exactly: the best steps, with none, one or two
    scores on the slope, the straight line and the best exponentials. From
    each the search goes on by Newton's method, and the best end is taken.

    Args:
        scores: (N,), no NaN; infinite ones map to the asymptotes.
        ratings: (N,), finite.

    Raises:
        ValueError: there are fewer than `FEWEST_FOR_LOGISTIC` pairs, one is missing, or either is the same for all.
    """
    x, y = _pair(scores, ratings)
    missing = bool(np.isnan(x).any() or np.isnan(y).any())
    why = "a score or a rating is missing" if missing else _undefined(x, y, FEWEST_FOR_LOGISTIC)
    if why:
        raise ValueError(f"no logistic can be fitted: {why}")
    finite = x[np.isfinite(x)]
    center = float(np.median(finite)) if len(finite) else 0.0
    # Half the middle half, so that far outliers do not set the scale; all scores may be one value and infinities.
    spread = float(np.subtract(*np.percentile(finite, [75, 25]))) / 2 if len(finite) else 0.0
    spread = spread or (float(np.ptp(finite)) if len(finite) else 0.0) or 1.0
    mean, size = float(y.mean()), float(np.sqrt(np.sum((y - y.mean()) ** 2)))
    points = _Points.of((x - center) / spread, (y - mean) / size)
    coarse = points.thinned(_COARSE)
    steps = list(_step_starts(points))
    ends = _climbed(coarse, (*_grid_starts(coarse), *_limits(coarse), *steps))
    if coarse is not points:
        # The thinned table ranks the ends; the best of them are brought to their places on the whole one.
        ends = _climbed(points, islice(_distinct(sorted(ends, key=lambda end: -coarse.explained(*end))), 4))
    middle, log_width = max((*ends, *steps), key=lambda end: points.explained(*end))

    curve = points.curve(middle, log_width)
    slope, bottom = points.regression(curve)
    parameters = (
        mean + size * (bottom + slope),
        mean + size * bottom,
        center + spread * middle,
        spread * float(np.exp(log_width)),
    )
    explained = min(points.explained(middle, log_width), 1.0)
    correlation = float(np.copysign(np.sqrt(explained), slope))
    rmse = size * float(np.sqrt(max(1.0 - explained, 0.0) / len(x)))
    return LogisticFit(parameters, correlation, rmse, points.limit(middle, log_width))


@dataclass(frozen=True)
class _Points:
    """Distinct scores in rising order, (K,), with the mean of their ratings and their number.

    All ratings have mean 0 and sum of squares 1, so that a curve's explained sum of squares is a share.
    """

    scores: Array
    ratings: Array
    counts: Array

    @classmethod
    def of(cls, scores: Array, ratings: Array) -> "_Points":
        distinct, place = np.unique(scores, return_inverse=True)
        counts = np.bincount(place).astype(np.float64)
        return cls(distinct, np.bincount(place, weights=ratings) / counts, counts)

    def thinned(self, points: int) -> "_Points":
        """Return about this many: neighbours joined, but for the outermost, which far tails are made of."""
        if len(self.scores) <= points:
            return self
        outer = points // 12
        inner = np.linspace(outer, len(self.scores) - outer, points - 2 * outer, dtype=np.intp)
        starts = np.unique(np.r_[np.arange(outer), inner, np.arange(len(self.scores) - outer, len(self.scores))])
        counts = np.add.reduceat(self.counts, starts)
        return _Points(
            np.add.reduceat(self.scores * self.counts, starts) / counts,
            np.add.reduceat(self.ratings * self.counts, starts) / counts,
            counts,
        )

    @property
    def finite(self) -> Array:
        return self.scores[np.isfinite(self.scores)]

    def curve(self, middle: float | Array, log_width: float) -> Array:
        """Return the rising logistic from 0 to 1, (K,), or (M, K) for M middles (M, 1)."""
        return _expit((self.scores - middle) * np.exp(-log_width))

    def explained(self, middle: float | Array, log_width: float) -> float:
        """Return the share of the ratings' variance that the best logistic of this middle and width explains."""
        return float(self.shares(self.curve(middle, log_width)))

    def shares(self, curves: Array) -> Array:
        """Return that share for curves (..., K): (...)."""
        total = self.counts.sum()
        centered = curves - ((curves * self.counts).sum(axis=-1) / total)[..., None]
        # Sums and not dot products: the latter wake all of BLAS's threads for a few thousand numbers.
        size = (centered * centered * self.counts).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (centered * (self.ratings * self.counts)).sum(axis=-1) ** 2 / size
        return np.asarray(np.where(size > 0, share, 0.0))

    def slopes(self, at: Array) -> tuple[Array, Array]:
        """Return the shares (S,) at middles and logarithms of widths (S, 2), and their gradients (S, 2).

        The gradient is by the middle in units of the width, and by the logarithm of the width.
        """
        total = self.counts.sum()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            places = (self.scores - at[:, :1]) * np.exp(-at[:, 1:])
            curves = _expit(places)
            steepness = curves * (1 - curves)
            sloped = np.where(steepness == 0, 0.0, places * steepness)
            weighted = self.ratings * self.counts
            centered = (curves - ((curves * self.counts).sum(axis=1) / total)[:, None]) * self.counts
            along, size = (curves * weighted).sum(axis=1), (centered * curves).sum(axis=1)
            share = along**2 / size
            gradient = [
                share * 2 * (-(d * centered).sum(axis=1) / size + (d * weighted).sum(axis=1) / along)
                for d in (-steepness, -sloped)
            ]
        outside = np.maximum(places[:, 0], -places[:, -1]) > _FURTHEST
        flat = outside | ~(size > 0) | ~np.isfinite(gradient).all(axis=0)
        return np.where(flat, 0.0, share), np.where(flat[:, None], 0.0, np.column_stack(gradient))

    def regression(self, curve: Array) -> tuple[float, float]:
        """Return slope and intercept of the ratings on a curve (K,)."""
        mean = float((curve * self.counts).sum() / self.counts.sum())
        centered = curve - mean
        size = float((centered * centered * self.counts).sum())
        slope = float((centered * self.ratings * self.counts).sum()) / size if size > 0 else 0.0
        return slope, float((self.ratings * self.counts).sum() / self.counts.sum()) - slope * mean

    def limit(self, middle: float, log_width: float) -> str | None:
        """Return the name of the limit that a logistic cannot be told from at these scores."""
        places = (self.scores - middle) * np.exp(-log_width)
        if np.sum(np.abs(places) < 12) <= 1 and places[0] < 0 < places[-1]:
            return "step"
        inside = places[np.isfinite(places)]
        if len(inside) < len(places):
            return None
        if np.ptp(inside) < 0.1:
            return "linear"
        return "exponential" if inside[0] > 5 or inside[-1] < -5 else None


Start = tuple[float, float]


def _grid_starts(points: _Points) -> Iterator[Start]:
    """Yield the local maxima of a grid over middles and widths, the best first, ten at most."""
    finite = points.finite
    if not len(finite):
        return
    low, high = float(finite[0]), float(finite[-1])
    reach = high - low or 1.0
    inner = np.percentile(finite, np.linspace(0, 100, 25))
    # Narrower than the gap between neighbours a logistic is a step, much wider than the whole range a line.
    lowest, highest = np.log(1e-3 * min(1.0, reach)), np.log(100 * max(reach, 1.0))
    log_widths = np.linspace(lowest, highest, max(12, round(1.5 * (highest - lowest))))
    beyond = np.array([_FAR, 6.0, 1.0])
    middles, shares = [], []
    for log_width in log_widths:
        width = float(np.exp(log_width))
        row = np.r_[low - width * beyond, inner, high + width * beyond[::-1]]
        middles.append(row)
        shares.append(points.shares(points.curve(row[:, None], float(log_width))))
    table = np.pad(np.array(shares), 1, constant_values=-1.0)
    core = table[1:-1, 1:-1]
    around = [
        np.roll(table, (down, right), (0, 1))[1:-1, 1:-1]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down, right) != (0, 0)
    ]
    peaks = np.argwhere((core >= np.max(around, axis=0)) & (core > 0))
    for row_at, column in sorted(peaks.tolist(), key=lambda peak: -core[peak[0], peak[1]])[:10]:
        yield float(middles[row_at][column]), float(log_widths[row_at])


def _limits(points: _Points) -> Iterator[Start]:
    """Yield the straight line, and the best exponential of either bend, to which climbs are endless."""
    from scipy.optimize import minimize_scalar

    finite = points.finite
    if len(finite) < 2:
        return
    low, high = float(finite[0]), float(finite[-1])
    yield low + (high - low) / 2, float(np.log(1000 * (high - low)))
    log_widths = np.linspace(np.log(1e-3 * min(1.0, high - low)), np.log(3 * max(high - low, 1.0)), 40)
    for end, away in ((low, -_FAR), (high, _FAR)):
        middles = end + away * np.exp(log_widths)
        shares = points.shares(_expit((points.scores - middles[:, None]) * np.exp(-log_widths[:, None])))
        at, step = log_widths[int(np.argmax(shares))], log_widths[1] - log_widths[0]
        found = minimize_scalar(
            lambda log_width, end=end, away=away: -points.explained(end + away * np.exp(log_width), log_width),
            bounds=(at - step, at + step),
            method="bounded",
        )
        yield float(end + away * np.exp(found.x)), float(found.x)


def _step_starts(points: _Points) -> Iterator[Start]:
    """Yield the best steps with none, one and two neighbouring scores on the slope, which sums over the scores tell."""
    scores, counts = points.scores, points.counts
    # Of what lies below each place, and above: the number and the sum of the ratings; place k is before score k.
    number, total = np.r_[0.0, np.cumsum(counts)], np.r_[0.0, np.cumsum(points.ratings * counts)]

    def explained(start: int, stop: int, first: slice) -> tuple[Array, Array, Array]:
        """Means below and above, and the sum of squares, where the scores from start to stop stand by themselves."""
        below, above = slice(first.start + start, first.stop + start), slice(first.start + stop, first.stop + stop)
        number_above, total_above = number[-1] - number[above], total[-1] - total[above]
        free = np.zeros(first.stop - first.start)
        for one in range(start, stop):
            at = slice(first.start + one, first.stop + one)
            free += points.ratings[at] ** 2 * counts[at]
        squares = total[below] ** 2 / number[below] + total_above**2 / number_above + free
        return total[below] / number[below], total_above / number_above, squares

    size = len(scores)
    _, _, squares = explained(0, 0, slice(1, size))
    best_gaps = np.argsort(-squares)[:48]
    for gap in best_gaps[:2].tolist():
        yield from _steep(float(scores[gap]), float(scores[gap + 1]))
    yield from _slanted(points, best_gaps)
    for on_slope in (1, 2):
        if size < on_slope + 2:
            return
        first = slice(1, size - on_slope)
        low, high, squares = explained(0, on_slope, first)
        heights = np.array([points.ratings[first.start + one : first.stop + one] for one in range(on_slope)])
        inner = np.array([scores[first.start + one : first.stop + one] for one in range(on_slope)])
        with np.errstate(divide="ignore", invalid="ignore"):
            heights = (heights - low) / (high - low)
            logits = np.log(heights / (1 - heights))
            fits = np.isfinite(inner).all(axis=0) & (np.abs(logits) < 14).all(axis=0)
            fits &= (np.diff(logits, axis=0) > 0.01).all(axis=0)
        for index in np.argsort(-np.where(fits, squares, -1.0))[: 3 * on_slope].tolist():
            if not fits[index]:
                break
            if on_slope == 1:
                here, around = inner[0, index], (scores[index], scores[index + 2])
                width = float(min(here - around[0], around[1] - here)) / (2 * _SATURATED)
            else:
                here = inner[0, index]
                width = float((inner[1, index] - here) / (logits[1, index] - logits[0, index]))
            if np.isfinite(width) and width > 0:
                yield float(here - width * logits[0, index]), float(np.log(width))


def _slanted(points: _Points, gaps: NDArray[np.intp]) -> Iterator[Start]:
    """Yield the best of some logistics at these gaps whose slope is about as wide as the gap or its neighbours."""
    scores = points.scores.tolist()  # plain numbers: infinite ends have no middle, and that is no warning
    middles, widths = [], []
    for gap in gaps.tolist():
        for reach in range(3):
            left, right = scores[max(gap - reach, 0)], scores[min(gap + 1 + reach, len(scores) - 1)]
            for middle in (left + (right - left) / 2, scores[gap], scores[gap + 1]):
                middles += [middle] * 2
                widths += [(right - left) * 0.1, (right - left) * 0.4]
    candidates = np.array([middles, widths])
    candidates = candidates[:, np.isfinite(candidates).all(axis=0) & (candidates[1] > 0)]
    if not candidates.size:
        return
    thin = points.thinned(_COARSE)
    shares = thin.shares(_expit((thin.scores - candidates[0][:, None]) / candidates[1][:, None]))
    for index in np.argsort(-shares)[:8].tolist():
        yield float(candidates[0][index]), float(np.log(candidates[1][index]))


def _steep(left: float, right: float) -> Iterator[Start]:
    """Yield the logistic that is a step between two neighbouring scores, if a number lies between them."""
    if not np.isfinite(left) or not np.isfinite(right):
        edge = left if np.isfinite(left) else right if np.isfinite(right) else 0.0
        middle, width = edge + np.sign(right - left) * (1.0 if edge == left else -1.0), 1.0 / _SATURATED
        yield float(middle), float(np.log(width))
        return
    middle = left + (right - left) / 2
    if left < middle < right:
        yield middle, float(np.log((right - left) / (2 * _SATURATED)))


def _climbed(points: _Points, starts: Iterable[Start]) -> list[Start]:
    """Return where the climbs from these starts end, by Newton's method, all at once; each is the start or better.

    The share explained is climbed in the middle, in units of the width, and the logarithm of the width. Steps go uphill
    where the curvature does not (its absolute value is taken), and are damped until they rise. Towards a limit, where
    gradient and curvature die out alike, they stay as long as they are.
    """
    at = np.array(list(starts), dtype=np.float64)
    share, gradient = points.slopes(at)
    damping = np.full(len(at), 1e-3)
    climbing = np.ones(len(at), dtype=bool)
    for _ in range(_ROUNDS):
        active = np.flatnonzero(climbing)
        if not len(active):
            break
        here, slope = at[active], gradient[active]
        width = np.exp(here[:, 1])
        curvature = np.empty((len(active), 2, 2))
        for axis, nudge in enumerate((np.array([1e-4, 0.0]), np.array([0.0, 1e-4]))):
            aside = here + np.column_stack([width * nudge[0], np.full(len(here), nudge[1])])
            # In units of the width here, not of the width aside.
            there = points.slopes(aside)[1] * np.array([[np.exp(-nudge[1]), 1.0]])
            curvature[:, :, axis] = (there - slope) / 1e-4
        curvature = (curvature + curvature.transpose(0, 2, 1)) / 2
        values, vectors = np.linalg.eigh(curvature)
        # In each direction by its own curvature: next to a limit one of them is tiny, and its gradient with it.
        values = np.maximum(np.abs(values), 1e-300) * (1 + damping[active, None])
        step = np.einsum("sij,sj->si", vectors, np.einsum("sji,sj->si", vectors, slope) / values)
        step = 3.0 * step / np.maximum(3.0, np.abs(step).max(axis=1, keepdims=True))
        tried = here + np.column_stack([width * step[:, 0], step[:, 1]])
        new_share, new_gradient = points.slopes(tried)
        gain = new_share - share[active]
        rises = gain > 0
        better = active[rises]
        at[better], share[better], gradient[better] = tried[rises], new_share[rises], new_gradient[rises]
        damping[active] = np.where(rises, damping[active] / 10, np.maximum(damping[active], 1e-3) * 10)
        climbing[active[(rises & (gain < 1e-14)) | (damping[active] > 1e6)]] = False
    return [(float(middle), float(log_width)) for middle, log_width in at]


def _distinct(ends: Iterable[Start]) -> Iterator[Start]:
    kept: list[Start] = []
    for end in ends:
        width = np.exp(end[1])
        if all(abs(end[0] - one[0]) > 1e-2 * width or abs(end[1] - one[1]) > 1e-2 for one in kept):
            kept.append(end)
            yield end


def _expit(values: Array) -> Array:
    from scipy.special import expit  # takes a third of a second to import

    return np.asarray(expit(values))


def _pair(scores: ArrayLike, ratings: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"scores and ratings must be two vectors of one length, got shapes {x.shape} and {y.shape}")
    infinite = np.flatnonzero(np.isinf(y))
    if len(infinite):
        raise ValueError(f"the rating of row {int(infinite[0])} is infinite; ratings are finite")
    return x, y


def _undefined(x: Array, y: Array, fewest: int) -> str:
    if len(x) < fewest:
        return f"{len(x)} images have both a score and a rating; {fewest} are the fewest"
    if x.min() == x.max():
        return f"all {len(x):,} images have the same score"
    if y.min() == y.max():
        return f"all {len(x):,} images have the same rating"
    return ""


def _pearson(x: Array, y: Array) -> float:
    if len(x) < 2:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    # Scaled first: the square of 1e200 is infinite.
    largest = np.abs(x).max(), np.abs(y).max()
    if not min(largest) > 0:
        return float("nan")
    x, y = x / largest[0], y / largest[1]
    return float(np.clip(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)), -1.0, 1.0))
