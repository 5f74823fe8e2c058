"""What all commands share: exit codes, messages to standard error, errors without a traceback, progress bars."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from rich.table import Table

Item = TypeVar("Item")

ALL_RIGHT, FAULTS_FOUND, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done and nothing wrong; done, but faults were found; could not be done; stopped by the user."""

EXIT_CODES = "**Exit code**: 0 all right, 1 faults were found, 2 nothing could be done."


def printable(text: str) -> str:
    """Return text with what a file name could use to command the terminal replaced by question marks."""
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def say(message: str) -> None:
    """Write a message to standard error, under the command's name."""
    for line in message.split("\n"):
        typer.echo(printable(f"iqa-datasets: {line}"), err=True)


def fail(message: str) -> NoReturn:
    """Say why nothing could be done, and stop with `NOTHING_DONE`."""
    say(message)
    raise typer.Exit(NOTHING_DONE)


def check_out(out: Path | None, suffixes: Sequence[str]) -> None:
    """Stop before the work is done if its result could not be written to ``--out``."""
    if out is None:
        return
    if out.suffix.lower() not in suffixes:
        fail(f"--out must end in {', '.join(suffixes)}, got {out}")
    if not out.absolute().parent.is_dir():
        fail(f"--out {out}: there is no folder {out.parent}; make it first")
    if out.is_dir():
        fail(f"--out {out} is a folder; give a file in it")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn errors that a person can act on into one line and exit code 2; others keep their traceback."""
    from iqa_datasets.errors import DatasetError

    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads the output has enough; typer ends quietly
    except (DatasetError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def with_progress(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """Yield the items with a progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty() or total == 0:
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


def show_table(table: "Table") -> None:
    """Print a table: as wide as the terminal, or as wide as it needs where the output goes elsewhere."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 400)
    console.print(table)


def new_table(*columns: str, right: Iterable[str] = ()) -> "Table":
    """Return an empty table with these columns; those in ``right`` hold numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def cell(value: object) -> str:
    """Return what stands in a table's cell for a value: nothing for None, and no markup."""
    from rich.markup import escape

    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escape(printable(str(value)))
