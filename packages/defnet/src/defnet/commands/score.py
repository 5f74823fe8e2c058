"""`defnet score`: scores of files and folders."""

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from defnet.commands.score_inputs import arriving, check_follow, check_parquet, find, listed_paths, one_line
from defnet.commands.score_output import FramesChoice, Tally, open_sink
from defnet.commands.score_page import page_while_scoring
from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import NOTHING_DONE, SOME_NOT, OutputFormat, Terminal

if TYPE_CHECKING:
    from defnet.report.gallery.while_scoring import PageWhileScoring
    from defnet.scoring.image_scorer import ImageScorer
    from defnet.scoring.score_rows import ScoreSink
    from defnet.scoring.scorer import Scorer
    from defnet.scoring.seen import ImageSource
    from iqa_datasets.terminal import Bar

EPILOG = """**Examples**

`defnet score photos/` — a table on the terminal, for every image below the folder

`defnet score photos/ 'more/*.jpg' --out scores.csv` — a file that a stopped run goes on with; files that have changed
since are scored anew

`defnet score photos/ --report look.html` — also a page to look through them; `defnet report` makes one of a table

`defnet score photos/ | sort -t, -k2 -g | head` — CSV on a pipe

`curl -s https://example.org/a.jpg | defnet score -` — an image from a pipe

`defnet score holiday.gif scan.tif --frames all` — every frame and every page

`defnet score shoot.zip old.tar` — what lies in archives, without unpacking them

`find . -newer last -name '*.jpg' -print0 | defnet score --files-from - -0` — a list of paths

`defnet score incoming/ --follow --out scores.csv` — what is there and then what arrives, until Ctrl-C

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


def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Files, folders (with all below them), globs, .zip and .tar files; `-` is standard input.",
            show_default=False,
        ),
    ] = None,
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
    files_from: Annotated[
        str | None,
        typer.Option(help="Also score the paths that FILE lists, one a line; `-` is standard input.", metavar="FILE"),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="The paths of --files-from end with zero bytes.", metavar="")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Then score what arrives in the folders, until Ctrl-C.", metavar="")
    ] = False,
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
        asked = list(paths or ())
        if null and files_from is None:
            terminal.fail("-0 is about the list of --files-from")
        if follow:
            if report is not None or files_from is not None:
                terminal.fail(
                    "--follow goes with folders alone, and without --report: defnet report makes a page later"
                )
            check_follow(asked, terminal)
        if files_from is not None:
            if "-" in asked and files_from == "-":
                terminal.fail("standard input is either an image (-) or a list (--files-from -)")
            asked += listed_paths(files_from, null, terminal)
        if not asked:
            terminal.fail("nothing to score: name files or folders (defnet score --help)")
        inputs = find(asked, terminal, may_be_empty=follow)
        found = inputs.found
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
                page_while_scoring(report, local, out, overwrite, asked, found, tally, bar) as page,
                open_sink(scorer, out, overwrite, output_format, frames, tally, inputs) as sink,
            ):
                todo = [path for path in found.paths if path not in tally.done]
                bar.stage("scoring", len(found.paths))
                bar.advance(len(found.paths) - len(todo))
                run(scorer, inputs.sources(todo), sink, bar, tally, batch_size, decoders, frames, page)
                done = len(found.paths)
                for new in arriving(asked, found.paths) if follow else ():
                    done += len(new)
                    bar.stage("scoring what arrives", done)
                    bar.advance(done - len(new))
                    run(scorer, new, sink, bar, tally, batch_size, decoders, frames, page)
        tally.failed += len(found.missing)
        if out is not None:
            terminal.say(tally.last_line())
    if tally.failed:
        raise typer.Exit(SOME_NOT if tally.new or tally.kept else NOTHING_DONE)


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


def run(
    scorer: "ImageScorer",
    todo: "Sequence[ImageSource]",
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
            bar.above(one_line(f"{result.path}: {result.reason}"))
        else:
            sink.write(result)
            tally.new += result.frame == 1
            tally.warned += bool(result.warnings)
        if isinstance(result, Failure) or result.frame == 1:
            bar.advance()
