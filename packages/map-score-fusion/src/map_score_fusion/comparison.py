"""A fitted fusion, and fusion methods side by side, against human ratings, which no fit sees."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from map_score_fusion.bootstrap import FloatArray
from map_score_fusion.column_names import looks_like_ratings
from map_score_fusion.directions import HigherIsBetter
from map_score_fusion.errors import FusionWarning, ScoreTableError
from map_score_fusion.estimator import ScoreFusion
from map_score_fusion.evaluation import (
    FIGURES,
    Agreement,
    AgreementDifference,
    agreement,
    agreement_difference,
    size_weighted,
)
from map_score_fusion.methods import METHODS
from map_score_fusion.rank_errors import UncertaintyAgreement, uncertainty_agreement

AVERAGE = "size-weighted average"
"""What the rows of averages over several tables have in the column ``table``."""

RatedTables = Mapping[str, tuple[pd.DataFrame, ArrayLike]]
"""Tables of scores (N, M) and the ratings (N,) of their images, by the tables' names."""

Groups = Mapping[str, ArrayLike | None]
"""For some of the tables, by their names, what tells each image's group (its reference), (N,); see `agreement`."""


@dataclass(frozen=True)
class Evaluation:
    """How well a fitted fusion and its metrics agree with ratings.

    Attributes:
        figures: A row for each of the tables and each of the fused score and its metrics, turned to higher = better:
            ``table``, ``name``, ``kind`` (``"fused"`` or ``"metric"``), ``images`` that the row rests on, ``left_out``
            for want of a score or a rating, ``srcc``, ``plcc``, ``krcc``, each with ``_low`` and ``_high`` where
            intervals were asked for, and ``note``. With several tables, rows of averages weighted by the tables'
            numbers of images follow.
        uncertainty: For each table, whether images with a larger standard deviation are ranked worse.
        noise: Mean ω̃ of each metric over all tables' images, by name.
    """

    figures: pd.DataFrame
    uncertainty: Mapping[str, UncertaintyAgreement]
    noise: "pd.Series[float]"


@dataclass(frozen=True)
class Comparison:
    """Fusion methods and single metrics against ratings.

    Attributes:
        figures: As in `Evaluation`, with the kinds ``"method"`` and ``"metric"``.
        differences: Where intervals were asked for, a row for each of the tables and each method and metric but
            ``against``: ``table``, ``name``, ``kind``, ``against``, ``images`` that have both scores and a rating, and
            by how much its ``srcc``, ``plcc`` and ``krcc`` are above those of ``against`` on them, with ``_low`` and
            ``_high``, the bounds of a bootstrap interval in which both are resampled together. Empty otherwise.
        not_run: Why a method was not run, by its name.
        warned: What each method's fit warned of.
        seconds: How long each method's fit took.
    """

    figures: pd.DataFrame
    differences: pd.DataFrame
    not_run: Mapping[str, str]
    warned: Mapping[str, Sequence[str]]
    seconds: Mapping[str, float]


