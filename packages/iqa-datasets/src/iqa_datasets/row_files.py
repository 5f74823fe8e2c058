"""Writing rows of results: a table, CSV, JSON or JSON lines on standard output, a file by its suffix."""

import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from iqa_datasets.atomic_files import replacing
from iqa_datasets.printed_tables import OutputFormat, cell, default_format, new_table, show_table

SUFFIXES: Final = (".csv", ".json", ".jsonl", ".parquet")
"""Suffixes by which ``--out`` chooses the format of a file."""

Row = Mapping[str, Any] | Sequence[Any]


def write_rows(
    rows: Iterable[Row],
    columns: Sequence[str],
    *,
    out: str | os.PathLike[str] | None = None,
    output_format: OutputFormat | str | None = None,
) -> int:
    """Write rows of results.

    Numbers are written in full. What is not known (None, NaN) is an empty cell in CSV and ``null`` in JSON, which has
    neither NaN nor infinities; those of CSV are ``inf`` and ``-inf``. Names that are not UTF-8 are written as the bytes
    that they are.

    Args:
        rows: mappings by column, or sequences in their order.
        columns: the columns to write.
        out: a file, whole or not at all; its suffix chooses among `SUFFIXES`. A device or pipe gets ``output_format``.
        output_format: how to write to standard output; by default a table on a terminal and CSV elsewhere.

    Returns:
        The number of rows.

    Raises:
        ValueError: the suffix is none of `SUFFIXES`.
        ImportError: Parquet is asked for and pyarrow is not installed.
        OSError: it cannot be written.
    """
    table = [_in_order(row, columns) for row in rows]
    if out is None:
        chosen = output_format or default_format()
        if chosen == OutputFormat.table:
            _show(table, columns)
        else:
            _write_to_standard_output(_as_text(table, columns, str(chosen)))
        return len(table)
    path = Path(out)
    suffix = path.suffix.lower()
    special = path.exists() and not path.is_file()
    if special and suffix not in SUFFIXES:
        suffix = f".{OutputFormat.csv if output_format in (None, OutputFormat.table) else output_format}"
    if suffix not in SUFFIXES:
        raise ValueError(f"--out must end in {', '.join(SUFFIXES)}, got {path}")
    with replacing(path) as part:
        if suffix == ".parquet":
            _write_parquet(table, columns, part)
        else:
            part.write_bytes(_as_text(table, columns, suffix[1:]).encode("utf-8", "surrogateescape"))
    return len(table)


def _in_order(row: Row, columns: Sequence[str]) -> list[Any]:
    values = [row[column] for column in columns] if isinstance(row, Mapping) else list(row)
    if len(values) != len(columns):
        raise ValueError(f"a row has {len(values)} values for {len(columns)} columns")
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    """Return a value of Python's own: numpy's numbers and pandas' missing values have their own ways to print."""
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_text(table: list[list[Any]], columns: Sequence[str], kind: str) -> str:
    if kind == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(table)
        return stream.getvalue()
    records = [dict(zip(columns, map(_finite, row), strict=True)) for row in table]
    if kind == "jsonl":
        return "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
    return f"{json.dumps(records, ensure_ascii=False, indent=2)}\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _write_to_standard_output(text: str) -> None:
    if hasattr(sys.stdout, "buffer"):
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()
    else:  # a stream of text that a caller has put in its place
        sys.stdout.write(text)


def _write_parquet(table: list[list[Any]], columns: Sequence[str], path: Path) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: install iqa-datasets[parquet], or write .csv") from error
    content = {column: [row[index] for row in table] for index, column in enumerate(columns)}
    pyarrow.parquet.write_table(pyarrow.table(content), path)


def _show(table: list[list[Any]], columns: Sequence[str]) -> None:
    numbers = [
        column
        for index, column in enumerate(columns)
        if any(isinstance(row[index], int | float) for row in table)
        and all(row[index] is None or isinstance(row[index], int | float) for row in table)
    ]
    shown = new_table(*columns, right=numbers)
    for row in table:
        shown.add_row(*map(cell, row))
    show_table(shown)
