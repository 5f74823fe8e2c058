"""What all commands share: exit codes, messages to standard error, errors without a traceback, progress bars."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from defnet.scoring.scores import Failure

ALL_RIGHT, SOME_NOT, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done; done, but some images could not be scored; nothing could be done; stopped by the user."""


def say(message: str, above: "Console | None" = None) -> None:
    """Write to standard error what no file name can turn into commands to the terminal.

    Args:
        message: one line, or several.
        above: the console of a progress bar on the same terminal, to write above it.
    """
    from iqa_datasets.printed_tables import printable

    text = "\n".join(map(printable, f"defnet: {message}".split("\n")))
    if above is None:
        typer.echo(text, err=True)
    else:
        above.print(text, markup=False, soft_wrap=True)


def say_failed(failure: "Failure", above: "Console | None" = None) -> None:
    """Say which file could not be used, and why."""
    say(f"{failure.path}: {failure.reason}".replace("\n", "?"), above)


def fail(message: str) -> NoReturn:
    """Say why nothing could be done, and stop with `NOTHING_DONE`."""
    say(message)
    raise typer.Exit(NOTHING_DONE)


@contextmanager
def plain_errors(*more: type[Exception]) -> Iterator[None]:
    """Turn errors that a person can act on into one line and exit code 2; others keep their traceback."""
    from defnet.errors import DEFNetError

    expected: tuple[type[Exception], ...] = (
        DEFNetError,
        FileNotFoundError,
        PermissionError,
        IsADirectoryError,
        NotADirectoryError,
        *more,
    )
    try:
        yield
    except expected as error:
        fail(str(error))
    except KeyboardInterrupt:
        say("interrupted; what was written is kept, and the same command goes on from there")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def progress_bars(console: Any) -> Iterator["Progress"]:
    """Bars on a terminal, none elsewhere."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # What is written to the other stream stays there: it may be a file.
    with Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not console.is_terminal,
    ) as progress:
        yield progress
