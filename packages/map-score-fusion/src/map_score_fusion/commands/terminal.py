"""The terminal as these commands see it: `iqa_datasets.terminal` under this command's name."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.row_files import SUFFIXES
from iqa_datasets.terminal import OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    import pandas as pd

terminal = Terminal("map-score-fusion")

OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="A .csv, .json, .jsonl or .parquet file; standard output if not given."),
]
FormatOption = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format", help="How to write to standard output: a table on a terminal and CSV elsewhere if not given."
    ),
]


@contextmanager
def plain_errors(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn errors that a person can act on into one line and exit code 2; others keep their traceback."""
    from map_score_fusion.errors import ScoreTableError

    with terminal.plain_errors(ScoreTableError, interrupted=interrupted):
        yield


@contextmanager
def said_warnings() -> Iterator[None]:
    """Say the package's warnings on standard error, each once, in place of Python's form of them."""
    from map_score_fusion.errors import FusionWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.simplefilter("always", FusionWarning)
        yield
    for text in dict.fromkeys(str(one.message) for one in caught):
        terminal.say(f"warning: {text}")


def wants_table(out: Path | None, output: OutputFormat | None) -> bool:
    """Whether the result is to be shown as a table on standard output, and not written as rows."""
    import sys

    return out is None and (output is OutputFormat.table or (output is None and sys.stdout.isatty()))


def write_frame(frame: "pd.DataFrame", out: Path | None, output: OutputFormat | None) -> None:
    """Write a table of results to a file, or as CSV or JSON to standard output."""
    write_rows(
        frame.itertuples(index=False, name=None), [str(name) for name in frame.columns], out=out, output_format=output
    )
    if out is not None:
        terminal.say(f"wrote {out}")


__all__ = [
    "SUFFIXES",
    "FormatOption",
    "OutOption",
    "OutputFormat",
    "plain_errors",
    "said_warnings",
    "terminal",
    "wants_table",
    "write_frame",
]
