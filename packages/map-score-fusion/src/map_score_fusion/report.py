"""A report on a fitted fusion and a table of scores: one HTML file that needs nothing else.

Needs ``pip install "map-score-fusion[reports]"``.
"""

import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as package_version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse.csgraph

from iqa_datasets.atomic_files import replacing
from map_score_fusion import figures
from map_score_fusion.bootstrap import FloatArray
from map_score_fusion.errors import FusionWarning, ScoreTableError
from map_score_fusion.rank_correlation import normalised_ranks, residual_correlations
from map_score_fusion.real_tables import REAL_TABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from map_score_fusion.estimator import ScoreFusion

LISTED = 20
"""How many images the lists of the report hold."""

ALIKE = 0.5
"""Residual correlation from which the report says that two metrics err alike."""

_GRID = 201

# The report sets these by CSS, for light and dark pages.
_COLOURS = {
    figures.INK: "var(--ink)",
    figures.FAINT: "var(--faint)",
    figures.BLUE: "var(--blue)",
    figures.BAND: "var(--band)",
    figures.ORANGE: "var(--orange)",
}


@dataclass(frozen=True)
class _Image:
    """An image of a list: what it is called, its fused score, and where the metrics rank it."""

    label: str
    fused: float
    std: float
    spread: float
    harshest: str
    kindest: str
    ranks: tuple[tuple[str, float], ...]
    missing: int


def write_report(
    fusion: "ScoreFusion",
    scores: pd.DataFrame,
    path: str | os.PathLike[str],
    *,
    labels: Sequence[object] | None = None,
    source: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write a report on a model and a table of scores.

    Args:
        fusion: A fitted model.
        scores: Scores with the model's columns, (N, M); others are ignored.
        path: The .html file to write. It appears when it is complete.
        labels: What each image is called, (N,); the table's index if None.
        source: What the table is called.
        notes: What a reader should know of how the table was read, a sentence each.

    Raises:
        ScoreTableError: The table lacks a column, or holds no image with a score.
        ImportError: matplotlib or Jinja is not installed.
    """
    text = report_html(fusion, scores, labels=labels, source=source, notes=notes)
    with replacing(Path(path)) as part:
        part.write_text(text, encoding="utf-8")


def report_html(
    fusion: "ScoreFusion",
    scores: pd.DataFrame,
    *,
    labels: Sequence[object] | None = None,
    source: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return the report of `write_report` as text. Everything that comes from the table or the model is escaped."""
    try:
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise ImportError('reports need Jinja: pip install "map-score-fusion[reports]"') from error

    labels = list(scores.index) if labels is None else list(labels)
    if len(labels) != len(scores):
        raise ScoreTableError(f"there are {len(labels)} labels for {len(scores)} images; give one for each")
    summary = fusion.metric_summary_
    used = [str(name) for name in summary.index if summary.loc[name, "direction"] != "none"]
    fused, std = fusion.predict(scores, return_std=True, on_empty_row="nan")
    known = ~np.isnan(fused)
    if known.sum() < 2:
        raise ScoreTableError("fewer than two images have a fused score; a report compares images")
    values = scores[used].to_numpy(dtype=np.float64, na_value=np.nan)
    signs = np.where(summary.loc[used, "direction"] == "lower", -1.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)  # infinite scores, which `predict` has warned of
        whole = fusion.oriented_scores(scores)
        weights = fusion.weights(scores, on_empty_row="nan")
        noise = fusion.score_uncertainty(scores, on_empty_row="nan")
    informative = (summary["direction"] != "none").to_numpy()
    oriented, noise = whole[:, informative], noise[:, informative]
    infinite = np.isinf(values).sum(axis=0)
    ranks = normalised_ranks(oriented)
    present = np.logical_not(np.isnan(oriented[known]).all(axis=0))
    correlations = np.full((len(used), len(used)), np.nan)
    correlations[np.ix_(present, present)] = residual_correlations(oriented[known][:, present], fused[known])
    names_present = [name for name, there in zip(used, present, strict=True) if there]
    shown_correlations = correlations[np.ix_(present, present)]

    metrics = [
        {
            "name": str(name),
            "better": row["direction"],
            "said_by": row["direction_source"],
            "weight": _mean(weights[:, position]),
            "correlation": row["correlation"],
            "alike": row["near_duplicates"],
            "noise": _mean(noise[:, used.index(str(name))]) if str(name) in used else float("nan"),
            "missing": float(scores[name].isna().mean()),
            "infinite": int(infinite[used.index(str(name))]) if str(name) in used else 0,
        }
        for position, (name, row) in enumerate(summary.iterrows())
    ]
    metrics.sort(key=lambda metric: -np.nan_to_num(metric["weight"]))
    missing = _missing(ranks, used)
    images = _images(labels, fused, std, ranks, used)
    grid_curves = _curves(fusion, signs)

    def picture(figure: "Figure", description: str) -> Markup:
        return Markup(_svg(figure, description))  # noqa: S704, matplotlib escapes the names in it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "number": _number}
    template = environment.from_string(files("map_score_fusion").joinpath("report.html.jinja").read_text("utf-8"))
    return template.render(
        version=package_version("map-score-fusion"),
        source=source,
        notes=notes,
        fit_warnings=fusion.method_.log.messages,
        method=fusion.method,
        images=len(scores),
        without=int((~known).sum()),
        fit_rows=fusion.n_fit_rows_,
        effective=fusion.effective_metrics_,
        metrics=metrics,
        in_short=_in_short(metrics, missing, names_present, shown_correlations, fusion.effective_metrics_),
        missing=missing,
        has_curves=grid_curves is not None,
        curves=picture(
            figures.plot_metric_curves(used, values, fused, grid_curves),
            f"Scores of {', '.join(used)} over the fused score",
        ),
        weights=picture(
            figures.plot_weights([str(name) for name in summary.index], weights), "Mean weight of each metric"
        ),
        correlations=picture(
            figures.plot_residual_correlations(names_present, shown_correlations),
            f"Residual correlations of {', '.join(names_present)}",
        )
        if len(names_present) > 1
        else None,
        disagreements=sorted(images, key=lambda image: -image.spread)[:LISTED] if len(used) > 1 else [],
        uncertain=sorted(images, key=lambda image: -image.std)[:LISTED],
        alike=ALIKE,
        real_tables=REAL_TABLES,
    )


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}".replace("%", " %")


