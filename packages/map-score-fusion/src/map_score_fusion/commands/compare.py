"""`map-score-fusion compare`: all methods and all single metrics against human ratings, in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.columns import (
    CoefficientOption,
    ExcludeOption,
    HigherOption,
    LowerOption,
    MetricsOption,
    coefficients,
    directions,
    score_columns,
)
from map_score_fusion.commands.ratings import (
    ConfidenceOption,
    GroupsOption,
    MosLowerOption,
    MosOption,
    ResamplesOption,
    read_rated,
    said_of_files,
    say_if_images_share_references,
    say_if_upside_down,
    show_figures,
)
from map_score_fusion.commands.terminal import (
    SUFFIXES,
    FormatOption,
    OutOption,
    plain_errors,
    terminal,
    wants_table,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd

    from map_score_fusion.comparison import Comparison

EPILOG = """**Examples**

`map-score-fusion compare tid2013.csv --mos mos --groups reference --fit-on kadid10k.csv`

`map-score-fusion compare tid.csv csiq.csv live.csv --mos tid.csv:mos --mos csiq.csv:-dmos --mos live.csv:-dmos_new
--fit-on kadid10k.csv --out figures.csv`

`map-score-fusion compare scores.csv --mos mos --method mean-rank --method rf-ms --against mean-rank`

`map-score-fusion compare scores.csv --mos mos --method weighted-sum --coefficient ms_ssim=1 --coefficient vif=0.3`

**Exit code**: 0 done, 1 a method that was asked for could not be run, 2 nothing could be done."""


def compare(
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help=".csv or .parquet files with ratings.")],
    mos: MosOption,
    mos_lower_is_better: MosLowerOption = False,
    groups: GroupsOption = None,
    fit_on: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fit to this table; to the first of SCORES if not given.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A method of `map-score-fusion list`; may be repeated. All if not given."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The method or metric that the others are less or more than; the first method."
        ),
    ] = None,
    metrics: MetricsOption = None,
    exclude: ExcludeOption = None,
    higher_is_better: HigherOption = None,
    lower_is_better: LowerOption = None,
    coefficient: CoefficientOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fits and the resamples.")] = 0,
    resamples: ResamplesOption = 1000,
    confidence: ConfidenceOption = 0.95,
    out: OutOption = None,
    output: FormatOption = None,
) -> None:
    """Fit every method, and compare them and the single metrics with human ratings, best first.

    No rating enters a fit: the columns of ratings, and others that look like ratings, are left out. SRCC is Spearman's
    rank correlation, KRCC Kendall's tau-b, PLCC Pearson's correlation after the four-parameter logistic of VQEG. With
    intervals comes the difference of each SRCC to that of one method, judged on the same resamples: intervals of two
    figures that overlap say little of their difference.
    """
    terminal.check_out(out, SUFFIXES)
    with plain_errors():
        from map_score_fusion.comparison import compare as compare_methods
        from map_score_fusion.table_files import sample_rows

        train_path = fit_on or scores[0]
        train = sample_rows(train_path, 50_000, seed, say=terminal.say)
        columns = [text.removeprefix("-") for text in said_of_files("--mos", mos, scores).values() if text]
        names = score_columns(
            train,
            train_path,
            metrics=metrics,
            exclude=exclude,
            mos=[name for name in columns if name in train.columns],
        )
        files = read_rated(scores, mos, groups, metrics=names, lower_is_better=mos_lower_is_better)
        with terminal.progress(None, "fitting") as bar:
            found = compare_methods(
                train[names],
                {file.name: (file.table, file.ratings) for file in files},
                methods=method,
                higher_is_better=directions(higher_is_better, lower_is_better, train),
                coefficients=coefficients(coefficient),
                groups={file.name: file.groups for file in files},
                against=against,
                random_state=seed,
                resamples=resamples,
                confidence=confidence,
                watch=lambda name: bar.stage(name, None),
            )
        rows = _rows(found)
        if wants_table(out, output):
            show_figures(rows, confidence, over="references" if groups else "images")
            typer.echo(
                f"Methods were fitted to {train_path} ({len(train):,} images, {len(names)} metrics), without ratings."
            )
        else:
            write_frame(rows, out, output)
    _say_warnings(found)
    say_if_images_share_references(files, resamples)
    say_if_upside_down(found.figures, files)
    if method and found.not_run:
        raise typer.Exit(1)


def _rows(found: "Comparison") -> "pd.DataFrame":
    """Return the figures, each with its differences from those of one method."""
    if found.differences.empty:
        return found.figures
    figures = ("srcc", "plcc", "krcc")
    named = {f"{figure}{end}": f"{figure}_difference{end}" for figure in figures for end in ("", "_low", "_high")}
    differences = found.differences.drop(columns=["kind", "images"]).rename(columns=named)
    return found.figures.merge(differences, on=["table", "name"], how="left")


def _say_warnings(found: "Comparison") -> None:
    """Say what fits warned of, once what all warned of, and why methods were not run."""
    shared = set.intersection(*map(set, found.warned.values()))
    for text in sorted(shared):
        terminal.say(f"warning: {text}")
    for name, texts in found.warned.items():
        for text in texts:
            if text not in shared:
                terminal.say(f"warning: {name}: {text.removeprefix(f'{name}: ')}")
    for name, why in found.not_run.items():
        terminal.say(f"{name} was not run: {why}")
