"""Files of scores, read in pieces, as a sample, or whole and joined."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from map_score_fusion.column_numbers import column_numbers
from map_score_fusion.errors import ScoreTableError
from map_score_fusion.score_table import listed
from map_score_fusion.table_format import CsvFormat, csv_format
from map_score_fusion.table_joins import joined
from map_score_fusion.table_shape import shape_of, to_wide

_MISSING = ("", "-", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "-NaN", "NULL", "null", "None", "<NA>")
"""What a missing number is written as in CSV files."""

PARQUET_SUFFIXES: Final = (".parquet", ".pq")

_ROWS_FOR_SHAPE = 1000  # at a table's beginning, from which its shape is told

Say = Callable[[str], None]


def read_pieces(
    path: str | Path,
    rows: int = 100_000,
    *,
    columns: Sequence[str] | None = None,
    numbers: Sequence[str] | None = None,
    say: Say | None = None,
) -> Iterator[pd.DataFrame]:
    """Read a CSV or Parquet file piece by piece, so that a table larger than memory can be predicted.

    Args:
        path: File with a header; its name ends in ``.parquet`` or ``.pq``, or else it is read as CSV (also ``.gz``).
            What separates the fields (``,`` ``;`` tab ``|``) and whether numbers have a decimal comma is found out
            (`table_format`); a table with a row a score or a row a metric is turned (`table_shape`), and then held
            in memory whole.
        rows: Most rows of a piece.
        columns: Names of the columns to read; None for all.
        numbers: Names of the columns that hold numbers. Of a CSV file all others are then read as the text that stands
            there, so that a label ``007`` or ``NA`` stays what it is. None to tell by the content.
        say: Told in a sentence how a table of another shape than a row an image was read.

    Yields:
        DataFrames whose index counts the file's rows from 0 on, so that errors name rows of the file.

    Raises:
        ScoreTableError: There is no such file, it cannot be read as a table, it has no header or no row, or it lacks a
            column.
        ImportError: A Parquet file without pyarrow, which the extra ``parquet`` installs.
    """
    path = Path(path)
    if rows < 1:
        raise ScoreTableError(f"rows is {rows}; a piece needs at least 1 row")
    if not path.is_file():
        raise ScoreTableError(f"{path}: there is no such file")
    parquet = path.suffix.lower() in PARQUET_SUFFIXES
    style = None if parquet else csv_format(path)
    head = next(_pieces(path, style, _ROWS_FOR_SHAPE, None, None), None)
    if head is None or head.empty:
        raise ScoreTableError(f"{path}: holds no row")
    shape = shape_of(head, path)
    wanted = None if columns is None else list(columns)
    if shape.kind == "wide":
        pieces = _pieces(path, style, rows, wanted, numbers)
    else:
        if say is not None:
            say(f"{path}: {shape}")
        scores = None
        if numbers is not None:  # all others are then read as text, as in a wide table
            scores = [shape.score] if shape.kind == "long" else [str(name) for name in head if name != shape.metric]
        whole = to_wide(pd.concat(list(_pieces(path, style, rows, None, scores))), shape, path)
        _check_columns(path, [str(name) for name in whole.columns], wanted)
        whole = whole if wanted is None else whole[wanted]
        pieces = (whole.iloc[start : start + rows] for start in range(0, len(whole), rows))
    first = 0
    for piece in pieces:
        piece.index = pd.RangeIndex(first, first + len(piece))
        first += len(piece)
        for name in numbers or ():
            if name in piece.columns and not pd.api.types.is_numeric_dtype(piece[name].dtype):
                piece[name] = _parsed(piece[name], path, decimal="." if style is None else style.decimal)
        yield piece


def _parsed(column: "pd.Series[Any]", path: Path, decimal: str) -> "pd.Series[float]":
    """Read a column of text as numbers, or raise the error that names its first cell that is none."""
    plain = column if decimal == "." else column.str.replace(decimal, ".", regex=False)
    parsed: pd.Series[float] = column_numbers(plain)
    wrong = column[parsed.isna() & column.notna()]
    if len(wrong):
        raise ScoreTableError(
            f"{path}: row {wrong.index[0]} of column {column.name!r} holds {wrong.iloc[0]!r}, which is no number; "
            "leave missing scores empty"
        )
    return parsed.astype(np.float64)


def _pieces(
    path: Path, style: CsvFormat | None, rows: int, columns: list[str] | None, numbers: Sequence[str] | None
) -> Iterator[pd.DataFrame]:
    """Read a file as it lies, piece by piece."""
    if style is None:
        return _parquet_pieces(path, rows, columns)
    return _csv_pieces(path, style, rows, columns, numbers)


def _csv_pieces(
    path: Path, style: CsvFormat, rows: int, columns: list[str] | None, numbers: Sequence[str] | None
) -> Iterator[pd.DataFrame]:
    _check_columns(path, list(style.header), columns)
    options: dict[str, Any] = {"sep": style.delimiter, "decimal": style.decimal}
    if numbers is not None:
        options["dtype"] = {name: str for name in style.header if name not in numbers}
        options["keep_default_na"] = False
        options["na_values"] = dict.fromkeys(numbers, _MISSING)
    try:
        with pd.read_csv(
            path, chunksize=rows, usecols=columns, low_memory=False, encoding="utf-8-sig", **options
        ) as reader:
            yield from reader
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OverflowError, OSError) as error:
        raise ScoreTableError(f"{path}: cannot be read as CSV with a header: {error}") from error


def _parquet_pieces(path: Path, rows: int, columns: list[str] | None) -> Iterator[pd.DataFrame]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError(f'{path}: Parquet needs pyarrow: pip install "map-score-fusion[parquet]"') from error
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, columns)
            for batch in file.iter_batches(rows, columns=columns):
                # The index that a DataFrame was written with comes back as the column that it is in the file.
                yield batch.to_pandas(ignore_metadata=True)
    except (ArrowException, UnicodeDecodeError, OSError) as error:
        said = str(error).splitlines()
        raise ScoreTableError(f"{path}: cannot be read as Parquet: {said[0] if said else error!r}") from error


def _check_columns(path: Path, present: list[str], wanted: list[str] | None) -> None:
    repeated = {name for name in present if name and present.count(name) > 1}
    if repeated:
        raise ScoreTableError(f"{path}: two columns are named {min(repeated)!r}; each needs a name of its own")
    missing = [name for name in wanted or () if name not in present]
    if missing:
        raise ScoreTableError(
            f"{path}: there is no column {listed(missing, quoted=True)}; the columns are {', '.join(map(str, present))}"
        )


def sample_rows(
    path: str | Path, rows: int, random_state: int | None = None, *, say: Say | None = None
) -> pd.DataFrame:
    """Read at most so many rows of a CSV or Parquet file, drawn evenly without reading it whole into memory.

    Args:
        path: File, as for `read_pieces`.
        rows: Most rows to keep. A file with no more is read as it is.
        random_state: Seed of the draw.
        say: As for `read_pieces`.

    Returns:
        The rows in the file's order; the index says where in the file they were.

    Raises:
        ScoreTableError: As `read_pieces`, or the file holds no row.
    """
    generator = np.random.default_rng(random_state)
    kept: pd.DataFrame | None = None
    keys = np.empty(0)
    for piece in read_pieces(path, say=say):
        keys = np.concatenate([keys, generator.random(len(piece))])
        kept = piece if kept is None else pd.concat([kept, piece])
        if len(kept) > rows:
            # Rows with the smallest of keys that are drawn for each: each row is as likely as any other to stay.
            smallest = np.sort(np.argpartition(keys, rows)[:rows])
            kept, keys = kept.iloc[smallest], keys[smallest]
    if kept is None or kept.empty:
        raise ScoreTableError(f"{path}: holds no row")
    return kept


def read_tables(
    paths: Sequence[str | Path], *, numbers: Sequence[str] | None = None, say: Say | None = None
) -> pd.DataFrame:
    """Read the scores of the same images from one file or from several, each with other columns.

    Args:
        paths: Files, as for `read_pieces`. Several are joined by the names of the images (`table_joins`); an image that
            is not in all of them lacks the scores of the rest.
        numbers: As for `read_pieces`; a name need not be in every file.
        say: Told how a table was read or joined, a sentence at a time.

    Raises:
        ScoreTableError: As `read_pieces`; or the files do not name the same images.
    """
    tables = []
    for path in map(Path, paths):
        pieces = list(read_pieces(path, numbers=numbers, say=say))
        tables.append((path, pd.concat(pieces)))
    if len(tables) == 1:
        return tables[0][1]
    whole, how = joined(tables)
    if say is not None:
        say(how)
    return whole
