"""The command `defnet`. Torch is imported only by what needs it, so that `--help` answers at once."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from defnet.scorer import Scorer
    from defnet.scores import Failure, Score

app = typer.Typer(
    name="defnet",
    help="How good photographs look, how sure that is, and what is wrong with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)

ALL_SCORED, SOME_NOT, NOTHING_DONE = 0, 1, 2


class OutputFormat(StrEnum):
    """How scores are written to standard output."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"


def _say(message: str, above: "Console | None" = None) -> None:
    """Write to standard error what no file name can turn into commands to the terminal.

    Args:
        message: one line, or several.
        above: the console of a progress bar on the same terminal, to write above it.
    """
    from defnet.score_table import printable

    text = "\n".join(map(printable, f"defnet: {message}".split("\n")))
    if above is None:
        typer.echo(text, err=True)
    else:
        above.print(text, markup=False, soft_wrap=True)


def _say_failed(failure: "Failure", above: "Console | None" = None) -> None:
    _say(f"{failure.path}: {failure.reason}".replace("\n", "?"), above)


def _fail(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(NOTHING_DONE)


@contextmanager
def _plain_errors(*more: type[Exception]) -> Iterator[None]:
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
        _fail(str(error))
    except KeyboardInterrupt:
        _say("interrupted; what was written is kept, and the same command goes on from there")
        raise typer.Exit(130) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"defnet {package_version('defnet')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """How good photographs look, how sure that is, and what is wrong with them."""


@app.command(
    epilog="""**Examples**

`defnet score photos/` — a table on the terminal, for every image below the folder

`defnet score photos/ 'more/*.jpg' --out scores.csv` — a file that a stopped run goes on with

`defnet score photos/ | sort -t, -k2 -g | head` — CSV on a pipe

**Exit code**: 0 all images scored, 1 some could not be, 2 nothing could be done."""
)
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
    from defnet.image_paths import find_images

    with _plain_errors():
        if out is not None and output_format is not None:
            _fail("--format is about standard output; the ending of --out chooses the file's format")
        found = find_images(paths)
        for failure in found.missing:
            _say_failed(failure)
        if found.ignored:
            _say(f"{found.ignored} other files in the folders are not images by their names and were left out")
        if not found.paths:
            _fail("nothing to score")
        from defnet.scorer import load_scorer

        scorer = load_scorer(model, device=device, crops=crops)
        scored, failed = _score(scorer, found.paths, out, overwrite, output_format, batch_size)
    failed += len(found.missing)
    if out is not None:
        _say(f"{scored} images scored, {failed} not: {out}")
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

    from defnet.score_files import ScoreFile, ScoreSink, StreamWriter
    from defnet.scores import Failure

    standard = Console(highlight=False)
    output_format = output_format or (OutputFormat.table if standard.is_terminal else OutputFormat.csv)
    table = out is None and output_format is OutputFormat.table
    console = standard if table and standard.is_terminal else Console(stderr=True, highlight=False)
    done: frozenset[str] = frozenset()
    with _progress(console) as progress:
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
                    _say_failed(result, shown)
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
        from defnet.score_table import header, path_width

        self._console = console
        self._width = path_width(console.width if console.is_terminal else 120)
        self._print(header(self._width))

    def _print(self, line: Any) -> None:
        self._console.print(line, soft_wrap=True)

    def write(self, score: "Score") -> None:
        from defnet.score_table import row

        self._print(row(score, self._width))


@contextmanager
def _progress(console: Any) -> Iterator["Progress"]:
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


DataRoot = Annotated[
    Path,
    typer.Option(
        help="Folder that holds the data sets' official folders and liqe-labels/.",
        envvar="IQA_DATA_ROOT",
        metavar="DIR",
    ),
]
Labels = Annotated[
    Path | None, typer.Option(help="Folder of LIQE's label files, if not DATA_ROOT/liqe-labels.", metavar="DIR")
]
Device = Annotated[str | None, typer.Option(help="`cpu`, `cuda`, …; by default CUDA if there.")]


class _RichReporter:
    """Shows a training run: bars for what takes long, a line for each epoch."""

    def __init__(self, console: Any, progress: "Progress") -> None:
        self._console, self._progress = console, progress
        self._task: Any = None

    def begin(self, what: str, total: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total)

    def advance(self, units: int) -> None:
        self._progress.advance(self._task, units)

    def epoch(self, row: Mapping[str, Any]) -> None:
        train, figures = row["train"], row["validation"]
        self._console.print(
            f"epoch {row['epoch']:>3}  loss {train['total']:.4f}  validation SRCC {figures['srcc']:.4f} "
            f"PLCC {figures['plcc']:.4f} NLL {figures['nll']:.4f}  best epoch {row['best_epoch']}",
            soft_wrap=True,
        )


@app.command(
    epilog="""**Examples**

`defnet train lite --data-root /data/iqa --out runs/lite` — the shipped model, again

`defnet train my.toml --out runs/mine` — go on with it, if it was stopped, by the same command

The folder gets `config.json`, `log.jsonl` (every term of the loss at every step), `state.safetensors` (to go on from)
and, at the end, `model.safetensors` (for `defnet score --model DIR`)."""
)
def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A TOML file, or the name of a shipped one: `lite`.")],
    data_root: DataRoot,
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    labels: Labels = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for pre-cut views, shared between runs; by default in the run's folder.")
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; does not change a result.")] = 0,
) -> None:
    """Train a model, or go on with a run that was stopped at any moment."""
    from rich.console import Console

    from clip_iqa_backbone import ImageError
    from iqa_datasets import DatasetError

    with _plain_errors(DatasetError, ImageError):
        from defnet.config import load_train_config
        from defnet.files import to_json
        from defnet.training import DataRoots, Training

        console = Console(stderr=True, highlight=False)
        settings = load_train_config(config)
        with _progress(console) as progress:
            result = Training(
                settings,
                DataRoots(data_root, labels),
                out,
                cache=cache,
                device=device,
                workers=workers,
                reporter=_RichReporter(console, progress),
            ).run()
    if result is not None:
        summary = {"model": str(result.model), "epoch": result.epoch, "validation": result.validation}
        typer.echo(to_json(summary))


@app.command(
    epilog="""**Example**

`defnet evaluate lite --data live-challenge --session 1 --data-root /data/iqa`"""
)
def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="`lite`, a model file, or the folder of a training run.")
    ],
    data: Annotated[str, typer.Option(help="Data set, by its id.")],
    session: Annotated[int, typer.Option(min=1, help="Session whose part to judge on.")],
    data_root: DataRoot,
    part: Annotated[str, typer.Option(help="`train`, `val` or `test`.")] = "test",
    labels: Labels = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with.")] = None,
    device: Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Judge a model on labelled images: correlations, accuracies, and whether its uncertainty is true."""
    from rich.console import Console

    from clip_iqa_backbone import ImageError
    from iqa_datasets import DatasetError

    with _plain_errors(DatasetError, ImageError):
        from defnet.batches import ImageTable
        from defnet.evaluation import evaluation_figures, predict_files
        from defnet.files import to_json
        from defnet.scorer import load_scorer
        from defnet.training import DataRoots

        scorer = load_scorer(model, device=device, crops=crops)
        images = DataRoots(data_root, labels).load(data, session).part(part)
        table = ImageTable.from_datasets([images])
        with _progress(Console(stderr=True)) as progress:
            bar = progress.add_task("predicting", total=len(table))
            predictions = predict_files(scorer, table.paths, advance=lambda n: progress.advance(bar, n))
        figures = evaluation_figures(
            predictions,
            table,
            variance_scale=scorer.info.variance_scale,
            constant_std=scorer.info.constant_std,
        )
    if as_json:
        typer.echo(to_json({"data": data, "session": session, "part": part, "crops": scorer.plan.count, **figures}))
        return
    for name, value in figures.items():
        typer.echo(f"{name:<22} {value:.4f}" if name != "images" else f"{name:<22} {value:.0f}")


if __name__ == "__main__":
    app()
