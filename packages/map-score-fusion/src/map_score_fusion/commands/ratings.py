"""Tables of scores with human ratings, and how figures against ratings are shown."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from map_score_fusion.commands.terminal import cell, new_table, say, show_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MosOption = Annotated[str, typer.Option("--mos", metavar="COLUMN", help="The column of human ratings.")]
MosLowerOption = Annotated[
    bool, typer.Option("--mos-lower-is-better", help="Lower ratings are better, as a DMOS mostly is.")
]
ResamplesOption = Annotated[
    int, typer.Option("--resamples", min=0, help="Resamples of the images for the intervals; 0 for none.")
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="What the intervals are for.")]


def read_ratings(table: "pd.DataFrame", source: Path, mos: str, *, lower_is_better: bool) -> "NDArray[np.float64]":
    """Return the ratings of a table (N,), turned to higher = better, NaN where missing."""
    from map_score_fusion.errors import ScoreTableError

    if mos not in table.columns:
        raise ScoreTableError(
            f"{source}: --mos names {mos!r}, which is no column; the columns are {', '.join(map(str, table.columns))}"
        )
    ratings = table[mos].to_numpy(dtype="float64")
    return -ratings if lower_is_better else ratings


def table_names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each file: its own without the suffix, or the whole path where two would be alike."""
    stems = [path.stem for path in paths]
    return [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]


def read_table(path: Path, numbers: Sequence[str]) -> "pd.DataFrame":
    """Read a whole table, in which these columns hold numbers."""
    import pandas as pd

    from map_score_fusion.errors import ScoreTableError
    from map_score_fusion.score_table import read_pieces

    pieces = list(read_pieces(path, numbers=numbers))
    if not pieces:
        raise ScoreTableError(f"{path}: holds no row")
    return pd.concat(pieces)


def show_figures(figures: "pd.DataFrame", confidence: float) -> None:
    """Print figures against ratings, a table for each table, best first."""
    intervals = "srcc_low" in figures.columns
    for name, group in figures.groupby("table", sort=False):
        table = new_table(
            "", "kind", "SRCC", "PLCC", "KRCC", "images", "left out", "note",
            right=("SRCC", "PLCC", "KRCC", "images", "left out"), title=str(name),
        )  # fmt: skip
        # By SRCC and not by its absolute value: a score that ranks the wrong way round is no good one.
        for row in group.sort_values("srcc", ascending=False, kind="stable").to_dict(orient="records"):
            shown = [_figure(row, figure) for figure in ("srcc", "plcc", "krcc")]
            table.add_row(
                cell(row["name"]),
                cell(row["kind"]),
                *shown,
                cell(row["images"]),
                cell(row["left_out"]),
                cell(row["note"]),
            )
        show_table(table)
    if intervals:
        typer.echo(f"In brackets: {confidence:.0%} bootstrap intervals over images.")


def say_if_upside_down(figures: "pd.DataFrame", mos: str) -> None:
    """Say where most figures are negative, which is what ratings with the other direction look like."""
    if (figures["srcc"] < 0).mean() > 0.5:
        say(
            f"most correlations with {mos} are negative: if lower values of it are better (a DMOS), give "
            "--mos-lower-is-better"
        )


def _figure(row: Mapping[Any, Any], figure: str) -> str:
    low = row.get(f"{figure}_low")
    if low is None or math.isnan(low):
        return cell(float(row[figure]))
    return f"{row[figure]:.3f} [dim]({low:.3f} to {row[f'{figure}_high']:.3f})[/dim]"
