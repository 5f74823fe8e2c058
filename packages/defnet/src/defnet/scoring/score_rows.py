"""Scores as rows of text: CSV, JSON lines, and a JSON array, written as they come."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, Literal, Protocol, TextIO

from defnet.finite_json import to_json
from defnet.scoring.scores import COLUMNS, Score, flat_row

RowFormat = Literal["csv", "jsonl"]

# File names are bytes on most systems; those that are not UTF-8 survive the round trip like this.
ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
_DECIMALS = 6

HEADER = ",".join(COLUMNS) + "\n"
"""First line of a CSV table."""


class ScoreSink(Protocol):
    """Anything that takes scores one by one."""

    def write(self, score: Score) -> None:
        """Take one score."""

    def close(self) -> None:
        """Take no more."""


def row_of(score: Score) -> dict[str, Any]:
    """A score as a row: flat, its figures to six decimals."""
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in flat_row(score).items()
    }


def line_of(row: dict[str, Any], row_format: RowFormat) -> str:
    """A row as one line that ends in a line feed."""
    if row_format == "csv":
        return csv_line(row.values())
    warnings = row["warnings"]
    return to_json(row | {"warnings": warnings.split("; ") if warnings else []}) + "\n"


def csv_line(values: Iterable[Any]) -> str:
    """One line of RFC 4180 ended by a line feed.

    Python's own writer leaves a carriage return bare unless lines end in one (until 3.13), and readers then see two
    rows. Figures that do not exist are empty.
    """
    fields = ["" if value is None or value != value else str(value) for value in values]
    for number, field in enumerate(fields):
        if set(field) & set(',"\r\n'):
            fields[number] = '"' + field.replace('"', '""') + '"'
    return ",".join(fields) + "\n"


def parse_rows(text: str, row_format: RowFormat) -> tuple[list[dict[str, Any]], str]:
    """Read back what was written, without what a killed run left of a last row.

    Returns:
        The rows, each with the columns of `Score` (figures of CSV as text), and the text of the whole rows.

    Raises:
        ValueError: it is no table of scores of this version; the message says what is wrong and where.
    """
    return _parse_csv(text) if row_format == "csv" else _parse_json_lines(text)


def _parse_json_lines(text: str) -> tuple[list[dict[str, Any]], str]:
    whole = text[: text.rfind("\n") + 1]
    rows = []
    for number, line in enumerate(whole.split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
            missing = [column for column in COLUMNS if column not in row]
        except (ValueError, TypeError):
            raise ValueError(f"line {number} is not a row of scores") from None
        if not isinstance(row, dict) or "path" in missing or "quality" in missing:
            raise ValueError(f"line {number} is not a row of scores")
        if missing:
            raise ValueError(f"line {number} has no {missing[0]!r}: an earlier version wrote it")
        rows.append(row | {"warnings": "; ".join(row["warnings"])})
    return rows, whole


def _parse_csv(text: str) -> tuple[list[dict[str, Any]], str]:
    table = list(csv.reader(io.StringIO(text, newline="")))
    # Of a first line alone only the beginning may be there.
    if table and table[0] != list(COLUMNS) and (len(table) > 1 or text.endswith("\n")):
        missing = [column for column in COLUMNS if column not in table[0]]
        if {"path", "quality"} <= set(table[0]) and missing:
            raise ValueError(f"it has no column {missing[0]!r}: an earlier version wrote it")
        raise ValueError("its header is not that of a table of scores")
    torn = bool(table) and (not text.endswith("\n") or len(table[-1]) != len(COLUMNS))
    kept = table[:-1] if torn else table
    whole = "".join(map(csv_line, kept)) if torn else text
    return [dict(zip(COLUMNS, values, strict=True)) for values in kept[1:]], whole


class StreamWriter:
    """Write scores to an open text stream, a row at a time.

    Args:
        stream: where to.
        row_format: `csv`, `jsonl`, or `json` for one array.
    """

    def __init__(self, stream: TextIO, row_format: str) -> None:
        self._stream, self._format = stream, row_format
        self._between = "["
        if row_format == "csv":
            self._put(HEADER)

    def write(self, score: Score) -> None:
        """Write one row and hand it to the system at once."""
        row = row_of(score)
        if self._format == "json":
            self._put(f"{self._between}\n  {line_of(row, 'jsonl')[:-1]}")
            self._between = ","
        else:
            self._put(line_of(row, "csv" if self._format == "csv" else "jsonl"))

    def close(self) -> None:
        """End the array, so that even of an interrupted run every JSON reader takes it."""
        if self._format == "json":
            self._put("[]\n" if self._between == "[" else "\n]\n")

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
