"""`map-score-fusion score`: a table of scores from images."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.terminal import SOME_NOT
from map_score_fusion.commands.terminal import (
    FormatOption,
    OutputFormat,
    plain_errors,
    terminal,
    wants_table,
    write_frame,
)

EPILOG = """**Examples**

`map-score-fusion score references/ distorted/ --out scores.csv` — all full-reference metrics that need no download

`map-score-fusion score references/ distorted/ --metrics psnr,vsi,gmsd --metrics brisque --out scores.csv`

`map-score-fusion score images/ --pairs dmos.csv --out scores.csv` — KADID-10k, whose references are in the same folder

`map-score-fusion score photos/ --metrics brisque --out scores.csv` — no references

`map-score-fusion score --list-metrics` — what there is, and which of the paper's sixteen metrics

**Exit code**: 0 all scored, 1 some scores are missing or an image is not what it seems (the column `problem` says
why), 2 nothing could be done. The
same command goes on where it was stopped."""


def score(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[REF_DIR] DIST_DIR", help="Folder of references, if any, and of the images."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(help="Names, separated by commas; `fr` or `nr` for all that need no download.", metavar="NAMES"),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .csv file; a run goes on with what it holds.")] = Path(
        "scores.csv"
    ),
    pairs: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Which image has which reference: columns `distorted` and `reference`."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Images at a time; all cores if not given.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute: `cpu`, `cuda`, …")] = None,
    list_metrics: Annotated[bool, typer.Option("--list-metrics", help="List the metrics and stop.")] = False,
    output: FormatOption = None,
) -> None:
    """Score images by piq's metrics, a row an image.

    An image's reference is the one whose name begins its own: I01_01_01.png has I01.png, i01_01_1.bmp has I01.BMP; or
    as --pairs says. Images are read as what a viewer shows, 8-bit sRGB and upright, by iqa_datasets.open_image. Nothing
    is resized: an image of another size than its reference, or too small for a metric, has no score by it.
    """
    if list_metrics:
        with plain_errors():
            _list(output)
        return
    if not folders or len(folders) > 2:
        terminal.fail("score needs the folder of images, after that of references if there are any; see --help")
    if out.suffix.lower() != ".csv":
        terminal.fail(f"--out must end in .csv, got {out}")
    with plain_errors("interrupted; what was written is kept, and the same command goes on from there"):
        from map_score_fusion.image_files import ImagePair, image_files, pair_by_name, pair_by_table
        from map_score_fusion.image_scores import choose_metrics, score_folder

        images, references = folders[-1], folders[0] if len(folders) == 2 else None
        if pairs is not None and references is None:
            references = images
        chosen = choose_metrics(metrics or (), have_references=references is not None)
        files = image_files(images)
        if references is None:
            paired = [ImagePair(file, None) for file in files]
        elif pairs is not None:
            paired = pair_by_table(pairs, files, image_files(references))
            if len(files) > len(paired) and references.resolve() != images.resolve():
                terminal.say(f"{len(files) - len(paired):,} images of {images} are not in {pairs} and were left out")
        else:
            if references.resolve() == images.resolve():
                terminal.fail(
                    "the two folders are one, so each image would be its own reference; say by --pairs which is which"
                )
            paired = pair_by_name(files, image_files(references))

        def watch(done: Iterator[tuple[ImagePair, str]], left: int) -> Iterable[tuple[ImagePair, str]]:
            if left < len(paired):
                terminal.say(f"{out} holds {len(paired) - left:,} of {len(paired):,} images already")
            for pair, problem in terminal.track(done, left, "scoring"):
                if problem:
                    terminal.say(f"{pair.image}: {problem}")
                yield pair, problem

        found = score_folder(
            paired, images, references, chosen, out, overwrite=overwrite, workers=workers, device=device, watch=watch
        )
    terminal.say(f"{out}: {found.scored + found.kept:,} rows, {found.scored:,} of them new")
    if found.strangers:
        terminal.say(f"of the rows, {found.strangers:,} are of images that are not there any more")
    if found.faulty:
        terminal.say(f"{found.faulty:,} of the rows have a problem, which the column of that name says")
        raise typer.Exit(SOME_NOT)


def _list(output: OutputFormat | None) -> None:
    from map_score_fusion.image_scores import IMAGE_METRICS, PAPER_METRICS

    better = {True: "higher", False: "lower", None: "neither"}
    rows = [
        (
            metric.name,
            metric.title,
            "full" if metric.needs_reference else "none",
            better[metric.higher_is_better],
            metric.smallest,
            "downloaded" if metric.weights else "",
        )
        for metric in IMAGE_METRICS.values()
    ]
    columns = ["metric", "title", "reference", "better", "shortest side", "weights"]
    if not wants_table(None, output):
        import pandas as pd

        write_frame(pd.DataFrame(rows, columns=columns), None, output)
        return
    table = terminal.new_table(*columns, right=("shortest side",), title="Metrics, as piq computes them")
    for row in rows:
        table.add_row(*map(terminal.cell, row))
    terminal.show_table(table)
    sys.stdout.write("\n")
    paper = terminal.new_table("paper", "here", "remark", title="The sixteen metrics of the paper")
    for its_name in PAPER_METRICS:
        paper.add_row(*map(terminal.cell, its_name))
    terminal.show_table(paper)
