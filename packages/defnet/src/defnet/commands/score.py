"""`defnet score`: scores of files and folders."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from defnet.commands.score_page import page_while_scoring
from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import NOTHING_DONE, SOME_NOT, OutputFormat, Terminal

if TYPE_CHECKING:
    from defnet.report.gallery.while_scoring import PageWhileScoring
    from defnet.scoring.image_scorer import ImageScorer
    from defnet.scoring.score_rows import ScoreSink
    from defnet.scoring.scorer import Scorer
    from defnet.scoring.scores import Score
    from iqa_datasets.image_paths import FoundImages
    from iqa_datasets.terminal import Bar

EPILOG = """**Examples**

`defnet score photos/` — a table on the terminal, for every image below the folder

`defnet score photos/ 'more/*.jpg' --out scores.csv` — a file that a stopped run goes on with; files that have changed
since are scored anew

`defnet score photos/ --report look.html` — also a page to look through them; `defnet report` makes one of a table

`defnet score photos/ | sort -t, -k2 -g | head` — CSV on a pipe

`curl -s https://example.org/a.jpg | defnet score -` — an image from a pipe

`defnet score holiday.gif scan.tif --frames all` — every frame and every page

`defnet score photos/ --model liqe:LIQE.pt` — the public weights of LIQE, which state no uncertainty

