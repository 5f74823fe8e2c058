"""Options of the commands that read ratings of one's own, and what they come to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from defnet.data.ratings import Ratings

OWN_SPLIT = "seeded-1:0.7/0.15/0.15"
"""The session of ratings that say no parts: validation and held-out part of the same size, disjoint by content."""

RatingsTable = Annotated[
    Path | None,
    typer.Option(
        help="A table of ratings (.csv, .tsv, .xlsx, .xls) with a row of titles, one photograph a row.", metavar="FILE"
    ),
]
Images = Annotated[
    Path | None,
    typer.Option(help="Folder that the names in --ratings start in; the table's own by default.", metavar="DIR"),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="Title of the column that holds `image`, `rating`, `std`, `count`, `reference`, `content` (what must stay "
        "together), `scenes`, `distortion` or `part`; not needed where the title is that word. May be given again.",
        metavar="KIND=TITLE",
    ),
]
Range = Annotated[
    tuple[float, float] | None,
    typer.Option("--range", help="Lowest and highest rating that raters could give.", metavar="LOW HIGH"),
]
LowerIsBetter = Annotated[
    bool | None,
    typer.Option(
        "--lower-is-better/--higher-is-better",
        help="Which end of the range is better: the higher, if not said, unless the title leaves it open.",
        show_default=False,
    ),
]
Name = Annotated[
    str | None, typer.Option(help="What the ratings are called; the table's name by default.", metavar="NAME")
]
SessionOption = Annotated[
    str | None,
    typer.Option(
        help="Split into parts: `seeded-SEED[:TRAIN/VAL/TEST]`, disjoint by content and look, or `official`, a column "
        f"of parts. By default that column, if there is one, else `{OWN_SPLIT}`.",
        metavar="SESSION",
    ),
]


def ratings_of(
    table: Path,
    images: Path | None,
    column: list[str] | None,
    limits: tuple[float, float] | None,
    lower_is_better: bool | None,
    name: str | None,
) -> "Ratings":
    """The ratings that the options describe.

    Raises:
        DataError: something is not said, said twice, or wrong.
    """
    from defnet.data.ratings import declare_ratings
    from defnet.errors import DataError

    columns: dict[str, str] = {}
    for said in column or ():
        kind, equals, title = said.partition("=")
        if not (kind and equals and title):
            raise DataError(f"--column must be KIND=TITLE, such as --column rating=MOS, got {said!r}")
        if kind in columns:
            raise DataError(f"--column {kind} is given twice, {columns[kind]!r} and {title!r}")
        columns[kind] = title
    return declare_ratings(table, images, scale=limits, lower_is_better=lower_is_better, columns=columns, name=name)
