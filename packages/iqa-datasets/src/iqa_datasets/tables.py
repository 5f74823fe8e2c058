"""Reading label files that are tables: delimited text and Excel workbooks, with every fault named."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from python_calamine import CalamineWorkbook

from iqa_datasets.errors import DatasetError
from iqa_datasets.vocabulary import suggestion

WORKBOOKS: Final = (".xls", ".xlsx")
"""Suffixes of the Excel workbooks that are read."""


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The columns of a label file as they stand there: strings in a text file, also numbers in a workbook.

    Attributes:
        path: the file.
        columns: the values of each column, by its title.
        rows: the number of each row's line (or row of the sheet) in the file, from 1.
        unit: ``"line"`` or ``"row"``, for messages.
    """

    path: Path
    columns: dict[str, list[object]]
    rows: Sequence[int]
    unit: str

    def __len__(self) -> int:
        return len(self.rows)

    def has(self, column: str) -> bool:
        """Return whether there is such a column, in any case of letters."""
        return column.casefold() in {title.casefold() for title in self.columns}

    def first_of(self, *columns: str) -> str:
        """Return the first of several titles that there is a column of; the first of all where there is none."""
        return next((column for column in columns if self.has(column)), columns[0])

    def texts(self, column: str) -> list[str]:
        """Return a column as strings without blanks around them.

        Raises:
            DatasetError: there is no such column, or a value is empty.
        """
        values = []
        for row, text in enumerate(self.optional_texts(column)):
            if text is None:
                raise DatasetError(f"{self.where(row)}: {column} is empty")
            values.append(text)
        return values

    def optional_texts(self, column: str) -> list[str | None]:
        """Return a column as `texts` does, with None for a value that is empty.

        Raises:
            DatasetError: there is no such column.
        """
        texts: list[str | None] = []
        for value in self._column(column):
            # A workbook holds whole numbers as 1.0.
            plain = int(value) if isinstance(value, float) and value.is_integer() else value
            texts.append(None if plain is None else str(plain).strip() or None)
        return texts

    def numbers(self, column: str, *, optional: bool = False) -> NDArray[np.float64]:
        """Return a column as finite numbers, shape (N,), float64.

        Args:
            column: its title.
            optional: an empty value is NaN instead of a fault.

        Raises:
            DatasetError: there is no such column, or a value is not a finite number.
        """
        values = self._column(column)
        if (fast := _all_numbers(values)) is not None:
            return fast
        numbers = np.empty(len(values))
        for row, value in enumerate(values):
            number = _number(value)
            if number is None and optional and (value is None or not str(value).strip()):
                number = np.nan
            elif number is None:
                raise DatasetError(f"{self.where(row)}: {column} must be a finite number, got {value!r}")
            numbers[row] = number
        return numbers

    def where(self, row: int) -> str:
        """Return where a row (counted from 0) stands, as a message starts."""
        return f"{self.path}, {self.unit} {self.rows[row]}"

    def _column(self, column: str) -> list[object]:
        if column in self.columns:
            return self.columns[column]
        for title, values in self.columns.items():
            if title.casefold() == column.casefold():
                return values
        raise DatasetError(f"{self.path} has no column {column!r}{suggestion(column, self.columns)}")


def _all_numbers(values: list[object]) -> NDArray[np.float64] | None:
    """Return a column of which every value is a finite number, and None where one needs to be looked at."""
    if set(map(type, values)) not in ({str}, {float}, {int}, {int, float}):
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    plain = np.isfinite(numbers).all() and not any("_" in value for value in values if isinstance(value, str))
    return numbers if plain else None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value) if "_" not in value else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def read_table(path: Path, titles: Sequence[str]) -> LabelTable:
    """Read a label file by its suffix: a workbook with these titles, or CSV with a line of titles.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it is not readable, or has no such titles.
    """
    if path.suffix.lower() in WORKBOOKS:
        return read_sheet(path, titles)
    return read_text(path)