Beside `quality` each row has a 95 % interval, and what it is made of: `aleatoric_std`, how far the mean rating of such
an image is from a score (not how far single people's ratings scatter), and `epistemic_std`, what comes to that because
of what the model has not learnt. Of a model that `defnet calibrate` has told its limits there is `familiarity` too: how
common it is among photographs like those that it was trained on to be as far from them. Below 0.05 `warnings` says so,
and the interval is wide.

**Exit code**: 0 all images scored, 1 some could not be, 2 nothing could be done, 130 interrupted."""


class RuntimeChoice(StrEnum):
    """What computes the scores."""

    torch = "torch"
    onnx = "onnx"


class FramesChoice(StrEnum):
    """Which frames of files that hold several are scored."""

    first = "first"
    all = "all"


def score(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, folders (with all below them), globs; `-` is standard input."),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="A shipped model (`defnet info`), a model file, the folder of a training run, "
            "`hf-hub:ORG/NAME[@REVISION]`, or `liqe:FILE`, a checkpoint of LIQE.",
            metavar="MODEL",
        ),
    ] = DEFAULT_MODEL,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a .csv, .jsonl, .json or .parquet file; if it is there already, go on with it.", metavar="FILE"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --out instead of going on with it.", metavar="")
    ] = False,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    frames: Annotated[
        FramesChoice, typer.Option(help="Of animations and files of several pages, score the first or all.")
    ] = FramesChoice.first,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time; does not change a score.")] = 4,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1`, …; by default CUDA if there.")] = None,
    runtime: Annotated[
        RuntimeChoice | None,
        typer.Option(help="By default onnx on a CPU where the model has an exported file (lite2), else torch."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads that compute; by default as many as processors, or OMP_NUM_THREADS."),
    ] = None,
    decoders: Annotated[int, typer.Option(min=1, help="Threads that read images ahead.")] = 2,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write a page to look through the images, one file.", metavar="FILE.html"),
    ] = None,
    local: Annotated[
        bool,
        typer.Option("--local", help="Keep the quality of every sub-image, beside --out as .local.jsonl.", metavar=""),
    ] = False,
) -> None:
    """Score images: quality from 1 (bad) to 5 (perfect), its uncertainty, the scene and the distortion."""
    from defnet.errors import DEFNetError

    terminal = Terminal("defnet")
    tally = Tally(out)
    with terminal.plain_errors(DEFNetError, interrupted=tally.after_interruption):
        if out is not None and output_format is not None:
            terminal.fail("--format is about standard output; the ending of --out chooses the file's format")
        if local and out is None:
            terminal.fail("--local is kept beside a table: give --out FILE")
        terminal.check_out(report, (".html", ".htm"), "--report")
        found = find(paths, terminal)
        if out is not None and out.suffix.lower() == ".parquet":
            check_parquet(found.paths, out, terminal)
        with waiting(terminal, len(found.paths), model) as bar:
            from defnet.scoring.loading import load_scorer

            looks = report is not None or local
            if looks and runtime is RuntimeChoice.onnx:
                terminal.fail("--report and --local look at sub-images, which --runtime onnx does not tell of")
            chosen = RuntimeChoice.torch if looks else runtime
            scorer = load_scorer(
                model, device=device, crops=crops, runtime=None if chosen is None else chosen.value, threads=threads
            )
            if scorer.score_from == "expected":
                bar.above(_no_uncertainty(model))
            with (
                page_while_scoring(report, local, out, overwrite, paths, found, tally, bar) as page,
                open_sink(scorer, out, overwrite, output_format, frames, tally, found.paths) as sink,
            ):
                todo = [path for path in found.paths if path not in tally.done]
                bar.stage("scoring", len(found.paths))
                bar.advance(len(found.paths) - len(todo))
                run(scorer, todo, sink, bar, tally, batch_size, decoders, frames, page)
        tally.failed += len(found.missing)
        if out is not None:
            terminal.say(tally.last_line())
    if tally.failed:
        raise typer.Exit(SOME_NOT if tally.new or tally.kept else NOTHING_DONE)


@dataclass
class Tally:
    """What has come of the images so far, in words where it is asked for.

    Attributes:
        out: the file that is written, if there is one.
        new: rows written by this run.
        kept: images whose rows an earlier run wrote and that still hold.
        changed: images that an earlier run scored and that have changed since, or were not done.
        failed: images that could not be scored.
        warned: rows of this run with a warning.
        done: paths of the kept images.
    """

    out: Path | None
    new: int = 0
    kept: int = 0
    changed: int = 0
    failed: int = 0
    warned: int = 0
    done: frozenset[str] = frozenset()

    def last_line(self) -> str:
        """What a finished run says of its file."""
        anew = f" ({self.changed} anew, of files that have changed)" if self.changed else ""
        warned = f"; rows with a warning: {self.warned}" if self.warned else ""
        return f"{self.out}: {_images(self.new)} scored now{anew}, {self.kept} kept, {self.failed} failed{warned}"

    def after_interruption(self) -> str:
        """What Ctrl-C leaves, which is only known then."""
        if self.out is None:
            return f"interrupted after {_images(self.new)}; only what was printed is kept (--out FILE keeps scores)"
        return (
            f"interrupted; {self.out} keeps {_images(self.new)} scored now and {self.kept} from before, and the same "
            "command goes on from there"
        )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _one_line(message: str) -> str:
    """A message about a file whose name may hold line feeds: none of them begins a line that we did not write."""
    return message.replace("\n", "?")


def _no_uncertainty(model: str) -> str:
    """Why the columns of uncertainty stay empty."""
    from defnet.config.start import LIQE

    why = (
        "LIQE has no evidence heads" if model.startswith(LIQE) else "it has no evidence heads, or none that was trained"
    )
    return (
        f"{model} states no uncertainty: {why}; those columns are empty, and defnet fit-heads adds heads from rated "
        "photographs"
    )


def find(arguments: list[str], terminal: Terminal) -> "FoundImages":
    """Resolve the arguments, say what is wrong with them, and stop if nothing is left."""
    from iqa_datasets.image_paths import FoundImages, find_images

    found = find_images([argument for argument in arguments if argument != "-"])
    for argument, reason in found.missing:
        terminal.say(_one_line(f"{argument}: {reason}"))
    if found.ignored:
        terminal.say(f"left out, no images by their names: {found.ignored_in_words()}")
    found = FoundImages(("-",) * ("-" in arguments) + found.paths, found.missing, found.ignored)
    if not found.paths:
        terminal.fail("nothing to score")
    return found


def check_parquet(paths: tuple[str, ...], out: Path, terminal: Terminal) -> None:
    """Stop before the work if its result could not be written."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        terminal.fail(f"{out}: Parquet needs pyarrow; pip install 'defnet[parquet]', or write .csv")
    for path in paths:
        if any("\ud800" <= char <= "\udfff" for char in path):
            name = _one_line(path)
            terminal.fail(f"{out}: Parquet holds only text, and the name {name} is not UTF-8; write .csv or .jsonl")


@contextmanager
def waiting(terminal: Terminal, count: int, model: str) -> Iterator["Bar"]:
    """A bar that is there at once, or a line: loading torch and the model takes seconds."""
    if sys.stderr.isatty() and not sys.stdout.isatty() and _is_pipe(sys.stdout):
        # The rows likely come out on the same terminal, where a bar would mix with them.
        terminal.say(f"loading {model}; {count} images to score")
    with terminal.progress(None, f"loading {model}") as bar:
        yield bar


def _is_pipe(stream: Any) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def open_sink(
    scorer: "ImageScorer",
    out: Path | None,
    overwrite: bool,
    output_format: OutputFormat | None,
    frames: FramesChoice,
    tally: Tally,
    paths: tuple[str, ...],
) -> Iterator["ScoreSink"]:
    """Where the rows go. It is closed whatever happens, so that what was written is whole."""
    from defnet.scoring.score_rows import StreamWriter

    sink: ScoreSink
    if out is not None:
        from defnet.scoring.score_files import ScoreFile

        sink = table = ScoreFile(out, scorer.provenance | {"frames": frames.value}, overwrite=overwrite)
        tally.kept, tally.changed = table.settle(paths)
        tally.done = table.done
    else:
        chosen = output_format or (OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv)
        if chosen is OutputFormat.table:
            sink = TableSink()
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
            sink = StreamWriter(sys.stdout, chosen.value)
    try:
        yield sink
    finally:
        sink.close()


def run(
    scorer: "ImageScorer",
    todo: list[str],
    sink: "ScoreSink",
    bar: "Bar",
    tally: Tally,
    batch_size: int,
    decoders: int,
    frames: FramesChoice,
    page: "PageWhileScoring | None" = None,
) -> None:
    """Score and write."""
    from defnet.scoring.scores import Failure

    stream = scorer.stream if page is None else partial(page.stream, cast("Scorer", scorer))
    for result in stream(todo, batch_size=batch_size, decoders=decoders, frames=frames.value):
        if isinstance(result, Failure):
            tally.failed += 1
            bar.above(_one_line(f"{result.path}: {result.reason}"))
        else:
            sink.write(result)
            tally.new += result.frame == 1
            tally.warned += bool(result.warnings)
        if isinstance(result, Failure) or result.frame == 1:
            bar.advance()


class TableSink:
    """Prints scores as lines of a table."""

    def __init__(self) -> None:
        from rich.console import Console

        from defnet.scoring.score_table import header, path_width

        self._console = Console(highlight=False)
        self._width = path_width(self._console.width if self._console.is_terminal else 120)
        self._console.print(header(self._width), soft_wrap=True)

    def write(self, score: "Score") -> None:
        """Print one line."""
        from defnet.scoring.score_table import row

        self._console.print(row(score, self._width), soft_wrap=True)

    def close(self) -> None:
        """Nothing is left to print."""
