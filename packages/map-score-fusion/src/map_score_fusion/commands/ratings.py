"""Tables of scores with human ratings, and how figures against ratings are shown."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from map_score_fusion.commands.terminal import terminal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

FIGURES = ("srcc", "plcc", "krcc")
_WIDE = 120  # columns of a terminal that hold the intervals of all figures

MosOption = Annotated[
    list[str],
    typer.Option(
        "--mos", metavar="[FILE:][-]COLUMN",
        help="The column of human ratings, with - before it where lower ratings are better (a DMOS mostly). For one of "
        "several files write its name before: --mos tid.csv:mos --mos csiq.csv:-dmos.",
    ),
]  # fmt: skip
MosLowerOption = Annotated[
    bool, typer.Option("--mos-lower-is-better", help="The same as - before every column of ratings.")
]
GroupsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--groups", metavar="[FILE:]COLUMN",
        help="The column that names each image's reference: intervals are then over references, as they must be where "
        "several images have one.",
    ),
]  # fmt: skip
ResamplesOption = Annotated[int, typer.Option("--resamples", min=0, help="Resamples for the intervals; 0 for none.")]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="What the intervals are for.")]


@dataclass(frozen=True)
class RatedFile:
    """A table with ratings.

    Attributes:
        name: What it is called: the file's name without the suffix, or the whole path where two would be alike.
        path: Where it is.
        table: Its content.
        ratings: Ratings turned to higher = better, (N,), NaN where missing.
        groups: What tells each image's reference, (N,), where asked for.
        mos: The column that the ratings are in.
    """

    name: str
    path: Path
    table: "pd.DataFrame"
    ratings: "NDArray[np.float64]"
    groups: "NDArray[Any] | None"
    mos: str


def read_rated(
    paths: Sequence[Path],
    mos: Sequence[str],
    groups: Sequence[str] | None,
    *,
    metrics: Sequence[str],
    lower_is_better: bool = False,
) -> list[RatedFile]:
    """Read tables of scores with their ratings.

    Args:
        paths: Files, each a table of its own.
        mos: The user's words on ratings, as `MosOption` describes them.
        groups: The user's words on references, as `GroupsOption` describes them.
        metrics: The columns of scores.
        lower_is_better: Whether every rating is better when lower.

    Raises:
        ScoreTableError: A file cannot be read, a word is about no file or names no column, or a file has no ratings.
    """
    from map_score_fusion.errors import ScoreTableError

    of_mos, of_groups = said_of_files("--mos", mos, paths), said_of_files("--groups", groups or (), paths)
    found = []
    for name, path in zip(table_names(paths), paths, strict=True):
        if of_mos[path] is None:
            raise ScoreTableError(f"{path}: its column of ratings is not said; add --mos {path.name}:COLUMN")
        header = _header(path)
        column, lower = _column("--mos", str(of_mos[path]), path, header)
        table = read_table(path, [*metrics, column])
        ratings = table[column].to_numpy(dtype="float64")
        labels = None
        if of_groups[path] is not None:
            group, _ = _column("--groups", str(of_groups[path]), path, header)
            labels = table[group].astype(str).to_numpy()
        found.append(RatedFile(name, path, table, -ratings if lower or lower_is_better else ratings, labels, column))
    return found


def said_of_files(option: str, texts: Sequence[str], paths: Sequence[Path]) -> dict[Path, str | None]:
    """Return what was said of each file: for it by its name, or else for all; None where nothing was."""
    from map_score_fusion.errors import ScoreTableError

    special: dict[Path, str] = {}
    general: list[str] = []
    for text in texts:
        of = [
            path for path in paths if any(text.startswith(f"{prefix}:") for prefix in (str(path), path.name, path.stem))
        ]
        for path in of:
            prefix = max((one for one in (str(path), path.name, path.stem) if text.startswith(f"{one}:")), key=len)
            if path in special:
                raise ScoreTableError(f"{option} is given twice for {path}")
            special[path] = text[len(prefix) + 1 :]
        if not of:
            general.append(text)
    if len(general) > 1:
        raise ScoreTableError(
            f"{option} is given as {' and as '.join(general)}; where files differ, write a file's name before it, "
            f"such as {option} {paths[0].name}:{general[0]}"
        )
    return {path: special.get(path, general[0] if general else None) for path in paths}


def _column(option: str, text: str, path: Path, header: Sequence[str]) -> tuple[str, bool]:
    """Return the column that is meant, and whether there is a minus before it."""
    from map_score_fusion.errors import ScoreTableError

    if text in header:
        return text, False
    if text.startswith("-") and text[1:] in header:
        return text[1:], True
    raise ScoreTableError(
        f"{path}: {option} names {text.removeprefix('-')!r}, which is no column; the columns are {', '.join(header)}"
    )


def _header(path: Path) -> list[str]:
    from map_score_fusion.table_files import read_pieces

    return [str(name) for name in next(read_pieces(path, 1)).columns]


def table_names(paths: Sequence[Path]) -> list[str]:
    """Return a short name for each file: its own without the suffix, or the whole path where two would be alike."""
    stems = [path.stem for path in paths]
    return [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]


def read_table(path: Path, numbers: Sequence[str]) -> "pd.DataFrame":
    """Read a whole table, in which these columns hold numbers."""
    from map_score_fusion.table_files import read_tables

    return read_tables([path], numbers=numbers, say=terminal.say)


def show_figures(figures: "pd.DataFrame", confidence: float, *, over: str) -> None:
    """Print figures against ratings, best first; on a narrow terminal with the interval of SRCC alone.

    Args:
        figures: As of `map_score_fusion.Evaluation`, perhaps with the differences of a comparison.
        confidence: What the intervals are for.
        over: What was resampled, ``"images"`` or ``"references"``.
    """
    shown = ("srcc",) if sys.stdout.isatty() and shutil.get_terminal_size().columns < _WIDE else FIGURES
    with_left_out, with_note = bool((figures["left_out"] > 0).any()), bool((figures["note"] != "").any())
    difference = "srcc_difference" in figures.columns
    against = next(iter(figures["against"].dropna()), "") if difference else ""
    numbers = (*(figure.upper() for figure in FIGURES), *(["SRCC above"] if difference else []), "images")
    numbers = (*numbers, *(["left out"] if with_left_out else []))
    cell = terminal.cell
    for name, group in figures.groupby("table", sort=False):
        table = terminal.new_table(
            "", "kind", *numbers, *(["note"] if with_note else []), right=numbers, title=str(name)
        )
        # By SRCC and not by its absolute value: a score that ranks the wrong way round is no good one.
        for row in group.sort_values("srcc", ascending=False, kind="stable").to_dict(orient="records"):
            cells = [_figure(row, figure, interval=figure in shown) for figure in FIGURES]
            above = [_figure(row, "srcc_difference", interval=True)] if difference else []
            left_out = [cell(row["left_out"])] if with_left_out else []
            note = [cell(row["note"])] if with_note else []
            table.add_row(cell(row["name"]), cell(row["kind"]), *cells, *above, cell(row["images"]), *left_out, *note)
        terminal.show_table(table)
    if "srcc_low" in figures.columns:
        rest = "" if shown == FIGURES else " Those of all figures show on a wider terminal and on a pipe."
        typer.echo(f"In brackets: {confidence:.0%} bootstrap intervals over {over}.{rest}")
    if difference:
        typer.echo(f"SRCC above: that of the row less that of {against}, both in the same resamples.")


def say_if_upside_down(figures: "pd.DataFrame", files: Sequence[RatedFile]) -> None:
    """Say of which tables most figures are negative, which is what ratings with the other direction look like."""
    for file in files:
        rows = figures[figures["table"] == file.name]
        if len(rows) and (rows["srcc"] < 0).mean() > 0.5:
            terminal.say(
                f"{file.path}: most correlations with {file.mos} are negative: if lower values of it are better (a "
                f"DMOS), write --mos {file.path.name}:-{file.mos}"
            )


def say_if_images_share_references(files: Sequence[RatedFile], resamples: int) -> None:
    """Say where a table names references and intervals are over images all the same: they are too narrow."""
    if not resamples:
        return
    for file in files:
        names = [str(name) for name in file.table.columns if _names_references(str(name))]
        if file.groups is None and names and file.table[names[0]].nunique() < len(file.table) / 2:
            terminal.say(
                f"{file.path}: {file.table[names[0]].nunique():,} references by the column {names[0]!r} have "
                f"{len(file.table):,} images, so that intervals over images are too narrow; add --groups "
                f"{file.path.name}:{names[0]}"
            )


def _names_references(name: str) -> bool:
    return name.casefold().replace("-", "_") in {"reference", "ref", "ref_img", "ref_image", "reference_image", "scene"}


def _figure(row: Mapping[Any, Any], figure: str, *, interval: bool) -> str:
    low, value = row.get(f"{figure}_low"), row[figure]
    if value is None or math.isnan(value):
        return ""
    text = f"{value:+.3f}" if figure.endswith("difference") else terminal.cell(float(value))
    if not interval or low is None or math.isnan(low):
        return text
    bounds = "{:+.3f} to {:+.3f}" if figure.endswith("difference") else "{:.3f} to {:.3f}"
    return f"{text} [dim]({bounds.format(low, row[f'{figure}_high'])})[/dim]"
