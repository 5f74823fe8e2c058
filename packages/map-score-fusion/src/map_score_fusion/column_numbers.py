"""Columns of text as numbers."""

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def column_numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Read a column as numbers; what is none is NaN, and what is beyond double precision infinite.

    pandas' own way raises an error at some whole numbers of more than 308 digits.

    Example:
        >>> import pandas as pd
        >>> column_numbers(pd.Series(["1", "9" * 400])).tolist()
        [1.0, inf]
    """
    import pandas as pd

    try:
        numbers: pd.Series[float] = pd.to_numeric(column, errors="coerce")
    except OverflowError:
        numbers = column.map(_number)
    return numbers


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except OverflowError:  # of a whole number, which pandas reads without an end
        return math.inf if cell > 0 else -math.inf
    except (TypeError, ValueError):
        return math.nan
