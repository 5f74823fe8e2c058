"""Whether scores of the same photographs differ by more than they are unsure, one by one and on the whole."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from defnet.comparison.matching import match
from defnet.evaluation.paired_tests import PairedTest, benjamini_hochberg, corrected_paired_t, holm
from defnet.scoring.scored_tables import ScoredRow

Adjustment = Literal["holm", "bh", "none"]
"""How p-values are adjusted for the number of images: Holm, Benjamini and Hochberg, or not."""

Verdict = Literal["better", "worse", "not told apart", "not stated", "not scored", "only in A", "only in B"]


def _unadjusted(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    return p_values


_ADJUST: Final[Mapping[Adjustment, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
    "none": _unadjusted,
}


@dataclass(frozen=True)
class Difference:
    """One photograph on both sides, or on one.

    Attributes:
        image: its name.
        path_a: its file on side A; empty where it has none.
        path_b: its file on side B.
        quality_a: its score on side A; NaN without one.
        quality_b: its score on side B.
        difference: B less A.
        deviation: √(s_A² + s_B²), with s² the predictive variance of each score; NaN where one states none.
        z: difference over deviation.
        p_value: two-sided, 2 Φ(−|z|).
        adjusted_p: that, adjusted for the number of photographs.
        verdict: what follows.
    """

    image: str
    path_a: str
    path_b: str
    quality_a: float
    quality_b: float
    difference: float
    deviation: float
    z: float
    p_value: float
    adjusted_p: float
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """Two sides.

    Attributes:
        differences: worst first; then what could not be compared.
        mean: of B less A over the photographs with both scores, with the interval of the mean; None of fewer than two.
        level: of the interval; 1 − level is what adjusted p-values are held against.
        adjustment: how p-values are adjusted.
    """

    differences: tuple[Difference, ...]
    mean: PairedTest | None
    level: float
    adjustment: Adjustment

    def of(self, verdict: Verdict) -> tuple[Difference, ...]:
        """Those with a verdict."""
        return tuple(one for one in self.differences if one.verdict == verdict)

    @property
    def compared(self) -> int:
        """How many photographs have a score on both sides."""
        return sum(not math.isnan(one.difference) for one in self.differences)

    @property
    def worse(self) -> bool:
        """Whether B is worse: some photograph is, or the mean difference is below 0 with its whole interval."""
        return bool(self.of("worse")) or (self.mean is not None and self.mean.high < 0)


def compare_scores(
    first: Sequence[ScoredRow],
    second: Sequence[ScoredRow],
    first_names: Sequence[str],
    second_names: Sequence[str],
    *,
    level: float = 0.95,
    adjustment: Adjustment = "holm",
) -> Comparison:
    """Compare two sides, A and B.

    Each photograph is asked whether z = (q_B − q_A) / √(s_A² + s_B²) could be chance, were both scores normal around
    the same quality with their own predictive variances s² and independent errors. The errors of two versions of one
    photograph are not independent: what they show is the same, and the model is as wrong about both. So the true
    deviation of their difference is smaller, and the test finds too little rather than too much. Holm's adjustment
    holds however the photographs' tests depend on each other.

    The mean difference has an interval of its own, a paired t-test's, which needs no stated variance: it finds what is
    small and everywhere. It is about photographs like these as this model scores them; a fault of the model that all
    photographs share is not in it.

    Args:
        first: rows of side A.
        second: rows of side B.
        first_names: what those of A are called; `match` pairs them.
        second_names: what those of B are called.
        level: of the interval, and one less what adjusted p-values are held against.
        adjustment: for the number of photographs.
    """
    pairs = match(first_names, second_names)
    z, deviations = _statistics(first, second, pairs)
    known = ~np.isnan(z)
    p_values = np.full(len(pairs), math.nan)
    p_values[known] = 2 * special.ndtr(-np.abs(z[known]))
    adjusted = p_values.copy()
    if known.any():
        adjusted[known] = _ADJUST[adjustment](p_values[known])
    found = []
    for place, (a, b) in enumerate(pairs):
        apart = _quality(second[b]) - _quality(first[a])
        found.append(
            Difference(
                image=first_names[a],
                path_a=first[a].path,
                path_b=second[b].path,
                quality_a=_quality(first[a]),
                quality_b=_quality(second[b]),
                difference=apart,
                deviation=float(deviations[place]),
                z=float(z[place]),
                p_value=float(p_values[place]),
                adjusted_p=float(adjusted[place]),
                verdict=_verdict(apart, float(adjusted[place]), level),
            )
        )
    found.sort(key=lambda one: (math.isnan(one.difference), one.difference, one.image))
    in_a, in_b = {a for a, _ in pairs}, {b for _, b in pairs}
    found += [_alone(row, first_names[k], "only in A") for k, row in enumerate(first) if k not in in_a]
    found += [_alone(row, second_names[k], "only in B") for k, row in enumerate(second) if k not in in_b]
    apart_all = [one.difference for one in found if not math.isnan(one.difference)]
    mean = corrected_paired_t(apart_all, test_share=0, level=level) if len(apart_all) > 1 else None
    return Comparison(tuple(found), mean, level, adjustment)


def _statistics(
    first: Sequence[ScoredRow], second: Sequence[ScoredRow], pairs: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The statistic z and the deviation of each pair; NaN where a score or its deviation is not there."""
    apart = np.array([_quality(second[b]) - _quality(first[a]) for a, b in pairs])
    deviations = np.array([math.hypot(first[a].std, second[b].std) for a, b in pairs])
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(apart == 0, 0.0, apart / deviations)
    return np.where(np.isnan(apart) | np.isnan(deviations), math.nan, z), deviations


def _quality(row: ScoredRow) -> float:
    return row.values.get("quality", math.nan)


def _verdict(apart: float, adjusted: float, level: float) -> Verdict:
    if math.isnan(apart):
        return "not scored"
    if math.isnan(adjusted):
        return "not stated"
    if adjusted > 1 - level:
        return "not told apart"
    return "better" if apart > 0 else "worse"


def _alone(row: ScoredRow, name: str, side: Literal["only in A", "only in B"]) -> Difference:
    nan, quality, in_a = math.nan, _quality(row), side == "only in A"
    return Difference(
        image=name,
        path_a=row.path if in_a else "",
        path_b="" if in_a else row.path,
        quality_a=quality if in_a else nan,
        quality_b=nan if in_a else quality,
        difference=nan,
        deviation=nan,
        z=nan,
        p_value=nan,
        adjusted_p=nan,
        verdict=side,
    )
