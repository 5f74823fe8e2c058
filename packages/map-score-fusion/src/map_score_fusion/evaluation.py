"""Agreement of scores with human ratings: SRCC, KRCC, PLCC after a logistic, with bootstrap intervals over images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from map_score_fusion.errors import ScoreTableError

FloatArray = NDArray[np.float64]
Interval = tuple[float, float]

FIGURES = ("srcc", "plcc", "krcc")

_FEWEST = 6  # images for a logistic of four parameters to mean anything
_CELLS = 4_000_000  # numbers that a piece of the bootstrap holds at a time


@dataclass(frozen=True)
class LogisticFit:
    """The four-parameter logistic of VQEG, fitted by least squares.

    q(x) = β₂ + (β₁ − β₂) / (1 + exp(−(x − β₃) / β₄)), with β₄ > 0.

    Attributes:
        parameters: β₁, β₂, β₃, β₄. β₁ < β₂ where ratings fall as scores rise.
        correlation: Pearson's correlation between the rising logistic and the ratings: its square is the share of the
            ratings' variance that the fit explains, and its sign is that of β₁ − β₂.
        limit: ``"linear"`` or ``"step"`` where the best logistic is, within the accuracy of the search, the straight
            line or the step that logistics of ever larger or smaller β₄ tend to; None otherwise.
    """

    parameters: tuple[float, float, float, float]
    correlation: float
    limit: str | None

    def __call__(self, scores: ArrayLike) -> FloatArray:
        """Return the ratings that the fit expects for these scores, of the same shape."""
        top, bottom, middle, width = self.parameters
        x = (np.asarray(scores, dtype=np.float64) - middle) / width
        return np.asarray(bottom + (top - bottom) * scipy.special.expit(x))


@dataclass(frozen=True)
class Agreement:
    """How well scores agree with ratings, and on which images that was found.

    Attributes:
        images: Images with both a score and a rating, on which every figure here rests.
        left_out: Images that lack a score or a rating.
        srcc: Spearman's rank correlation, mid-ranks for ties.
        plcc: Pearson's correlation after the four-parameter logistic of VQEG, with the sign of its slope: negative
            where ratings fall as scores rise. (Many papers print its absolute value.)
        krcc: Kendall's τ-b.
        srcc_interval: Bootstrap interval, None where none was asked for; likewise the next two.
        plcc_interval: See above.
        krcc_interval: See above.
        note: Why a figure is NaN, or what is unusual about it, in a sentence; empty where nothing is.
    """

    images: int
    left_out: int
    srcc: float
    plcc: float
    krcc: float
    srcc_interval: Interval | None = None
    plcc_interval: Interval | None = None
    krcc_interval: Interval | None = None
    note: str = ""


def agreement(
    scores: ArrayLike,
    ratings: ArrayLike,
    *,
    resamples: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Agreement:
    """Compare scores with human ratings of the same images.

    The intervals are percentiles over resamples of the images, drawn with replacement; the same seed and number of
    images give the same resamples, so that several metrics of one table are compared on the same draws. A resample
    ranks its own images anew. For PLCC it keeps the logistic's place and width and fits its two asymptotes anew; since
    the former maximise the correlation, holding them changes it only to second order. KRCC is expanded to first order
    in the resample's counts, which is as near.

    A table of several references and distortions is not a sample of independent images; the intervals tell the noise
    of this choice of images and not that of another choice of references.

    Args:
        scores: (N,), NaN where missing. Infinite scores count as the best or worst.
        ratings: (N,), NaN where missing.
        resamples: Number of resamples; 0 for no intervals. 1,000 is usual.
        confidence: Probability that the intervals are for.
        seed: Seed of the resamples.

    Returns:
        The figures. Where fewer than 6 images have both, or either is the same for all, they are NaN, and
        ``note`` says so.

    Raises:
        ScoreTableError: The shapes differ, a rating is infinite, or an argument is out of its range.

    Example:
        >>> found = agreement([0.1, 0.4, 0.35, 0.8, 0.7, 0.9], [1, 2, 3, 4, 5, 6])
        >>> round(found.srcc, 3), found.images
        (0.886, 6)
    """
    x, y = _pair(scores, ratings)
    if resamples < 0 or not 0 < confidence < 1:
        raise ScoreTableError(
            f"resamples must be 0 or more and confidence between 0 and 1, got {resamples} and {confidence}"
        )
    both = ~(np.isnan(x) | np.isnan(y))
    total, x, y = len(x), x[both], y[both]
    nan = float("nan")
    why = _degenerate(x, y)
    if why:
        return Agreement(len(x), total - len(x), nan, nan, nan, note=why)
    fit = fit_logistic(x, y)
    srcc = float(scipy.stats.spearmanr(x, y).statistic)
    krcc = float(scipy.stats.kendalltau(x, y).statistic)
    note = "the best logistic is a step: PLCC tells two levels apart" if fit.limit == "step" else ""
    if not resamples:
        return Agreement(len(x), total - len(x), srcc, fit.correlation, krcc, note=note)
    draws = _bootstrap(x, y, fit, resamples, seed)
    tails = [50 * (1 - confidence), 50 * (1 + confidence)]
    # A resample in which one side is constant has no correlation; a table small enough for that to be likely has
    # intervals that mean little, but they must not be NaN for the one draw in a million.
    of_srcc, of_plcc, of_krcc = ((float(low), float(high)) for low, high in np.nanpercentile(draws, tails, axis=1).T)
    return Agreement(len(x), total - len(x), srcc, fit.correlation, krcc, of_srcc, of_plcc, of_krcc, note)


def fit_logistic(scores: ArrayLike, ratings: ArrayLike) -> LogisticFit:
    """Fit the four-parameter logistic of VQEG to ratings by least squares.

    For given place and width of the curve the best asymptotes follow by linear regression, so that only two numbers are
    searched for: those at which the logistic's correlation with the ratings is greatest. A grid over both starts the
    search, which therefore needs no lucky start and cannot end in a far-off local optimum.

    Args:
        scores: (N,), no NaN; infinite ones map to the asymptotes.
        ratings: (N,), finite.

    Raises:
        ScoreTableError: There are fewer than 6 images, or either is the same for all.
    """
    x, y = _pair(scores, ratings)
    why = "a score or a rating is missing" if np.isnan(x).any() or np.isnan(y).any() else _degenerate(x, y)
    if why:
        raise ScoreTableError(f"no logistic can be fitted: {why}")
    finite = x[np.isfinite(x)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 0.0)
    center = float(np.median(finite)) if len(finite) else 0.0
    # Half the middle half, so that far outliers do not set the scale; all scores may be one value and infinities.
    spread = float(np.subtract(*np.percentile(finite, [75, 25]))) / 2 if len(finite) else 0.0
    spread = spread or float(high - low) or 1.0
    u = (x - center) / spread
    deviation = (y - y.mean()) / np.sqrt(np.sum((y - y.mean()) ** 2))

    def correlation(place: float, log_width: float) -> float:
        curve = scipy.special.expit((u - place) * np.exp(-log_width))
        curve -= curve.mean()
        # Sums and not dot products: the latter wake all of BLAS's threads for a few thousand numbers.
        size = float(np.sqrt(np.sum(curve * curve)))
        return float(np.sum(curve * deviation)) / size if size > 1e-12 else 0.0

    ends = np.array([low - center, high - center]) / spread
    reach = float(ends[1] - ends[0]) or 1.0
    places = (
        np.unique(
            np.r_[(np.percentile(finite, np.linspace(0, 100, 13)) - center) / spread, ends[0] - reach, ends[1] + reach]
        )
        if len(finite)
        else np.zeros(1)
    )
    # Narrower than the gap between neighbours a logistic is a step, much wider than the whole range a line.
    widths = np.linspace(np.log(1e-3), np.log(30 * max(reach, 1.0)), 15)
    grid = np.array([[abs(correlation(place, width)) for width in widths] for place in places])
    at, across = np.unravel_index(int(np.argmax(grid)), grid.shape)
    bounds = [(float(ends[0]) - 20 * reach, float(ends[1]) + 20 * reach), (float(widths[0]), float(widths[-1]))]

    def loss(point: FloatArray) -> float:
        return -abs(correlation(float(point[0]), float(point[1])))

    found = scipy.optimize.minimize(
        loss,
        [float(places[at]), float(widths[across])],
        method="Nelder-Mead",
        bounds=bounds,
        options={"xatol": 1e-4, "fatol": 1e-9},
    )
    place, log_width = found.x if -found.fun >= grid[at, across] else (places[at], widths[across])
    best = correlation(place, log_width)
    curve = scipy.special.expit((u - place) * np.exp(-log_width))
    slope = float(np.sum((curve - curve.mean()) * (y - y.mean())) / np.sum((curve - curve.mean()) ** 2))
    bottom = float(y.mean() - slope * curve.mean())
    limit = None
    if log_width > widths[-1] - 0.01:
        limit = "linear"
    elif log_width < widths[0] + 0.01:
        limit = "step"
    parameters = (bottom + slope, bottom, float(center + spread * place), float(spread * np.exp(log_width)))
    return LogisticFit(parameters, best, limit)


def size_weighted(values: Sequence[float], sizes: Sequence[int]) -> float:
    """Return the mean of a figure over several tables, weighted by their numbers of images, as in the paper's Table 1.

    A figure that is NaN makes the mean NaN: a mean over fewer tables would not compare with the others.
    """
    if len(values) != len(sizes) or not len(values):
        raise ScoreTableError(f"one size for each value is needed, got {len(values)} values and {len(sizes)} sizes")
    return float(np.average(np.asarray(values, dtype=np.float64), weights=np.asarray(sizes, dtype=np.float64)))


@dataclass(frozen=True)
class UncertaintyAgreement:
    """Whether images with a larger predicted standard deviation are ranked worse.

    The error of an image is the absolute difference between its rank among the fused scores and its rank among the
    ratings, as a share of the number of images. It is compared with the standard deviation of the rank
    (`rank_deviations`): the same uncertainty of a score moves an image past many others where scores are dense, and
    past few where they are not.

    Attributes:
        images: Images with a fused score, a standard deviation and a rating.
        spearman: Spearman's correlation between the rank's standard deviation and its error; above 0 where the former
            means something.
        score_spearman: The same with the score's standard deviation as it is.
        quarter_errors: Mean error in each quarter of the images, from the least to the most uncertain, (4,).
    """

    images: int
    spearman: float
    score_spearman: float
    quarter_errors: tuple[float, ...]


def rank_deviations(fused: ArrayLike, std: ArrayLike) -> FloatArray:
    """Return the standard deviations of the images' ranks in their table, as a share of the number of images.

    Half the share of the fused scores that lie within one standard deviation of an image's own (those at the very edge
    count half). No ratings are needed.

    Args:
        fused: (N,), NaN where missing.
        std: (N,), NaN where missing.

    Returns:
        (N,), in [0, 0.5]; NaN where the score or its standard deviation is missing.

    Example:
        >>> rank_deviations([0.1, 0.50, 0.51, 0.52, 0.9], [0.1, 0.1, 0.1, 0.1, 0.1]).round(1).tolist()
        [0.1, 0.3, 0.3, 0.3, 0.1]
    """
    centre, spread = np.asarray(fused, dtype=np.float64), np.asarray(std, dtype=np.float64)
    ordered = np.sort(centre[~np.isnan(centre)])

    def share_below(values: FloatArray) -> FloatArray:
        return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (2 * len(ordered))

    found: FloatArray = (share_below(centre + spread) - share_below(centre - spread)) / 2
    return np.where(np.isnan(centre) | np.isnan(spread), np.nan, found)


def uncertainty_agreement(fused: ArrayLike, std: ArrayLike, ratings: ArrayLike) -> UncertaintyAgreement:
    """Compare predicted standard deviations with the errors of the fused ranks.

    Args:
        fused: (N,), NaN where missing.
        std: (N,), NaN where missing.
        ratings: (N,), higher = better, NaN where missing.

    Returns:
        The figures; NaN where fewer than 6 images have all three, or all have one standard deviation.
        ``quarter_errors`` go by the rank's standard deviation.
    """
    x, y = _pair(fused, ratings)
    deviation, _ = _pair(std, ratings)
    known = ~(np.isnan(x) | np.isnan(y) | np.isnan(deviation))
    x, y, deviation = x[known], y[known], deviation[known]
    nan = float("nan")
    if _degenerate(x, y):
        return UncertaintyAgreement(len(x), nan, nan, (nan,) * 4)
    error = np.abs(scipy.stats.rankdata(x) - scipy.stats.rankdata(y)) / len(x)
    of_rank = rank_deviations(x, deviation)
    quarters = np.array_split(np.argsort(of_rank, kind="stable"), 4)
    return UncertaintyAgreement(
        len(x),
        nan if _degenerate(of_rank, y) else float(scipy.stats.spearmanr(of_rank, error).statistic),
        nan if _degenerate(deviation, y) else float(scipy.stats.spearmanr(deviation, error).statistic),
        tuple(float(error[part].mean()) for part in quarters),
    )


def _pair(scores: ArrayLike, ratings: ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise ScoreTableError(
            f"scores and ratings must be two vectors of one length, got shapes {x.shape} and {y.shape}"
        )
    if np.isinf(y).any():
        raise ScoreTableError(
            f"the rating of row {int(np.flatnonzero(np.isinf(y))[0])} is infinite; ratings are finite"
        )
    return x, y


def _degenerate(x: FloatArray, y: FloatArray) -> str:
    if len(x) < _FEWEST:
        return f"{len(x)} images have both a score and a rating; {_FEWEST} are the fewest"
    if x.min() == x.max():
        return f"all {len(x):,} images have the same score"
    if y.min() == y.max():
        return f"all {len(x):,} images have the same rating"
    return ""


def _bootstrap(x: FloatArray, y: FloatArray, fit: LogisticFit, resamples: int, seed: int) -> FloatArray:
    """Return (3, resamples): SRCC, PLCC and KRCC, as `FIGURES` orders them, of each resample."""
    # Ranks in place of values: infinite scores compare, and the same for Kendall's and Spearman's.
    rank_x, group_x = _groups(x)
    rank_y, group_y = _groups(y)
    _, _, middle, width = fit.parameters
    curve = scipy.special.expit((x - middle) / width)
    net = _net_concordance(rank_x, rank_y)
    draws = np.empty((3, resamples))
    done = 0
    for counts in _resample_counts(len(x), resamples, seed):
        part = slice(done, done := done + len(counts))
        draws[0, part] = _weighted_pearson(
            _midranks(rank_x, group_x, counts), _midranks(rank_y, group_y, counts), counts
        )
        draws[1, part] = _weighted_pearson(curve, y, counts)
        draws[2, part] = _kendall(rank_x, group_x, rank_y, group_y, net, counts)
    return draws


def _resample_counts(images: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield pieces (B, N) that say how often each resample holds each image."""
    generator = np.random.default_rng(seed)
    share = np.full(images, 1 / images)
    step = max(1, _CELLS // images)
    for start in range(0, resamples, step):
        yield generator.multinomial(images, share, size=min(step, resamples - start)).astype(np.float64)


def _groups(values: FloatArray) -> tuple[NDArray[np.intp], int]:
    """Return for each value the place of its group of ties, (N,), counted from 0 in rising order, and their number."""
    distinct, place = np.unique(values, return_inverse=True)
    return place, len(distinct)


def _group_counts(place: NDArray[np.intp], groups: int, counts: FloatArray) -> FloatArray:
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(groups))
    return np.asarray(np.add.reduceat(counts[:, order], starts, axis=1))