def evaluate_fusion(
    fusion: ScoreFusion,
    tables: RatedTables,
    *,
    groups: Groups | None = None,
    resamples: int = 0,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Compare a fitted fusion, and each of its metrics, with human ratings.

    Args:
        fusion: A fitted model.
        tables: Scores, with all the model's columns, and ratings, higher = better, NaN where missing.
        groups: Which images of a table share a reference, so that intervals are over references.
        resamples: Resamples for intervals; see `agreement`.
        confidence: Probability that the intervals are for.
        seed: Seed of the resamples.

    Raises:
        ScoreTableError: A table lacks a column, or scores and ratings have different lengths.
    """
    groups = _checked(groups, tables)
    rows: list[dict[str, Any]] = []
    uncertainty, noise = {}, []
    for table, (scores, ratings) in tables.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FusionWarning)  # said once, by the next line
            ranks, deviations = fusion.ranks(scores, on_empty_row="nan")
        fused = fusion.predict(scores, on_empty_row="nan")
        uncertainty[table] = uncertainty_agreement(ranks, deviations, ratings)
        noise.append(fusion.score_uncertainty(scores, on_empty_row="nan"))
        columns = {("fused", "fused"): fused} | {
            ("metric", name): values for name, values in _turned(scores, fusion.metric_summary_["direction"]).items()
        }
        for (kind, name), values in columns.items():
            found = agreement(
                values, ratings, groups=groups.get(table), resamples=resamples, confidence=confidence, seed=seed
            )
            rows.append(_row(table, name, kind, found))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of a metric without a score is NaN, and shown so
        mean_noise = np.nanmean(np.concatenate(noise), axis=0)
    noise_of = pd.Series(mean_noise, fusion.metric_summary_.index, dtype=np.float64, name="noise")
    return Evaluation(_with_averages(pd.DataFrame(rows)), uncertainty, noise_of)


def compare(
    train: pd.DataFrame,
    tables: RatedTables,
    *,
    methods: Sequence[str] | None = None,
    higher_is_better: HigherIsBetter = None,
    coefficients: Mapping[str, float] | None = None,
    groups: Groups | None = None,
    against: str | None = None,
    random_state: int = 0,
    resamples: int = 0,
    confidence: float = 0.95,
    watch: Callable[[str], None] | None = None,
) -> Comparison:
    """Fit every method to one table of scores, and compare them and the single metrics with ratings on others.

    Ratings enter no fit, no start and no stopping rule.

    Args:
        train: Scores that the methods are fitted to, (N, M).
        tables: Scores of the same metrics, and ratings, higher = better.
        methods: Names of `METHODS`; all if None.
        higher_is_better: As for `ScoreFusion`.
        coefficients: Exponents or weights by the metrics' names, for the methods that need some; they are not run
            without.
        groups: Which images of a table share a reference, so that intervals are over references.
        against: The method or metric that ``differences`` compare the others with; the first method that was run if
            None.
        random_state: Seed of the fits and the resamples.
        resamples: Resamples for intervals; see `agreement`.
        confidence: Probability that the intervals are for.
        watch: Called with the name of each method or metric before it is computed.

    Raises:
        ScoreTableError: A table lacks a column of ``train``, a column of ``train`` is named like ratings, a method is
            unknown, or none could be run.
    """
    groups = _checked(groups, tables)
    rating = next((str(name) for name in train.columns if looks_like_ratings(str(name))), None)
    if rating is not None:
        raise ScoreTableError(f"the column {rating!r} of the table to fit is human ratings by its name; leave it out")
    chosen = list(METHODS if methods is None else methods)
    for method in chosen:
        if method not in METHODS:
            raise ScoreTableError(f"method is {method!r}; it must be one of {', '.join(METHODS)}")
    for table, (scores, _) in tables.items():
        absent = [name for name in train.columns if name not in scores.columns]
        if absent:
            raise ScoreTableError(f"{table} has no column {absent[0]!r}, which the fit has")
    not_run: dict[str, str] = {}
    warned: dict[str, tuple[str, ...]] = {}
    seconds: dict[str, float] = {}
    columns: dict[str, dict[tuple[str, str], FloatArray]] = {table: {} for table in tables}
    turned: pd.Series[Any] | None = None
    for method in chosen:
        if watch is not None:
            watch(method)
        needs = METHODS[method].needs_coefficients
        fusion = ScoreFusion(
            method,
            higher_is_better=higher_is_better,
            random_state=random_state,
            coefficients=coefficients if needs else None,
        )
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", FusionWarning)
                start = time.perf_counter()
                fusion.fit(train)
                seconds[method] = time.perf_counter() - start
            for table, (scores, _) in tables.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", FusionWarning)  # infinite scores: counted by the fit already
                    columns[table]["method", method] = fusion.predict(scores, on_empty_row="nan")
        except ScoreTableError as error:
            not_run[method] = str(error)
            continue
        warned[method] = tuple(dict.fromkeys(str(one.message) for one in caught))
        turned = fusion.metric_summary_["direction"]
    if turned is None:
        raise ScoreTableError("no method could be run: " + "; ".join(f"{name}: {why}" for name, why in not_run.items()))
    names = [*warned, *map(str, turned.index)]
    if against is not None and against not in names:
        raise ScoreTableError(f"against is {against!r}; it must be one of {', '.join(names)}")
    against = against or names[0]
    rows, differences = [], []
    for table, (scores, ratings) in tables.items():
        columns[table] |= {("metric", name): values for name, values in _turned(scores, turned).items()}
        options: dict[str, Any] = {
            "groups": groups.get(table), "resamples": resamples, "confidence": confidence, "seed": random_state,
        }  # fmt: skip
        other = next(values for (_, name), values in columns[table].items() if name == against)
        for (kind, name), values in columns[table].items():
            if watch is not None:
                watch(name)
            rows.append(_row(table, name, kind, agreement(values, ratings, **options)))
            if resamples and name != against:
                found = agreement_difference(values, other, ratings, **options)
                differences.append(_difference_row(table, name, kind, against, found))
    return Comparison(_with_averages(pd.DataFrame(rows)), pd.DataFrame(differences), not_run, warned, seconds)


def _turned(scores: pd.DataFrame, directions: "pd.Series[Any]") -> dict[str, FloatArray]:
    """Return each metric's scores, by name, turned to higher = better, infinite ones as they are."""
    return {
        str(name): scores[name].to_numpy(dtype=np.float64, na_value=np.nan) * (-1.0 if direction == "lower" else 1.0)
        for name, direction in directions.items()
    }


def _checked(groups: Groups | None, tables: RatedTables) -> Groups:
    """Return the groups by table; an error where they name a table that is not there."""
    unknown = [name for name in groups or () if name not in tables]
    if unknown:
        raise ScoreTableError(f"groups name {unknown[0]!r}, which is no table; the tables are {', '.join(tables)}")
    return groups or {}


def _difference_row(table: str, name: str, kind: str, against: str, found: AgreementDifference) -> dict[str, Any]:
    row: dict[str, Any] = {"table": table, "name": name, "kind": kind, "against": against, "images": found.images}
    for figure in FIGURES:
        low, high = getattr(found, f"{figure}_interval")
        row |= {figure: getattr(found, figure), f"{figure}_low": low, f"{figure}_high": high}
    return row


def _row(table: str, name: str, kind: str, found: Agreement) -> dict[str, Any]:
    row: dict[str, Any] = {
        "table": table,
        "name": name,
        "kind": kind,
        "images": found.images,
        "left_out": found.left_out,
    }
    for figure in FIGURES:
        row[figure] = getattr(found, figure)
        interval = getattr(found, f"{figure}_interval")
        if interval is not None:
            row[f"{figure}_low"], row[f"{figure}_high"] = interval
    return row | {"note": found.note}


def _with_averages(figures: pd.DataFrame) -> pd.DataFrame:
    """Add rows of averages over the tables, weighted by their numbers of images, where there are several tables."""
    if figures["table"].nunique() < 2:
        return figures
    rows = []
    for (name, kind), group in figures.groupby(["name", "kind"], sort=False):
        row = {"table": AVERAGE, "name": name, "kind": kind, "images": group["images"].sum()}
        row |= {"left_out": group["left_out"].sum(), "note": ""}
        row |= {figure: size_weighted(list(group[figure]), list(group["images"])) for figure in FIGURES}
        rows.append(row)
    return pd.concat([figures, pd.DataFrame(rows)], ignore_index=True)
