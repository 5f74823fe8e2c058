"""Tables of scores: what is read of a DataFrame or an array, and how errors name its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.methods.base import FloatArray

Rows: TypeAlias = "Sequence[Any] | pd.Index[Any]"
"""Labels of rows, by position."""

FAR = 0.25
"""How far outside the training range a score is far outside, in widths of that range."""

SHOWN = 5
"""How many rows or columns an error names before it counts the rest."""


@dataclass(frozen=True)
class ScoreTable:
    """Scores as float64, with the names that errors and results use.

    Attributes:
        values: Scores, shape (N, M); NaN where missing, infinities as they came.
        names: Name of each column: the DataFrame's, or x0, x1, ... where it has none.
        rows: Label of each row: the DataFrame's index, or 0, 1, ...
    """

    values: FloatArray
    names: tuple[str, ...]
    rows: Rows


def has_names(table: object) -> bool:
    """Whether a table is a DataFrame whose columns are all named by text, as scikit-learn counts them."""
    return isinstance(table, pd.DataFrame) and all(isinstance(name, str) for name in table.columns)


def read_scores(table: Any, *, estimator: Any = None) -> ScoreTable:
    """Read a table of numbers.

    Args:
        table: DataFrame, or anything that numpy makes a two-dimensional array of, shape (N, M). Missing scores are NaN,
            None or `pandas.NA`; infinities are allowed.
        estimator: Whose name scikit-learn's own messages give.

    Raises:
        ScoreTableError: A cell holds text, a complex number or another thing that is no score; two columns have one
            name.
        TypeError: A cell holds something that numpy cannot take for a number at all, or the table is sparse.
        ValueError: The table has no row or no column, or is not two-dimensional (scikit-learn's messages).
    """
    if isinstance(table, pd.DataFrame):
        named = has_names(table)
        names = tuple(table.columns) if named else tuple(f"x{index}" for index in range(table.shape[1]))
        repeated = table.columns[table.columns.duplicated()]
        if len(repeated):
            raise ScoreTableError(f"two columns are named {repeated[0]!r}; each metric needs a name of its own")
        rows: Rows = table.index
        columns = [_numbers(table.iloc[:, index], name, rows) for index, name in enumerate(names)]
        values: Any = np.column_stack(columns) if columns else np.empty(table.shape)
    else:
        values = table
        if not hasattr(table, "sparse") and not hasattr(table, "tocsr"):
            values = np.asarray(table)
            if values.dtype.kind not in "bfiu" and values.ndim == 2:
                cells = np.asarray(table, dtype=object)  # a list of numbers and texts would become texts throughout
                rows = range(len(cells))
                columns = [_numbers(pd.Series(column), f"x{index}", rows) for index, column in enumerate(cells.T)]
                values = np.column_stack(columns) if columns else np.empty(cells.shape)
        rows = range(len(values)) if np.ndim(values) else ()
        names = ()
    checked: FloatArray = check_array(values, dtype=np.float64, ensure_all_finite=False, estimator=estimator)
    return ScoreTable(checked, names or tuple(f"x{index}" for index in range(checked.shape[1])), rows)


def _numbers(column: "pd.Series[Any]", name: str, rows: Rows) -> FloatArray:
    """One column (N,) as float64, or the error that names its first cell that is no number."""
    if pd.api.types.is_complex_dtype(column.dtype):
        raise ScoreTableError(f"Complex data not supported: column {name!r} holds complex numbers, not scores")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    cells = column.to_numpy(dtype=object)
    missing = np.asarray(pd.isna(cells))
    numbers = np.full(len(cells), np.nan)
    texts = [position for position in np.flatnonzero(~missing).tolist() if isinstance(cells[position], str | bytes)]
    if texts:
        # One bad cell makes texts of all numbers that a CSV file has beside it: name that one.
        bad = next((position for position in texts if not _is_number(cells[position])), texts[0])
        raise ScoreTableError(
            f"row {rows[bad]!r} of column {name!r} holds {cells[bad]!r}, which is no number; pass the columns of "
            "scores only, missing scores as NaN"
        )
    for position in np.flatnonzero(~missing).tolist():
        cell = cells[position]
        place = f"row {rows[position]!r} of column {name!r}"
        if isinstance(cell, complex | np.complexfloating):
            raise ScoreTableError(f"Complex data not supported: {place} holds {cell!r}, not a score")
        if isinstance(cell, np.datetime64 | np.timedelta64 | pd.Timestamp | pd.Timedelta):
            raise ScoreTableError(f"{place} holds {cell!r}, a time and no score; pass the columns of scores only")
        try:
            numbers[position] = float(cell)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{place} holds no score: {error}") from error
    return numbers


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def listed(labels: Sequence[Any] | NDArray[Any], *, quoted: bool = False) -> str:
    """Write some labels as a sentence does: the first few, then how many more."""
    shown = [repr(label) if quoted else str(label) for label in labels[:SHOWN]]
    rest = len(labels) - len(shown)
    if rest:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


@dataclass(frozen=True)
class TrainingColumns:
    """What the training table said of its columns, and so how the scores of any table are turned.

    Attributes:
        names: Name of each of the M metrics.
        low: Smallest finite training score, shape (M,); NaN where there is none.
        high: Largest finite training score, shape (M,).
        signs: 1 where higher = better, -1 where lower = better, 0 for a metric that told nothing, shape (M,).
    """

    names: tuple[str, ...]
    low: FloatArray
    high: FloatArray
    signs: FloatArray

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which metrics a method sees, shape (M,)."""
        return np.not_equal(self.signs, 0.0)

    @property
    def used_names(self) -> tuple[str, ...]:
        """Names of the metrics that a method sees."""
        return tuple(name for name, sign in zip(self.names, self.signs, strict=True) if sign)

    def oriented(self, values: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
        """Turn scores (N, M) as a method sees them, (N, used), with the number of infinite ones clipped, (M,)."""
        clipped, counts = clip_infinities(values, self.low, self.high)
        used = self.used
        return clipped[:, used] * self.signs[used], np.where(used, counts, 0)

    def outside(self, values: FloatArray) -> NDArray[np.bool_]:
        """Return which finite scores (N, M) lie far outside the training range: further than `FAR` of its width.

        Metrics that told nothing in training have no range, and none of their scores does.
        """
        margin = FAR * (self.high / 2.0 - self.low / 2.0) * 2.0  # halves: the largest floats have no difference
        with np.errstate(invalid="ignore", over="ignore"):
            far = (values < self.low - margin) | (values > self.high + margin)
        found: NDArray[np.bool_] = far & np.isfinite(values) & self.used
        return found

    def widened(self, of_used: FloatArray, fill: float) -> FloatArray:
        """Put what a method said of its metrics, (N, used), in the places of all, (N, M)."""
        whole = np.full((len(of_used), len(self.names)), fill)
        whole[:, self.used] = of_used
        return whole


def finite_range(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest finite score of each column, (M,) each; NaN where there is none."""
    finite = np.isfinite(values)
    low = np.min(values, axis=0, initial=np.inf, where=finite)
    high = np.max(values, axis=0, initial=-np.inf, where=finite)
    some = finite.any(axis=0)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def clip_infinities(values: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Put infinite scores to the ends of a finite range.

    Args:
        values: Scores (N, M); NaN stays.
        low: What -inf becomes, shape (M,).
        high: What +inf becomes, shape (M,).

    Returns:
        The finite or missing scores (N, M), the same array where nothing was infinite, and the number of scores that
        were clipped in each column, (M,).
    """
    infinite = np.isinf(values)
    counts = infinite.sum(axis=0)
    if not counts.any():
        return values, counts
    return np.where(infinite, np.where(values > 0, high, low), values), counts