def read_text(path: Path, *, separator: str | None = ",", columns: Sequence[str] | None = None) -> LabelTable:
    """Read a text file of one row a line, in UTF-8, with or without a byte order mark.

    Args:
        path: the file. Empty lines are passed over.
        separator: one character, with quotes as in CSV; None for any number of blanks.
        columns: titles of the columns, if the file has no line of titles.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it is no text in UTF-8, or a line has another number of fields than there are titles.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text file in UTF-8: {error}") from error
    numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
    try:
        if separator is None:
            fields = [lines[number - 1].split() for number in numbers]
        else:
            # One line is one row, also for a quote that is never closed, which would swallow the rest of the file.
            reader = csv.reader((lines[number - 1] for number in numbers), delimiter=separator, strict=True)
            fields = list(reader)
    except csv.Error as error:
        raise DatasetError(f"{path} has a line with unmatched quotes: {error}") from error
    if len(fields) != len(numbers):
        raise DatasetError(f"{path} has quotes that span several lines")
    if columns is None:
        if not fields:
            raise DatasetError(f"{path} is empty; its first line must hold the titles of the columns")
        columns, fields, numbers = fields[0], fields[1:], numbers[1:]
    titles = _titles(columns, path)
    for number, row in zip(numbers, fields, strict=True):
        if len(row) != len(titles):
            raise DatasetError(
                f"{path}, line {number} must have {len(titles)} fields ({', '.join(titles)}), got {len(row)}"
            )
    return LabelTable(path, _columns(titles, fields), numbers, "line")


def read_sheet(path: Path, titles: Sequence[str], *, sheet: str | None = None) -> LabelTable:
    """Read a sheet of an Excel workbook (.xlsx or .xls): values as stored, no formula is computed.

    Args:
        path: the workbook.
        titles: columns that must be there, in any order: the first row that holds all of them is the row of titles.
            Empty rows below it are passed over.
        sheet: the sheet's name; None for the first.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it is no workbook, or has no such sheet or no such row of titles.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    try:
        with CalamineWorkbook.from_path(path) as book:
            name = sheet or next(iter(book.sheet_names), "")
            if name not in book.sheet_names:
                raise DatasetError(f"{path} has no sheet {name!r}{suggestion(name, book.sheet_names)}")
            cells = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
    except (PermissionError, DatasetError):
        raise
    except BaseException as error:
        # A damaged file raises the reader's own errors, or lets it panic, which is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DatasetError(f"{path} is not a readable Excel workbook: {error}") from error
    rows: list[list[object]] = [[None if value == "" else value for value in row] for row in cells]
    wanted = {title.casefold() for title in titles}
    start = next((row for row, values in enumerate(rows) if wanted <= set(map(_folded, values))), None)
    if start is None:
        raise DatasetError(f"{path}: no row of sheet {name!r} holds the titles {', '.join(titles)}")
    columns = _titles(["" if value is None else str(value) for value in rows[start]], path)
    kept: list[list[object]] = []
    numbers = []
    for number, values in enumerate(rows[start + 1 :], start=start + 2):
        if any(value is not None for value in values):
            kept.append([*values, *[None] * (len(columns) - len(values))][: len(columns)])
            numbers.append(number)
    return LabelTable(path, _columns(columns, kept), numbers, "row")


def _folded(value: object) -> str:
    return str(value).strip().casefold()


def _titles(columns: Sequence[str], path: Path) -> list[str]:
    titles = [title.strip() for title in columns]
    named = [title for title in titles if title]
    if len(set(named)) < len(named):
        again = next(title for row, title in enumerate(named) if title in named[:row])
        raise DatasetError(f"{path} has two columns {again!r}")
    return [title or f"column {number}" for number, title in enumerate(titles, start=1)]


def _columns(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, list[object]]:
    if not rows:
        return {title: [] for title in titles}
    return {title: list(values) for title, values in zip(titles, zip(*rows, strict=True), strict=True)}
