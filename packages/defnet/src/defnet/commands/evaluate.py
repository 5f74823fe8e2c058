"""`defnet evaluate`: a model judged on labelled images."""

from pathlib import Path
from typing import Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.figure_table import SUFFIXES, figure_rows, write_figures
from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import OutputFormat, Terminal

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet evaluate --data live-challenge --session 1 --data-root /data/iqa` — the shipped model on the test part of LIQE's
session 1

`defnet evaluate --model runs/mine --data tid2013 --data pipal --data-root /data/iqa` — on whole data sets that it has
never seen

`defnet evaluate --data holiday --session seeded-1 --part all --data-root holiday=photos/holiday --out figures.csv`

**Exit code**: 0 all right, 2 nothing could be done. Nothing is trained or fitted, and no image is left out."""


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(help="Data set: an id, or the NAME of a --data-root; may be given again.", metavar="NAME"),
    ],
    model_argument: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="The same as --model.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="`lite2` (the default), a model file, the folder of a run, or `hf-hub:ORG/NAME[@REVISION]`.",
            metavar="MODEL",
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            help="Split into parts: 1 to 10 (LIQE's), `official` or `seeded-SEED`; without one all images are judged.",
            metavar="SESSION",
        ),
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="`train`, `val`, `test` (the default with a session) or `all`.", metavar="PART")
    ] = None,
    data_root: DataRoot = None,
    labels: Labels = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time; does not change a figure.")] = 8,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a .csv, .json, .jsonl or .parquet file, one row a data set.", metavar="FILE"),
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Judge a model on labelled images: correlations, accuracies, and whether its uncertainty is true.

    Figures are computed within each data set; of several, the mean stands beside them.
    """
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError):
        TERMINAL.check_out(out, SUFFIXES)
        if out is not None and output_format is not None:
            TERMINAL.fail("--format is about standard output; the ending of --out chooses the file's format")
        if model is not None and model_argument is not None:
            TERMINAL.fail("the model is given twice: as an argument and as --model")
        if session is None and part not in (None, "all"):
            TERMINAL.fail(f"--part {part} needs a --session, such as --session seeded-1")
        from defnet.evaluation.judging import judge, labelled_images
        from defnet.scoring.loading import load_scorer

        table = labelled_images(data_roots(data_root, labels), data, session, part)
        scorer = load_scorer(model or model_argument or DEFAULT_MODEL, device=device, crops=crops, runtime="torch")
        with TERMINAL.progress(len(table), "predicting") as bar:
            judgement = judge(scorer, table, batch_size=batch_size, advance=bar.advance)
        part = part or ("all" if session is None else "test")
        rows = figure_rows(judgement.by_dataset, judgement.mean, session=session, part=part, crops=scorer.plan.count)
        write_figures(rows, out=out, output_format=output_format)
