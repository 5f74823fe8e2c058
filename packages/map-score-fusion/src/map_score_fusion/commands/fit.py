"""`map-score-fusion fit`: learn a fusion from a table of scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_datasets.terminal import SOME_NOT
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
from map_score_fusion.commands.terminal import (
    FormatOption,
    plain_errors,
    said_warnings,
    terminal,
    wants_table,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """**Examples**

`map-score-fusion fit scores.csv --out model/` — all columns of numbers but what looks like ratings

`map-score-fusion fit scores.parquet --out model/ --metrics psnr,vsi,lpips`

`map-score-fusion fit psnr.csv ssim.csv lpips.csv --out model/` — joined by the names of the images

`map-score-fusion fit scores.csv --out model/ --mos quality --lower-is-better my_metric --method sf-ms`

`map-score-fusion fit scores.csv --out model/ --mos mos --use-ratings` — ratings of a few images correct it

`map-score-fusion fit scores.csv --out model/ --method weighted-product --coefficient ms_ssim=0.5 --coefficient vif=0.3`

**Exit code**: 0 fitted, 1 fitted, but the method had not converged, 2 nothing could be done."""

DEFAULT_ROWS = 50_000


def fit(
    scores: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCORES...",
            help="A .csv or .parquet file, a row an image; several are joined by the images' names.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the model.")],
    method: Annotated[str | None, typer.Option(metavar="NAME", help="A method of `map-score-fusion list`.")] = None,
    metrics: MetricsOption = None,
    exclude: ExcludeOption = None,
    id_column: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that names the image; may be repeated.")
    ] = None,
    mos: Annotated[
        str | None,
        typer.Option(metavar="[-]COLUMN", help="The column of human ratings, which is left out, or see --use-ratings."),
    ] = None,
    use_ratings: Annotated[
        bool,
        typer.Option(
            "--use-ratings",
            help="Let the ratings of --mos, empty for most images, correct the fusion; - before the column where lower "
            "ratings are better.",
        ),
    ] = False,
    higher_is_better: HigherOption = None,
    lower_is_better: LowerOption = None,
    coefficient: CoefficientOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn at random.")] = 0,
    max_rows: Annotated[
        int, typer.Option(min=2, help="Rows of a longer table that are drawn for the fit.")
    ] = DEFAULT_ROWS,
    no_amortised: Annotated[
        bool, typer.Option("--no-amortised", help="MAP methods: find each image's score by optimisation, no encoder.")
    ] = False,
    output: FormatOption = None,
) -> None:
    """Learn how to fuse the scores of several metrics, without ratings, and say which metrics it goes by.

    Columns of text are taken for labels. Columns that look like human ratings (mos, dmos, their deviations), what tools
    write beside a score, and whole numbers of no known metric are left out, and all that is left out is said. Fields
    may be separated by , ; | or tabs, numbers may have a decimal comma, and a table may have a row a score or a row a
    metric.
    """
    with plain_errors():
        from map_score_fusion.anchoring import Anchored
        from map_score_fusion.errors import ScoreTableError
        from map_score_fusion.estimator import ScoreFusion
        from map_score_fusion.table_files import read_tables, sample_rows

        if use_ratings and mos is None:
            raise ScoreTableError("--use-ratings needs --mos, the column of the ratings")
        # A sample would leave out ratings; and what is joined is read whole.
        whole = use_ratings or len(scores) > 1
        table = (
            read_tables(scores, say=terminal.say) if whole else sample_rows(scores[0], max_rows, seed, say=terminal.say)
        )
        source = ", ".join(map(str, scores))
        rating = mos.removeprefix("-") if mos is not None and mos not in table.columns else mos
        names = score_columns(
            table, source, metrics=metrics, exclude=exclude, ids=id_column, mos=[] if rating is None else [rating]
        )
        of_method: dict[str, Any] = {} if method is None else {"method": method}
        fusion = ScoreFusion(
            **of_method,
            higher_is_better=directions(higher_is_better, lower_is_better, table),
            random_state=seed,
            amortised=not no_amortised,
            max_fit_rows=max_rows,
            coefficients=coefficients(coefficient),
            use_ratings=use_ratings,
        )
        ratings = None
        if use_ratings:
            sign = -1.0 if mos != rating else 1.0
            ratings = sign * table[rating].to_numpy(dtype="float64", na_value=float("nan"))
        with said_warnings():
            fusion.fit(table[names], ratings)
        fusion.save(out)
        converged = fusion.method_.log.converged
        if wants_table(None, output):
            _show(fusion.metric_summary_)
            anchored = fusion.method_ if isinstance(fusion.method_, Anchored) else None
            rated = "" if anchored is None else f", corrected by {anchored.ratings:,} ratings"
            typer.echo(
                f"{fusion.method}: {fusion.n_fit_rows_:,} images, {len(names)} metrics that count as "
                f"{fusion.effective_metrics_:.1f} independent ones{rated}"
            )
        else:
            write_frame(fusion.metric_summary_.reset_index(), None, output)
    terminal.say(f"wrote the model to {out}")
    if not converged:
        terminal.say("the method reached its limit of iterations before it converged")
        raise typer.Exit(SOME_NOT)


def _show(summary: "pd.DataFrame") -> None:
    numbers = ["weight", "correlation", "alike"]
    some = [name for name in ("missing", "clipped") if (summary[name] > 0).any()]
    table = terminal.new_table("metric", "better", "said by", *numbers, *some, right=(*numbers, *some))
    for name, row in summary.sort_values("weight", ascending=False, kind="stable").iterrows():
        missing = {"missing": f"{row['missing']:.1%}", "clipped": terminal.cell(int(row["clipped"]))}
        table.add_row(
            terminal.cell(name),
            terminal.cell(row["direction"]),
            terminal.cell(row["direction_source"]),
            f"{row['weight']:.1%}",
            terminal.cell(float(row["correlation"])),
            f"{row['near_duplicates']:.1f}",
            *(missing[column] for column in some),
        )
    terminal.show_table(table)
    typer.echo("correlation: with the fused score; alike: how many metrics err like this one, itself included")
