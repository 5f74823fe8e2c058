"""The frame that command lines share: exit codes, messages on standard error, errors in a line, progress, tables."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from iqa_datasets.printed_tables import OutputFormat, cell, new_table, printable, show_table
from iqa_datasets.row_files import write_rows

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

__all__ = [
    "ALL_RIGHT",
    "INTERRUPTED",
    "NOTHING_DONE",
    "SOME_NOT",
    "Bar",
    "OutputFormat",
    "Terminal",
    "cell",
    "new_table",
    "printable",
    "show_table",
    "write_rows",
]

Item = TypeVar("Item")

ALL_RIGHT, SOME_NOT, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: done and nothing wrong; done, but some inputs could not be or faults were found; could not be done;
stopped by the user."""

_NO_ROOM = (errno.ENOSPC, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quotas of this name


class Bar:
    """What `Terminal.progress` gives: a bar that is told how far the work has come. It may have no place to be drawn.

    ``advance(units)`` moves it. ``detail(text)`` stands behind the bar. ``above(text)`` writes a line to standard
    error, above the bar if there is one.
    """

    def __init__(self, terminal: "Terminal", progress: "Progress | None", what: str, total: float | None) -> None:
        self._terminal, self._progress = terminal, progress
        self._task = None if progress is None else progress.add_task(what, total=total, detail="")

    def advance(self, units: float = 1) -> None:
        """Say that this much more is done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, units)

    def stage(self, what: str, total: float | None) -> None:
        """Begin another stage of the work: the bar starts again."""
        if self._progress is not None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=total, detail="")

    def detail(self, text: str) -> None:
        """Say something short behind the bar, such as a speed."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, detail=text)

    @property
    def speed(self) -> float | None:
        """Units a second of late, in this stage; None where there is no bar, or too early to tell.

        What the first ``advance`` brings is not counted: it may be what was done before.
        """
        if self._progress is None or self._task is None:
            return None
        return self._progress.tasks[self._progress.task_ids.index(self._task)].speed

    def above(self, message: str) -> None:
        """Say something under the command's name, above the bar."""
        if self._progress is None:
            self._terminal.say(message)
        else:
            self._progress.console.print(
                self._terminal.prefixed(message), markup=False, highlight=False, soft_wrap=True
            )


class Terminal:
    """The terminal as one command sees it. Results go to standard output, all that it says to standard error.

    Args:
        name: the command's name, which stands before each message.
    """

    cell = staticmethod(cell)
    new_table = staticmethod(new_table)
    printable = staticmethod(printable)
    show_table = staticmethod(show_table)

    def __init__(self, name: str) -> None:
        self.name = name
        self._warned: set[str] = set()

    def prefixed(self, message: str) -> str:
        """Return a message under the command's name in every line, without what could command the terminal."""
        return "\n".join(printable(f"{self.name}: {line}") for line in message.split("\n"))

    def say(self, message: str) -> None:
        """Write a message to standard error."""
        # What is not there any more (a closed terminal, a full log) must not stop the work.
        with contextlib.suppress(OSError, ValueError):
            print(self.prefixed(message), file=sys.stderr, flush=True)  # noqa: T201

    def warn(self, message: str) -> None:
        """Say a warning, each once."""
        if message not in self._warned:
            self._warned.add(message)
            self.say(f"warning: {message}")

    def fail(self, message: str) -> NoReturn:
        """Say why nothing could be done, and stop with `NOTHING_DONE`."""
        import typer

        self.say(message)
        raise typer.Exit(NOTHING_DONE)

    @contextmanager
    def plain_errors(
        self, *expected: type[Exception], interrupted: str | Callable[[], str] = "interrupted"
    ) -> Iterator[None]:
        """Turn errors that a person can act on into one line and exit code 2; others keep their traceback.

        A full disk, a missing file and a place where nothing may be written are among them (`OSError`), and so is an
        extra that is not installed (`ImportError`). Ctrl-C ends with `INTERRUPTED`. Where standard output is a pipe
        whose reader has gone, the command ends without a word and with 0: the reader has what it wanted.

        Args:
            expected: the package's own errors.
            interrupted: what is said after Ctrl-C, or what gives it: what is kept is known only then.
        """
        import typer

        from iqa_datasets.errors import DatasetError

        known: tuple[type[Exception], ...] = (DatasetError, OSError, ImportError, *expected)
        try:
            yield
            # Now, and not while Python ends, when a full disk could only be a traceback.
            sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()
            raise typer.Exit(ALL_RIGHT) from None
        except KeyboardInterrupt:
            self.say(interrupted if isinstance(interrupted, str) else interrupted())
            raise typer.Exit(INTERRUPTED) from None
        except known as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                _drop_output()  # what is left in the buffer would fail once more when Python ends
            self.fail(_in_words(error))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn a standard output that takes no more into one line and `NOTHING_DONE`, where typer itself writes."""
        try:
            yield
        except BrokenPipeError:
            _drop_output()
            raise SystemExit(ALL_RIGHT) from None
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            _drop_output()
            self.say(_in_words(error))
            raise SystemExit(NOTHING_DONE) from None

    @contextmanager
    def progress(self, total: float | None, what: str) -> Iterator[Bar]:
        """Give a progress bar on standard error, where that is a terminal and the rows of the result do not mix in.

        They would where standard output is a pipe, whose other end likely writes to the same terminal. The time left
        is shown once it can be told.

        Args:
            total: units of work, None where it is not known.
            what: what stands before the bar.
        """
        shown = sys.stderr.isatty() and (sys.stdout.isatty() or not _is_pipe(sys.stdout)) and total != 0
        if not shown:
            yield Bar(self, None, what, total)
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            _left(),
        )
        console = Console(stderr=True, highlight=False)
        # What is written to the other stream stays there: it may be a file.
        redirected = sys.stdout.isatty()
        with Progress(
            *columns,
            console=console,
            transient=True,
            redirect_stdout=redirected,
            speed_estimate_period=_SPEED_OVER,
        ) as progress:
            yield Bar(self, progress, what, total)

    def track(
        self,
        items: Iterable[Item],
        total: float | None = None,
        what: str = "working",
        size: Callable[[Item], float] = lambda _: 1,
    ) -> Iterator[Item]:
        """Yield the items and show how far they are.

        Args:
            items: what to yield.
            total: the sum of their sizes; their number if they have one and none is given.
            what: what stands before the bar.
            size: how far an item brings it.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        with self.progress(total, what) as bar:
            for item in items:
                yield item
                bar.advance(size(item))

    def check_out(self, out: Path | None, suffixes: Sequence[str], option: str = "--out") -> None:
        """Stop before the work is done if its result could not be written to ``--out``, or another option's file."""
        if out is None:
            return
        if out.exists() and not out.is_file() and not out.is_dir():
            return  # a device or a pipe has no suffix, and is written to as it is
        if out.suffix.lower() not in suffixes:
            self.fail(f"{option} must end in {', '.join(suffixes)}, got {out}")
        if not out.absolute().parent.is_dir():
            self.fail(f"{option} {out}: there is no folder {out.parent}; make it first")
        if out.is_dir():
            self.fail(f"{option} {out} is a folder; give a file in it")
        if not os.access(out if out.exists() else out.absolute().parent, os.W_OK):
            self.fail(f"{option} {out}: nothing may be written there")


def _in_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror.lower()}"
    if isinstance(error, OSError) and error.strerror and error.errno == errno.ENOSPC:
        return f"cannot write: {error.strerror.lower()}"
    return str(error) or type(error).__name__


def _drop_output() -> None:
    """Let Python end without writing what standard output would not take."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_pipe(stream: object) -> bool:
    import stat

    try:
        mode = os.fstat(stream.fileno()).st_mode  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


_SECONDS_BEFORE_AN_ESTIMATE: Final = 3.0
_SPEED_OVER: Final = 300.0
"""Seconds that the speed is the mean of."""


def _left() -> "ProgressColumn":
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        """The time left, from the speed of late; nothing until some seconds are behind."""

        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            # Not from what is done by the time since the start: much of it may have been done before that.
            elapsed, total, speed = task.elapsed or 0.0, task.total, task.speed
            if not total or not speed or elapsed < _SECONDS_BEFORE_AN_ESTIMATE:
                return Text("")
            seconds = round(max(total - task.completed, 0) / speed)
            return Text(f"left {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}")

    return TimeLeft()
