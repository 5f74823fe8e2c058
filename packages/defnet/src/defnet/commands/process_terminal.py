"""The terminal where several processes do one piece of work: what all of them would say is said once."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from iqa_datasets.terminal import NOTHING_DONE, Bar, Terminal


class ProcessTerminal(Terminal):
    """A terminal that speaks for all processes that `torchrun` or `accelerate launch` started.

    The first process of each machine says what concerns it; an error that every process raises is said by the first of
    all. A process that was started by itself says everything.
    """

    def say(self, message: str) -> None:
        """Write a message to standard error, on the first process of each machine."""
        if os.environ.get("LOCAL_RANK", "0") == "0":
            super().say(message)

    @contextmanager
    def plain_errors(
        self, *expected: type[Exception], interrupted: str | Callable[[], str] = "interrupted"
    ) -> Iterator[None]:
        """Turn errors into one line and exit code 2; see `Terminal.plain_errors`."""
        import typer

        with super().plain_errors(*expected, interrupted=interrupted):
            try:
                yield
            except Exception as error:
                from defnet.training.processes import is_told

                if is_told(error) and not _first():
                    raise typer.Exit(NOTHING_DONE) from None
                raise

    @contextmanager
    def progress(self, total: float | None, what: str) -> Iterator[Bar]:
        """Give a progress bar, on the first process of all; see `Terminal.progress`."""
        if not _first():
            yield Bar(self, None, what, total)
            return
        with super().progress(total, what) as bar:
            yield bar


def _first() -> bool:
    return os.environ.get("RANK", "0") == "0"
