"""Tables on a terminal, whose cells cannot command it."""

import math
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


class OutputFormat(StrEnum):
    """How rows are written to standard output."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


def default_format() -> OutputFormat:
    """Return how rows are written to standard output where nobody says: a table on a terminal, CSV on a pipe."""
    return OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv


def printable(text: str) -> str:
    """Return text with what a file name could use to command the terminal replaced by question marks."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def cell(value: object) -> str:
    """Return what stands in a table's cell for a value: nothing for None and NaN, three decimals, and no markup."""
    from rich.markup import escape

    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(printable(str(value)))


def new_table(*columns: str, right: Iterable[str] = (), title: str | None = None) -> "Table":
    """Return an empty table with these columns; those in ``right`` hold numbers."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=None if title is None else cell(title), title_justify="left"
    )
    numbers = set(right)
    for column in columns:
        table.add_column(cell(column), justify="right" if column in numbers else "left", overflow="fold")
    return table


def show_table(table: "Table") -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where the output goes elsewhere."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 400).print(table)
