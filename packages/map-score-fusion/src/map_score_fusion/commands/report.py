"""`map-score-fusion report`: which metrics to trust, as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.terminal import plain_errors, said_warnings, terminal

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """**Examples**

`map-score-fusion report model/ scores.csv --out report.html`

`map-score-fusion report model/ scores.csv --id-column image --out report.html`

**Exit code**: 0 done, 2 nothing could be done."""

MOST_ROWS = 50_000


def report(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote.")],
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A .csv or .parquet file, a row an image.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .html file to write.")] = Path("report.html"),
    id_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="What the images are called; the first column of text if not given."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample of a table above 50,000 rows.")] = 0,
) -> None:
    """Write a report on a table of scores: which metrics to trust, which err alike, where they disagree.

    One HTML file that needs nothing else: no scripts, pictures inside. It shows each metric's scores with its fitted
    curve and uncertainty, the weights, residual correlations, missing and infinite scores, the images on which the
    metrics differ most, and those that are most uncertain.
    """
    terminal.check_out(out, (".html", ".htm"))
    with plain_errors(), said_warnings():
        from map_score_fusion.errors import ScoreTableError
        from map_score_fusion.estimator import ScoreFusion
        from map_score_fusion.report import write_report
        from map_score_fusion.table_files import sample_rows

        fusion = ScoreFusion.load(model)
        table = sample_rows(scores, MOST_ROWS, seed, say=terminal.say)
        if id_column is not None and id_column not in table.columns:
            raise ScoreTableError(
                f"{scores}: --id-column names {id_column!r}, which is no column; the columns are "
                f"{', '.join(map(str, table.columns))}"
            )
        name = id_column or _first_text(table, set(map(str, fusion.metric_summary_.index)))
        labels = [f"row {row}" for row in table.index] if name is None else list(table[name])
        notes = (
            [] if len(table) < MOST_ROWS else [f"Tables above {MOST_ROWS:,} rows are reported by a sample of as many."]
        )
        write_report(fusion, table, out, labels=labels, source=scores.name, notes=notes)
    terminal.say(f"wrote {out}")


def _first_text(table: "pd.DataFrame", metrics: set[str]) -> str | None:
    """Return the column of text that tells most images apart, the first of several."""
    import pandas as pd

    columns = [
        str(name)
        for name in table.columns
        if name not in metrics and not pd.api.types.is_numeric_dtype(table[name].dtype) and table[name].notna().any()
    ]
    return max(columns, key=lambda name: table[name].nunique(), default=None)