def _number(value: float, places: int = 2) -> str:
    return "–" if np.isnan(value) else f"{value:.{places}f}".replace("-", "−")


def _curves(fusion: "ScoreFusion", signs: FloatArray) -> dict[str, FloatArray] | None:
    """Return the method's curves on the scores' own scale, None where it fits none."""
    found = fusion.method_.curves(np.linspace(0, 1, _GRID))
    return None if found is None else {name: values * signs for name, values in found.items()}


def _missing(ranks: FloatArray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the other metrics say of the images that lack a metric's score in this table."""
    absent = np.isnan(ranks)
    rows = []
    for at, name in enumerate(names):
        if not absent[:, at].any():
            continue
        others = np.delete(ranks, at, axis=1)
        some = ~np.isnan(others).all(axis=1)
        mean = np.full(len(ranks), np.nan)
        mean[some] = np.nanmean(others[some], axis=1) if some.any() else np.nan
        rows.append(
            {
                "name": name,
                "images": int(absent[:, at].sum()),
                "share": float(absent[:, at].mean()),
                "rank_without": _mean(mean[absent[:, at]]),
                "rank_with": _mean(mean[~absent[:, at]]),
            }
        )
    return rows


def _images(
    labels: Sequence[object], fused: FloatArray, std: FloatArray, ranks: FloatArray, names: Sequence[str]
) -> list[_Image]:
    """Return the images that can be in one of the lists: those with the largest spread or the largest deviation."""
    spread = np.full(len(ranks), -1.0)
    several = (~np.isnan(ranks)).sum(axis=1) > 1
    spread[several] = np.nanstd(ranks[several], axis=1)
    chosen = set(np.argsort(-spread, kind="stable")[:LISTED]) | set(np.argsort(-np.nan_to_num(std, nan=-1.0))[:LISTED])
    images = []
    for row in sorted(chosen):
        there = [(name, float(rank)) for name, rank in zip(names, ranks[row], strict=True) if not np.isnan(rank)]
        if not there or np.isnan(fused[row]):
            continue
        there.sort(key=lambda one: one[1])
        images.append(
            _Image(
                label=str(labels[row]),
                fused=float(fused[row]),
                std=float(std[row]),
                spread=float(spread[row]),
                harshest=there[0][0],
                kindest=there[-1][0],
                ranks=tuple(there),
                missing=len(names) - len(there),
            )
        )
    return images


def _in_short(
    metrics: Sequence[Mapping[str, Any]],
    missing: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    correlations: FloatArray,
    effective: float,
) -> list[str]:
    """Return what a reader should take away on which metrics to trust, a sentence or two each."""
    sentences = []
    leading = [f"{metric['name']} ({_percent(metric['weight'])})" for metric in metrics[:3] if metric["weight"] > 0]
    counted = [metric["weight"] for metric in metrics if metric["better"] != "none"]
    if max(counted) - min(counted) < 1e-3:
        sentences.append(f"Every metric weighs about the same, {_percent(counted[0])}.")
    else:
        sentences.append(f"The fused score goes by {_and(leading)} most.")
    weak = [
        f"{metric['name']} (correlation with the fused score {_number(metric['correlation'])}, weight "
        f"{_percent(metric['weight'])})"
        for metric in metrics
        if metric["better"] != "none" and not metric["correlation"] >= 0.5
    ]
    if weak:
        sentences.append(
            f"Look at {_and(weak)} before using {'it' if len(weak) == 1 else 'them'}: below 0.5 a metric is noise, has "
            "the wrong direction, or sees something that the others do not."
        )
    else:
        sentences.append("Every metric's correlation with the fused score is at least 0.5; none looks like noise.")
    silent = [metric["name"] for metric in metrics if metric["better"] == "none"]
    if silent:
        sentences.append(
            f"{_and(silent)} told nothing in the fit, and {'has' if len(silent) == 1 else 'have'} no weight."
        )
    groups = _groups(correlations)
    for group in groups:
        within = np.maximum(correlations[np.ix_(group, group)], 0.0) ** 2
        sentences.append(
            f"{_and([names[at] for at in group])} err alike (linked by residual correlations above {ALIKE}): their "
            f"agreement counts for {np.sum(1 / within.sum(axis=1)):.1f} opinions and not {len(group)}."
        )
    count = sum(metric["better"] != "none" for metric in metrics)
    sentences.append(
        f"The {count} metrics count as {effective:.1f} independent ones"
        + ("." if groups else ", and no two err alike.")
    )
    for row in missing:
        if np.isnan(row["rank_without"]):
            continue
        gap = row["rank_without"] - row["rank_with"]
        where = (
            "the others rank those images much as the rest" if abs(gap) < 0.1
            else f"the others rank those images {'worse' if gap < 0 else 'better'} than the rest"
        )  # fmt: skip
        sentences.append(
            f"{row['name']} lacks {row['images']:,} scores, and {where} (mean rank {_number(row['rank_without'])} and "
            f"{_number(row['rank_with'])})."
        )
    unsure = [metric["name"] for metric in metrics if metric["said_by"] in ("consensus", "assumed")]
    if unsure:
        sentences.append(
            f"The direction of {_and(unsure)} is not known by name; it was "
            "taken from agreement with the others or assumed. Check it in the table below."
        )
    return sentences


def _groups(correlations: FloatArray) -> list[list[int]]:
    """Return the groups of metrics, by position, that are linked by residual correlations above `ALIKE`."""
    if not len(correlations):
        return []
    count, group = scipy.sparse.csgraph.connected_components(correlations > ALIKE, directed=False)
    groups = [np.flatnonzero(group == number).tolist() for number in range(count)]
    return [group for group in groups if len(group) > 1]


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _svg(figure: "Figure", description: str) -> str:
    """Return a figure as an SVG element that takes its colours from the page."""
    import matplotlib
    from markupsafe import escape

    buffer = io.StringIO()
    # The salt makes the same figure give the same text, and different figures different ids.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", dpi=144, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        r'<g id="[^"]*">', "<g>", text
    )  # counted anew in each figure, so twice in the page; nothing uses them
    for colour, variable in _COLOURS.items():
        text = re.sub(f'(?<=: ){colour}(?=[;"])', variable, text)
    width, height = re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2]
    head = f'<svg role="img" aria-label="{escape(description)}" style="max-width: {float(width) * 4 / 3:.0f}px"'
    text = re.sub(r'(?:width|height)="[\d.]+pt"', "", text, count=2)
    del height
    return text.replace("<svg", head, 1)