def _midranks(place: NDArray[np.intp], groups: int, counts: FloatArray) -> FloatArray:
    """Return the rank (B, N) that each image has in each resample, ties sharing the mean of theirs."""
    size = _group_counts(place, groups, counts)
    return np.asarray((np.cumsum(size, axis=1) - (size - 1) / 2)[:, place])


def _weighted_pearson(a: FloatArray, b: FloatArray, counts: FloatArray) -> FloatArray:
    """Return Pearson's correlation (B,) of a and b, (N,) or (B, N), in each resample; NaN where one is constant."""
    total = counts.sum(axis=1, keepdims=True)
    a = a - (counts * a).sum(axis=1, keepdims=True) / total
    b = b - (counts * b).sum(axis=1, keepdims=True) / total
    scale = np.sqrt((counts * a * a).sum(axis=1) * (counts * b * b).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((counts * a * b).sum(axis=1) / scale)


def _kendall(
    x: NDArray[np.intp], groups_x: int, y: NDArray[np.intp], groups_y: int, net: FloatArray, counts: FloatArray
) -> FloatArray:
    """Return Kendall's τ-b (B,) of each resample, by the first-order expansion of its numerator.

    The numerator is wᵀSw / 2 with the counts w = 1 + e and the signs S of all pairs. What is dropped, eᵀSe, has 1/N of
    the variance of what is kept, 2eᵀS1, and is replaced by its expectation. The denominator is exact.
    """
    images = len(x)
    doubled = net.sum() * (1 - 1 / images) + 2 * (counts - 1) @ net
    pairs = images * (images - 1) / 2

    def untied(place: NDArray[np.intp], groups: int) -> FloatArray:
        size = _group_counts(place, groups, counts)
        return np.asarray(pairs - (size * (size - 1)).sum(axis=1) / 2)

    scale = np.sqrt(untied(x, groups_x) * untied(y, groups_y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(doubled / 2 / scale)


def _net_concordance(x: NDArray[np.intp], y: NDArray[np.intp]) -> FloatArray:
    """Return for each image (N,) with how many others it is concordant, less those with which it is discordant."""
    return _below(x, y) + _below(-x, -y) - _below(x, -y) - _below(-x, y)


def _below(x: NDArray[np.intp], y: NDArray[np.intp]) -> FloatArray:
    """Return for each point (N,) the number of points with smaller x and smaller y, by merging sorted halves."""
    order = np.lexsort((-y, x))  # of equal x the larger y first, so that none of them counts for another
    height = np.unique(y[order], return_inverse=True)[1]
    index = np.arange(len(x))
    found = np.zeros(len(x))
    width = 1
    while width < len(x):
        block, left = index // (2 * width), index // width % 2 == 0
        merged = np.argsort((block * len(x) + height) * 2 + left)  # of equal height the right half first
        earlier = np.cumsum(left[merged]) - block[merged] * width
        right = ~left[merged]
        found[merged[right]] += earlier[right]
        width *= 2
    result = np.empty(len(x))
    result[order] = found
    return result
