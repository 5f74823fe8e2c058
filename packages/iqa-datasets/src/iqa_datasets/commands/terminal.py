"""What all commands share: exit codes, messages to standard error, errors without a traceback, progress bars."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import typer

Item = TypeVar("Item")

ALL_RIGHT, FAULTS_FOUND, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done and nothing wrong; done, but faults were found; could not be done; stopped by the user."""


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


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn errors that a person can act on into one line and exit code 2; others keep their traceback."""
    from iqa_datasets.errors import DatasetError

    try:
        yield
    except (DatasetError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        say("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def with_progress(items: Iterable[Item], total: int | None, what: str) -> Iterator[Item]:
    """Yield the items with a progress bar on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield from progress.track(items, total=total, description=what)
