"""`map-score-fusion compare`: all methods and all single metrics against human ratings, in one table."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from map_score_fusion.commands.columns import (
    ColumnsOption,
    ExcludeOption,
    HigherOption,
    LowerOption,
    directions,
    score_columns,
)
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
from map_score_fusion.commands.terminal import OutputFormat, plain_errors, printable, say, write_frame

EPILOG = """**Examples**

`map-score-fusion compare tid2013.csv --mos mos --fit-on kadid10k.csv`

`map-score-fusion compare tid2013.csv csiq.csv live.csv --mos quality --fit-on kadid10k.csv --format csv`

`map-score-fusion compare scores.csv --mos mos --method mean-rank --method rf-ms --resamples 0`

**Exit code**: 0 done, 2 nothing could be done."""


def compare(
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help=".csv or .parquet files with ratings.")],
    mos: MosOption,
    mos_lower_is_better: MosLowerOption = False,
    fit_on: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fit to this table; to the first of SCORES if not given.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="A method of `map-score-fusion list`; may be repeated. All if not given.")
    ] = None,
    columns: ColumnsOption = None,
    exclude: ExcludeOption = None,
    higher_is_better: HigherOption = None,
    lower_is_better: LowerOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fits and the resamples.")] = 0,
    resamples: ResamplesOption = 1000,
    confidence: ConfidenceOption = 0.95,
    output: Annotated[OutputFormat, typer.Option("--format", help="How to write the figures.")] = OutputFormat.table,
) -> None:
    """Fit every method, and compare them and the single metrics with human ratings, best first.

    No rating enters a fit: the column of ratings, and others that look like ratings, are left out. SRCC is Spearman's
    rank correlation, KRCC Kendall's tau-b, PLCC Pearson's correlation after the four-parameter logistic of VQEG.
    """
    with plain_errors():
        from map_score_fusion.comparison import compare as compare_methods
        from map_score_fusion.score_table import sample_rows

        tables = {}
        train_path = fit_on or scores[0]
        train = sample_rows(train_path, 50_000, seed)
        names = score_columns(
            train, train_path, columns=columns, exclude=exclude, mos=mos if mos in train.columns else None
        )
        for name, path in zip(table_names(scores), scores, strict=True):
            table = read_table(path, [*names, mos])
            tables[name] = (table, read_ratings(table, path, mos, lower_is_better=mos_lower_is_better))
        found = compare_methods(
            train[names],
            tables,
            methods=method,
            higher_is_better=directions(higher_is_better, lower_is_better),
            random_state=seed,
            resamples=resamples,
            confidence=confidence,
            watch=_progress if sys.stderr.isatty() else None,
        )
        if sys.stderr.isatty():
            _progress("")
    if output is OutputFormat.table:
        show_figures(found.figures, confidence)
        typer.echo(
            f"Methods were fitted to {train_path} ({len(train):,} images, {len(names)} metrics), without ratings."
        )
    else:
        write_frame(found.figures, output)
    shared = set.intersection(*map(set, found.warned.values()))
    for text in sorted(shared):
        say(f"warning: {text}")
    for name, texts in found.warned.items():
        for text in texts:
            if text not in shared:
                say(f"warning: {name}: {text}")
    for name, why in found.not_run.items():
        say(f"{name} was not run: {why}")
    say_if_upside_down(found.figures, mos)


def _progress(name: str) -> None:
    """Show on one line of the terminal what is being computed."""
    typer.echo(f"\r\x1b[K{printable(name)}", nl=False, err=True)
