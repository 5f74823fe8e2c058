"""`map-score-fusion evaluate`: a fitted fusion against human ratings."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.ratings import (
    ConfidenceOption,
    MosLowerOption,
    MosOption,
    ResamplesOption,
    read_ratings,
    read_table,
    say_if_upside_down,
    show_figures,
    table_names,
)
from map_score_fusion.commands.terminal import cell, fail, new_table, plain_errors, said_warnings, say, show_table

if TYPE_CHECKING:
    from map_score_fusion.comparison import Evaluation

EPILOG = """**Examples**

`map-score-fusion evaluate model/ tid2013.csv --mos mos`

`map-score-fusion evaluate model/ tid2013.csv csiq.csv --mos quality` — each, and the average weighted by size

`map-score-fusion evaluate model/ live.csv --mos dmos --mos-lower-is-better --plot uncertainty.svg`

**Exit code**: 0 done, 2 nothing could be done."""

PLOT_SUFFIXES = (".svg", ".png", ".pdf")


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote.")],
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help=".csv or .parquet files with ratings.")],
    mos: MosOption,
    mos_lower_is_better: MosLowerOption = False,
    resamples: ResamplesOption = 1000,
    confidence: ConfidenceOption = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw each metric's fitted uncertainty against its SRCC: .svg, .png or .pdf."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> None:
    """Compare a model's fused scores, and its single metrics, with human ratings.

    SRCC is Spearman's rank correlation, KRCC Kendall's tau-b, PLCC Pearson's correlation after the four-parameter
    logistic of VQEG. Metrics are turned to higher = better as the model has them, so a negative figure means the wrong
    way round. Each row rests on the images that have that score and a rating.
    """
    if plot is not None and plot.suffix.lower() not in PLOT_SUFFIXES:
        fail(f"--plot must end in {', '.join(PLOT_SUFFIXES)}, got {plot}")
    with plain_errors(), said_warnings():
        from map_score_fusion.comparison import evaluate_fusion
        from map_score_fusion.estimator import ScoreFusion

        fusion = ScoreFusion.load(model)
        tables = {}
        for name, path in zip(table_names(scores), scores, strict=True):
            table = read_table(path, [*map(str, fusion.metric_summary_.index), mos])
            tables[name] = (table, read_ratings(table, path, mos, lower_is_better=mos_lower_is_better))
        found = evaluate_fusion(fusion, tables, resamples=resamples, confidence=confidence, seed=seed)
        if plot is not None:
            _plot(found, plot)
    if as_json:
        typer.echo(json.dumps(_content(found), indent=2, ensure_ascii=False))
    else:
        show_figures(found.figures, confidence)
        _show_uncertainty(found)
    say_if_upside_down(found.figures, mos)


def _plot(found: "Evaluation", path: Path) -> None:
    from iqa_datasets.atomic_files import replacing
    from map_score_fusion.comparison import AVERAGE
    from map_score_fusion.figures import plot_noise_against_srcc

    rows = found.figures[found.figures["kind"] == "metric"]
    if (rows["table"] == AVERAGE).any():
        rows = rows[rows["table"] == AVERAGE]
    figure = plot_noise_against_srcc(found.noise, rows.set_index("name")["srcc"])
    with replacing(path) as part:
        figure.savefig(part, dpi=150)
    say(f"wrote {path}")


def _content(found: "Evaluation") -> dict[str, object]:
    figures = json.loads(found.figures.to_json(orient="records", double_precision=15))
    uncertainty = {table: asdict(one) for table, one in found.uncertainty.items()}
    noise = json.loads(found.noise.to_json(double_precision=15))
    return {"figures": figures, "uncertainty": _without_nan(uncertainty), "noise": noise}


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if value != value else value


def _show_uncertainty(found: "Evaluation") -> None:
    quarters = ("least certain", "third", "second", "most certain")
    table = new_table(
        "", "images", "Spearman", "of the score's", *reversed(quarters),
        right=("images", "Spearman", "of the score's", *quarters),
        title="Predicted standard deviation of the fused rank against its error: Spearman's correlation (that of the "
        "score's standard deviation beside it), and the mean error (as a share of all ranks) in each quarter of the "
        "images",
    )  # fmt: skip
    for name, one in found.uncertainty.items():
        table.add_row(
            cell(name), cell(one.images), cell(one.spearman), cell(one.score_spearman), *map(cell, one.quarter_errors)
        )
    show_table(table)
