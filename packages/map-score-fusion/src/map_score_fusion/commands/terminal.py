"""What all commands share: exit codes, messages to standard error, errors without a traceback, progress, tables."""

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

Item = TypeVar("Item")

ALL_RIGHT, FAULTS_FOUND, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done and nothing wrong; done, but faults were found; could not be done; stopped by the user."""


class OutputFormat(StrEnum):
    """How a table is written to standard output."""

    table = "table"
    csv = "csv"
    json = "json"


def printable(text: str) -> str:
    """Return text with what a name could use to command the terminal replaced by question marks."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def say(message: str) -> None:
    """Write a message to standard error, under the command's name."""
    for line in message.split("\n"):
        typer.echo(printable(f"map-score-fusion: {line}"), err=True)


def fail(message: str) -> NoReturn:
    """Say why nothing could be done, and stop with `NOTHING_DONE`."""
    say(message)
    raise typer.Exit(NOTHING_DONE)


@contextmanager
def plain_errors(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn errors that a person can act on into one line and exit code 2; others keep their traceback."""
    from map_score_fusion.errors import ScoreTableError

    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has enough; typer ends quietly
    except (ScoreTableError, OSError, ImportError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        say(interrupted)
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def said_warnings() -> Iterator[None]:
    """Say the package's warnings on standard error, each once, in place of Python's form of them."""
    from map_score_fusion.errors import FusionWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.simplefilter("always", FusionWarning)
        yield
    said = set()
    for one in caught:
        text = f"warning: {one.message}"
        if text not in said:
            said.add(text)
            say(text)


def with_progress(
    items: Iterable[Item], total: int | None, what: str, size: Callable[[Item], int] = lambda _: 1
) -> Iterator[Item]:
    """Yield the items with a progress bar on standard error, where that is a terminal.

    Args:
        items: What to yield.
        total: The sum of their sizes, None where it is not known.
        what: What stands before the bar.
        size: How far an item brings it.
    """
    if not sys.stderr.isatty() or total == 0:
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task, size(item))


def show_table(table: "Table") -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where the output goes elsewhere."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 400).print(table)


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


def write_frame(frame: "pd.DataFrame", output: OutputFormat) -> None:
    """Write a table as CSV, or as a JSON list of records, to standard output."""
    if output is OutputFormat.csv:
        frame.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        typer.echo(frame.to_json(orient="records", indent=2, force_ascii=False, double_precision=15))
