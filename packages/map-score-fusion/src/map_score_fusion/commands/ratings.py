"""Tables of scores with human ratings, and how figures against ratings are shown."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from map_score_fusion.commands.terminal import cell, new_table, say, show_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FIGURES = ("srcc", "plcc", "krcc")
_WIDE = 120  # columns of a terminal that hold the intervals of all figures

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
    """Print figures against ratings, best first; on a narrow terminal with the interval of SRCC alone."""
    shown = ("srcc",) if sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE else FIGURES
    with_left_out, with_note = bool((figures["left_out"] > 0).any()), bool((figures["note"] != "").any())
    numbers = (*(figure.upper() for figure in FIGURES), "images", *(["left out"] if with_left_out else []))
    for name, group in figures.groupby("table", sort=False):
        table = new_table("", "kind", *numbers, *(["note"] if with_note else []), right=numbers, title=str(name))
        # By SRCC and not by its absolute value: a score that ranks the wrong way round is no good one.
        for row in group.sort_values("srcc", ascending=False, kind="stable").to_dict(orient="records"):
            cells = [_figure(row, figure, interval=figure in shown) for figure in FIGURES]
            left_out = [cell(row["left_out"])] if with_left_out else []
            note = [cell(row["note"])] if with_note else []
            table.add_row(cell(row["name"]), cell(row["kind"]), *cells, cell(row["images"]), *left_out, *note)
        show_table(table)
    if "srcc_low" in figures.columns:
        rest = "" if shown == FIGURES else " Those of all figures show on a wider terminal and on a pipe."
        typer.echo(f"In brackets: {confidence:.0%} bootstrap intervals over images.{rest}")


def say_if_upside_down(figures: "pd.DataFrame", mos: str) -> None:
    """Say where most figures are negative, which is what ratings with the other direction look like."""
    if (figures["srcc"] < 0).mean() > 0.5:
        say(
            f"most correlations with {mos} are negative: if lower values of it are better (a DMOS), give "
            "--mos-lower-is-better"
        )


def _figure(row: Mapping[Any, Any], figure: str, *, interval: bool) -> str:
    low = row.get(f"{figure}_low")
    if not interval or low is None or math.isnan(low):
        return cell(float(row[figure]))
    return f"{row[figure]:.3f} [dim]({low:.3f} to {row[f'{figure}_high']:.3f})[/dim]"
