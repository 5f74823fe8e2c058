"""`map-score-fusion fit`: learn a fusion from a table of scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.columns import (
    ColumnsOption,
    ExcludeOption,
    HigherOption,
    LowerOption,
    directions,
    score_columns,
)
from map_score_fusion.commands.terminal import (
    FAULTS_FOUND,
    OutputFormat,
    cell,
    new_table,
    plain_errors,
    said_warnings,
    say,
    show_table,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """**Examples**

`map-score-fusion fit scores.csv --out model/` — all columns of numbers but what looks like ratings

`map-score-fusion fit scores.parquet --out model/ --columns psnr --columns vsi --columns lpips`

`map-score-fusion fit scores.csv --out model/ --mos quality --lower-is-better my_metric --method sf-ms`

**Exit code**: 0 fitted, 1 fitted, but the method had not converged, 2 nothing could be done."""

DEFAULT_ROWS = 50_000


def fit(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A .csv or .parquet file, a row an image.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the model.")],
    method: Annotated[str | None, typer.Option(help="A method of `map-score-fusion list`.")] = None,
    columns: ColumnsOption = None,
    exclude: ExcludeOption = None,
    id_column: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that names the image; may be repeated.")
    ] = None,
    mos: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of human ratings, which is left out.")
    ] = None,
    higher_is_better: HigherOption = None,
    lower_is_better: LowerOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn at random.")] = 0,
    max_rows: Annotated[
        int, typer.Option(min=2, help="Rows of a longer table that are drawn for the fit.")
    ] = DEFAULT_ROWS,
    no_amortised: Annotated[
        bool, typer.Option("--no-amortised", help="MAP methods: find each image's score by optimisation, no encoder.")
    ] = False,
    output: Annotated[OutputFormat, typer.Option("--format", help="How to write the summary.")] = OutputFormat.table,
) -> None:
    """Learn how to fuse the scores of several metrics, without ratings, and say which metrics it goes by.

    Columns of text are taken for labels. Columns that look like human ratings (mos, dmos, their deviations) and whole
    numbers of no known metric are left out, and all that is left out is said.
    """
    with plain_errors():
        from map_score_fusion.estimator import ScoreFusion
        from map_score_fusion.score_table import sample_rows

        table = sample_rows(scores, max_rows, seed)
        names = score_columns(table, scores, columns=columns, exclude=exclude, ids=id_column, mos=mos)
        fusion = ScoreFusion(
            **({} if method is None else {"method": method}),
            higher_is_better=directions(higher_is_better, lower_is_better),
            random_state=seed,
            amortised=not no_amortised,
            max_fit_rows=max_rows,
        )
        with said_warnings():
            fusion.fit(table[names])
        fusion.save(out)
    converged = fusion.method_.log.converged
    if output is OutputFormat.table:
        _show(fusion.metric_summary_)
        typer.echo(
            f"{fusion.method}: {fusion.n_fit_rows_:,} images, {len(names)} metrics that count as "
            f"{fusion.effective_metrics_:.1f} independent ones"
        )
    else:
        write_frame(fusion.metric_summary_.reset_index(), output)
    say(f"wrote the model to {out}")
    if not converged:
        say("the method reached its limit of iterations before it converged")
        raise typer.Exit(FAULTS_FOUND)


def _show(summary: "pd.DataFrame") -> None:
    numbers = ["weight", "correlation", "alike"]
    some = [name for name in ("missing", "clipped") if (summary[name] > 0).any()]
    table = new_table("metric", "better", "said by", *numbers, *some, right=(*numbers, *some))
    for name, row in summary.sort_values("weight", ascending=False, kind="stable").iterrows():
        missing = {"missing": f"{row['missing']:.1%}", "clipped": cell(int(row["clipped"]))}
        table.add_row(
            cell(name),
            cell(row["direction"]),
            cell(row["direction_source"]),
            f"{row['weight']:.1%}",
            cell(float(row["correlation"])),
            f"{row['near_duplicates']:.1f}",
            *(missing[column] for column in some),
        )
    show_table(table)
    typer.echo("correlation: with the fused score; alike: how many metrics err like this one, itself included")
