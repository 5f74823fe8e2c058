"""Which columns of a table are scores, so that neither a rating nor a label enters a fit unseen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.column_numbers import column_numbers
from map_score_fusion.commands.terminal import terminal

if TYPE_CHECKING:
    import pandas as pd

MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics", "--columns", metavar="NAMES",
        help="The columns of scores, separated by commas; may be repeated. All others are left out.",
    ),
]  # fmt: skip
ExcludeOption = Annotated[
    list[str] | None, typer.Option("--exclude", metavar="NAMES", help="Leave these columns out, separated by commas.")
]
HigherOption = Annotated[
    list[str] | None,
    typer.Option("--higher-is-better", metavar="NAMES", help="Higher scores of them are better."),
]
LowerOption = Annotated[
    list[str] | None,
    typer.Option("--lower-is-better", metavar="NAMES", help="Lower scores of them are better."),
]
CoefficientOption = Annotated[
    list[str] | None,
    typer.Option(
        "--coefficient", metavar="NAME=NUMBER",
        help="A metric's exponent (weighted-product) or weight (weighted-sum); may be repeated.",
    ),
]  # fmt: skip

_DOUBTFUL = frozenset({"quality", "score", "scores", "value", "prediction", "pred", "predicted", "result", "y"})
"""Names, in small letters, that a metric's scores may have as well as people's ratings."""


def names_in(texts: Sequence[str] | None, table: "pd.DataFrame | None" = None) -> list[str]:
    """Return names that are separated by commas, or, where a table has a column of that very name, whole."""
    found = []
    for text in texts or ():
        whole = table is not None and text in table.columns
        found += [text] if whole else [name.strip() for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(found))


def directions(
    higher: Sequence[str] | None, lower: Sequence[str] | None, table: "pd.DataFrame"
) -> dict[str, bool | None] | None:
    """Return the user's word on directions as `ScoreFusion` takes it."""
    from map_score_fusion.errors import ScoreTableError

    upwards, downwards = names_in(higher, table), names_in(lower, table)
    both = sorted(set(upwards) & set(downwards))
    if both:
        raise ScoreTableError(f"{both[0]!r} is in both --higher-is-better and --lower-is-better; leave it in one")
    said: dict[str, bool | None] = dict.fromkeys(upwards, True)
    return said | dict.fromkeys(downwards, False) or None


def coefficients(texts: Sequence[str] | None) -> dict[str, float] | None:
    """Return the user's coefficients by name, None where there are none."""
    from map_score_fusion.errors import ScoreTableError

    found: dict[str, float] = {}
    for text in texts or ():
        name, equals, number = text.rpartition("=")
        try:
            found[name] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise ScoreTableError(f"--coefficient is {text!r}; it must be a name, = and a number, such as ssim=0.5")
    return found or None


def score_columns(
    table: "pd.DataFrame",
    source: object,
    *,
    metrics: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    mos: Sequence[str] = (),
) -> list[str]:
    """Return the columns of scores of a table, and say on standard error which others were left out, and why.

    Args:
        table: The table, or a sample of it.
        source: What it is called in messages.
        metrics: Those that the user names; without, all columns of numbers count except ratings and the spread of
            ratings, by their names, what other tools write beside a score, whole numbers of no known metric (levels,
            counts, numbers of images), and those that the user leaves out.
        exclude: Those that the user leaves out.
        ids: Those that name the image.
        mos: The columns of human ratings.

    Raises:
        ScoreTableError: A named column is not there, is a rating, or mixes numbers and text; a column may be scores as
            well as ratings; or none is left.
    """
    from map_score_fusion.column_names import looks_like_ratings
    from map_score_fusion.errors import ScoreTableError

    named, left_out = names_in(metrics, table), names_in(exclude, table)
    for option, names in (("--metrics", named), ("--exclude", left_out), ("--id-column", ids or ()), ("--mos", mos)):
        for name in names:
            if name not in table.columns:
                raise ScoreTableError(
                    f"{source}: {option} names {name!r}, which is no column; the columns are "
                    f"{', '.join(map(str, table.columns))}"
                )
    if named:
        rating = next((name for name in named if name in mos or looks_like_ratings(name)), None)
        if rating is not None:
            raise ScoreTableError(
                f"{source}: --metrics names {rating!r}, which is human ratings or by its name looks so; they must not "
                "enter a fit. If it is a metric's score, give the column another name"
            )
        chosen = named
    else:
        chosen = _all_scores(table, source, {*left_out, *(ids or ()), *mos})
    chosen = [name for name in chosen if name not in left_out]
    for name in chosen:
        _check_numbers(table[name], source)
    if not chosen:
        raise ScoreTableError(f"{source}: no column of scores is left; name them by --metrics")
    return chosen


def _all_scores(table: "pd.DataFrame", source: object, left: set[str]) -> list[str]:
    import pandas as pd

    from map_score_fusion.column_names import looks_like_a_tools_column, looks_like_ratings
    from map_score_fusion.directions import known_metric
    from map_score_fusion.errors import ScoreTableError

    chosen: list[str] = []
    reasons: dict[str, list[str]] = {}
    names = [str(name) for name in table.columns]
    # A quality with the ends of its interval is a tool's, such as defnet's, and nobody's rating.
    of_a_tool = {"quality", "lower", "upper"} <= {name.casefold() for name in names}
    for name in names:
        column = table[name]
        if name in left:
            continue
        if known_metric(name) is not None:
            chosen.append(name)  # text in it is an error and not a label
            continue
        if looks_like_ratings(name):
            reason = "human ratings, by the name"
        elif not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
            _check_no_numbers(column, source)
            reason = "no numbers"
        elif column.isna().all():
            reason = "empty"
        elif looks_like_a_tools_column(name) or (of_a_tool and name.casefold() in ("expected_quality", "quality_eq5")):
            reason = "what a tool writes beside its score, by the name"
        elif _whole_numbers(column):
            reason = "whole numbers and no known metric"
        elif name.casefold() in _DOUBTFUL and not (of_a_tool and name.casefold() == "quality"):
            raise ScoreTableError(
                f"{source}: column {name!r} may be a metric's scores or people's ratings; say which by --mos {name}, "
                f"--exclude {name}, or --metrics with the names of all metrics"
            )
        else:
            chosen.append(name)
            continue
        reasons.setdefault(reason, []).append(name)
    for reason, of_reason in reasons.items():
        terminal.say(f"{source}: not used as scores ({reason}): {', '.join(of_reason)}")
    return chosen


def _whole_numbers(column: "pd.Series") -> bool:
    """Whether a column holds whole numbers throughout, also where a gap has made floats of them."""
    import numpy as np

    values = column.dropna().to_numpy(dtype=np.float64)
    values = values[np.isfinite(values)]
    return bool(len(values) and (values == np.round(values)).all())


def _check_numbers(column: "pd.Series", source: object) -> None:
    """Raise the error that names the first cell that is no number."""
    import pandas as pd

    from map_score_fusion.errors import ScoreTableError

    if pd.api.types.is_numeric_dtype(column.dtype):
        return
    wrong = column[column_numbers(column).isna() & column.notna()]
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
    parsed = column_numbers(column)
    present = column.notna()
    wrong = column[parsed.isna() & present]
    if len(wrong) and parsed[present].notna().sum() > 0.5 * present.sum():
        raise ScoreTableError(
            f"{source}: column {column.name!r} is mostly numbers, but holds {wrong.iloc[0]!r} in row {wrong.index[0]}; "
            "write missing scores as empty cells, or say by --id-column or --exclude that it is no score"
        )
