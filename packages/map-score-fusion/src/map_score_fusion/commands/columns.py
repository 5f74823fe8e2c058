"""Which columns of a file are scores, so that neither a rating nor a label enters a fit unseen."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.terminal import say

if TYPE_CHECKING:
    import pandas as pd

ColumnsOption = Annotated[
    list[str] | None,
    typer.Option("--columns", metavar="COLUMN", help="A column of scores; may be repeated. All others are left out."),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="COLUMN", help="Leave this column out; may be repeated.")
]
HigherOption = Annotated[
    list[str] | None,
    typer.Option("--higher-is-better", metavar="COLUMN", help="Higher scores of it are better; may be repeated."),
]
LowerOption = Annotated[
    list[str] | None,
    typer.Option("--lower-is-better", metavar="COLUMN", help="Lower scores of it are better; may be repeated."),
]

_RATING_WORDS = frozenset({"mos", "dmos", "rating", "ratings", "subjective"})
_SPREAD_WORDS = frozenset({"std", "stdev", "sd", "var", "variance", "ci", "95"})


def looks_like_ratings(name: str) -> bool:
    """Whether a column's name says human ratings, or the spread of such: ``mos``, ``dmos_std``, ``var``, ``95_CI``."""
    words = set(re.findall(r"[a-z0-9]+", name.casefold()))
    return bool(words & _RATING_WORDS) or (bool(words) and words <= _SPREAD_WORDS)


def directions(higher: Sequence[str] | None, lower: Sequence[str] | None) -> dict[str, bool | None] | None:
    """Return the user's word on directions as `ScoreFusion` takes it."""
    from map_score_fusion.errors import ScoreTableError

    both = sorted(set(higher or ()) & set(lower or ()))
    if both:
        raise ScoreTableError(f"{both[0]!r} is in both --higher-is-better and --lower-is-better; leave it in one")
    said: dict[str, bool | None] = dict.fromkeys(higher or (), True)
    return said | dict.fromkeys(lower or (), False) or None


def score_columns(
    table: "pd.DataFrame",
    source: object,
    *,
    columns: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    mos: str | None = None,
) -> list[str]:
    """Return the columns of scores in a file, and say on standard error which others were left out, and why.

    Args:
        table: The file's content, or a sample of it.
        source: The file's name, for messages.
        columns: Those that the user names; without, all columns of numbers count except ratings and the spread of
            ratings, by their names, and whole numbers of no known metric (levels, counts, numbers of images).
        exclude: Those that the user leaves out.
        ids: Those that name the image.
        mos: The column of human ratings.

    Raises:
        ScoreTableError: A named column is not there, is a rating, or mixes numbers and text; or none is left.
    """
    from map_score_fusion.errors import ScoreTableError

    for option, names in (("--columns", columns), ("--exclude", exclude), ("--id-column", ids), ("--mos", [mos or ""])):
        for name in filter(None, names or ()):
            if name not in table.columns:
                raise ScoreTableError(
                    f"{source}: {option} names {name!r}, which is no column; the columns are "
                    f"{', '.join(map(str, table.columns))}"
                )
    if columns:
        rating = next((name for name in columns if name == mos or looks_like_ratings(name)), None)
        if rating is not None:
            raise ScoreTableError(
                f"{source}: --columns names {rating!r}, which is human ratings or by its name looks so; they must not "
                "enter a fit. If it is a metric's score, give the column another name"
            )
        chosen = list(dict.fromkeys(columns))
    else:
        left = {str(name) for name in (*(exclude or ()), *(ids or ()), mos) if name is not None}
        chosen = _all_scores(table, source, left)
    chosen = [name for name in chosen if name not in (exclude or ())]
    for name in chosen:
        _check_numbers(table[name], source)
    if not chosen:
        raise ScoreTableError(f"{source}: no column of scores is left; name them by --columns")
    return chosen


def _all_scores(table: "pd.DataFrame", source: object, left: set[str]) -> list[str]:
    import pandas as pd

    from map_score_fusion.directions import known_metric

    chosen: list[str] = []
    reasons: dict[str, list[str]] = {}
    for name in map(str, table.columns):
        column = table[name]
        if name in left:
            continue
        if looks_like_ratings(name) and known_metric(name) is None:
            reason = "human ratings, by the name"
        elif not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            if known_metric(name) is not None:
                chosen.append(name)  # text in it is an error and not a label
                continue
            _check_no_numbers(column, source)
            reason = "no numbers"
        elif column.isna().all():
            reason = "empty"
        elif pd.api.types.is_integer_dtype(column.dtype) and known_metric(name) is None:
            reason = "whole numbers and no known metric"
        else:
            chosen.append(name)
            continue
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        say(f"{source}: not used as scores ({reason}): {', '.join(names)}")
    return chosen


def _parsed(column: "pd.Series") -> "pd.Series":
    import pandas as pd

    return pd.to_numeric(column, errors="coerce")


def _check_numbers(column: "pd.Series", source: object) -> None:
    """Raise the error that names the first cell that is no number."""
    import pandas as pd

    from map_score_fusion.errors import ScoreTableError

    if pd.api.types.is_numeric_dtype(column.dtype):
        return
    wrong = column[_parsed(column).isna() & column.notna()]
    if len(wrong):
        raise ScoreTableError(
            f"{source}: column {column.name!r} holds {wrong.iloc[0]!r} in row {wrong.index[0]}, no number; write "
            "missing scores as empty cells, or leave the column out by --exclude"
        )


def _check_no_numbers(column: "pd.Series", source: object) -> None:
    """Raise an error for a column of text that is mostly numbers: a metric with some failures, not a label."""
    import pandas as pd

    from map_score_fusion.errors import ScoreTableError

    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return
    parsed = _parsed(column)
    present = column.notna()
    if parsed[present].notna().sum() > 0.5 * present.sum():
        wrong = column[parsed.isna() & present]
        raise ScoreTableError(
            f"{source}: column {column.name!r} is mostly numbers, but holds {wrong.iloc[0]!r} in row {wrong.index[0]}; "
            "write missing scores as empty cells, or say by --id-column or --exclude that it is no score"
        )
