"""What a fit says of each metric: the tables that `ScoreFusion` keeps, and the sentences that it warns with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from map_score_fusion.methods.base import FloatArray
from map_score_fusion.rank_correlation import normalised_ranks
from map_score_fusion.score_table import FAR

ELSEWHERE = 0.5
"""Share of a column's scores beyond all but a hundredth of the training scores, from which a warning is due."""

FEWEST_ELSEWHERE = 20
"""Scores of a column from which on that share is looked at."""


def summary_table(names: Sequence[str], columns: Mapping[str, Any]) -> pd.DataFrame:
    """Make a table with a row for each metric."""
    return pd.DataFrame(dict(columns), index=pd.Index(list(names), name="metric", dtype=str))


def missing_summary(oriented: FloatArray, names: Sequence[str]) -> pd.DataFrame:
    """What the other metrics say of the images that lack a metric's score, for each metric that lacks any."""
    ranks = normalised_ranks(oriented)
    present = ~np.isnan(ranks)
    filled = np.where(present, ranks, 0.0)
    rows: dict[str, tuple[int, float, float]] = {}
    for index in np.flatnonzero(~present.all(axis=0)).tolist():
        others = present.sum(axis=1) - present[:, index]
        mean = np.where(others > 0, filled.sum(axis=1) - filled[:, index], np.nan) / np.maximum(others, 1)
        without, with_score = mean[~present[:, index]], mean[present[:, index] & (others > 0)]
        present_mean = float(with_score.mean()) if len(with_score) else np.nan
        rows[names[index]] = (len(without), float(without.mean()), present_mean)
    counts, means_missing, means_present = zip(*rows.values(), strict=True) if rows else ((), (), ())
    found = {
        "missing": np.array(counts, dtype=np.int64),
        "mean_rank_missing": np.array(means_missing, dtype=np.float64),
        "mean_rank_present": np.array(means_present, dtype=np.float64),
    }
    return summary_table(list(rows), found)


def clipping_messages(names: Sequence[str], counts: NDArray[np.int64], low: FloatArray, high: FloatArray) -> list[str]:
    """Say how many infinite scores of each metric (M,) were clipped to its training range."""
    clipped = [
        f"{names[index]} {counts[index]} (range {low[index]:.6g} to {high[index]:.6g})"
        for index in np.flatnonzero(counts).tolist()
    ]
    if not clipped:
        return []
    total = int(counts.sum())
    return [f"{total} infinite scores were clipped to their metric's finite training range: {', '.join(clipped)}"]


def uninformative_messages(names: Sequence[str], low: FloatArray, used: NDArray[np.bool_]) -> list[str]:
    """Say which metrics are constant or without a score."""
    told = [
        f"{names[index]} ({'no finite score' if np.isnan(low[index]) else f'all scores are {low[index]:.6g}'})"
        for index in np.flatnonzero(~used).tolist()
    ]
    return [f"these metrics tell nothing and get weight 0: {', '.join(told)}"] if told else []


def outside_messages(
    names: Sequence[str],
    scores: NDArray[np.int64],
    outside: NDArray[np.int64],
    values: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> list[str]:
    """Say of which metrics scores lie far outside the training range.

    Args:
        names: Of the M metrics.
        scores: Number of finite scores of each, (M,).
        outside: Number of those far outside, (M,).
        values: The smallest and the largest finite score of each, (2, M).
        low: Smallest training score, (M,).
        high: Largest training score, (M,).
    """
    said = [
        f"{names[index]} {outside[index] / scores[index]:.1%} (from {values[0, index]:.6g} to {values[1, index]:.6g}, "
        f"in the fit from {low[index]:.6g} to {high[index]:.6g})"
        for index in np.flatnonzero(outside).tolist()
    ]
    if not said:
        return []
    message = (
        f"scores further outside the range of the fit than {FAR:.0%} of its width: {', '.join(said)}. They are taken "
        "for the best or the worst, and their images' ranks are uncertain; check the scale, the sign and the version "
        "of these metrics"
    )
    return [message]


def elsewhere_messages(names: Sequence[str], oriented: FloatArray, usual: tuple[FloatArray, FloatArray]) -> list[str]:
    """Say of which metrics most scores are within the training range, but where few training scores are.

    Args:
        names: Of the M metrics.
        oriented: Their scores (N, M), higher = better, NaN where missing and where they lie far outside.
        usual: The 1 % and the 99 % quantile of their training scores, (M,) each.
    """
    present = (~np.isnan(oriented)).sum(axis=0)
    said = []
    for side, beyond in (("worst", oriented < usual[0]), ("best", oriented > usual[1])):
        share = beyond.sum(axis=0) / np.maximum(present, 1)
        said += [
            f"{share[index]:.0%} of {names[index]} are among the {side} hundredth of the fit's scores"
            for index in np.flatnonzero((present >= FEWEST_ELSEWHERE) & (share > ELSEWHERE)).tolist()
        ]
    if not said:
        return []
    return [f"{'; '.join(said)}: check that the scale is the one of the fit"]
