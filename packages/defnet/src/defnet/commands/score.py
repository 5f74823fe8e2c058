"""`defnet score`: scores of files and folders."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.terminal import NOTHING_DONE, SOME_NOT, fail, plain_errors, progress_bars, say, say_failed

if TYPE_CHECKING:
    from defnet.scoring.scorer import Scorer
    from defnet.scoring.scores import Score

EPILOG = """**Examples**

`defnet score photos/` — a table on the terminal, for every image below the folder

`defnet score photos/ 'more/*.jpg' --out scores.csv` — a file that a stopped run goes on with

`defnet score photos/ | sort -t, -k2 -g | head` — CSV on a pipe

**Exit code**: 0 all images scored, 1 some could not be, 2 nothing could be done."""


class OutputFormat(StrEnum):
    """How scores are written to standard output."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


def score(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders (searched recursively) and globs.")
    ],
    model: Annotated[
        str, typer.Option(help="`lite`, a model file, or the folder of a training run.", metavar="lite|FILE|DIR")
    ] = "lite",
    out: Annotated[
        Path | None,
        typer.Option(help="Write a .csv or .jsonl file; if it is there already, go on with it.", metavar="FILE"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out instead of going on with it.")] = False,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time; does not change a score.")] = 4,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1`, …; by default CUDA if there.")] = None,
) -> None:
    """Score images: quality from 1 (bad) to 5 (perfect), its uncertainty, the scene and the distortion."""
    from defnet.scoring.image_paths import find_images

    with plain_errors():
        if out is not None and output_format is not None:
            fail("--format is about standard output; the ending of --out chooses the file's format")
        found = find_images(paths)
        for failure in found.missing:
            say_failed(failure)
        if found.ignored:
            say(f"{found.ignored} other files in the folders are not images by their names and were left out")
        if not found.paths:
            fail("nothing to score")
        from defnet.scoring.scorer import load_scorer

        scorer = load_scorer(model, device=device, crops=crops)
        scored, failed = _score(scorer, found.paths, out, overwrite, output_format, batch_size)
    failed += len(found.missing)
    if out is not None:
        say(f"{scored} images scored, {failed} not: {out}")
    if failed:
        raise typer.Exit(SOME_NOT if scored else NOTHING_DONE)


def _score(
    scorer: "Scorer",
    paths: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    output_format: OutputFormat | None,
    batch_size: int,
) -> tuple[int, int]:
    """Score and write; return how many images have a score (earlier runs' included) and how many could not be read."""
    from rich.console import Console

    from defnet.scoring.score_files import ScoreFile, ScoreSink, StreamWriter
    from defnet.scoring.scores import Failure

    standard = Console(highlight=False)
    output_format = output_format or (OutputFormat.table if standard.is_terminal else OutputFormat.csv)
    table = out is None and output_format is OutputFormat.table
    console = standard if table and standard.is_terminal else Console(stderr=True, highlight=False)
    done: frozenset[str] = frozenset()
    with progress_bars(console) as progress:
        sink: ScoreSink
        if out is not None:
            sink = table_file = ScoreFile(out, scorer.provenance, overwrite=overwrite)
            done = table_file.done
        elif table:
            sink = _TableSink(standard)
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
            sink = StreamWriter(sys.stdout, "jsonl" if output_format is OutputFormat.jsonl else "csv")
        todo = [path for path in paths if path not in done]
        bar = progress.add_task("scoring", total=len(paths), completed=len(paths) - len(todo))
        scored, failed = len(paths) - len(todo), 0
        try:
            for result in scorer.stream(todo, batch_size=batch_size):
                if isinstance(result, Failure):
                    failed += 1
                    # Above the bar if both are on the terminal; a redirected stderr gets it whatever stdout is.
                    shown = progress.console if progress.live.is_started and sys.stderr.isatty() else None
                    say_failed(result, shown)
                else:
                    sink.write(result)
                    scored += 1
                progress.advance(bar)
        except BrokenPipeError:
            # Whoever reads has seen enough. Python would complain once more when it closes the pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        finally:
            if isinstance(sink, ScoreFile):
                sink.close()
    return scored, failed


class _TableSink:
    """Prints scores as lines of a table, above the progress bar."""

    def __init__(self, console: Any) -> None:
        from defnet.scoring.score_table import header, path_width

        self._console = console
        self._width = path_width(console.width if console.is_terminal else 120)
        self._print(header(self._width))

    def _print(self, line: Any) -> None:
        self._console.print(line, soft_wrap=True)

    def write(self, score: "Score") -> None:
        from defnet.scoring.score_table import row

        self._print(row(score, self._width))
