"""`defnet evaluate`: a model judged on labelled images."""

from typing import Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels
from defnet.commands.terminal import plain_errors, progress_bars

EPILOG = """**Example**

`defnet evaluate lite --data live-challenge --session 1 --data-root /data/iqa`"""


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

    with plain_errors(DatasetError, ImageError):
        from defnet.data.roots import DataRoots
        from defnet.data.table import ImageTable
        from defnet.evaluation.figures import evaluation_figures
        from defnet.evaluation.predictions import predict_files
        from defnet.files import to_json
        from defnet.scoring.scorer import load_scorer

        scorer = load_scorer(model, device=device, crops=crops)
        images = DataRoots(data_root, labels).load(data, session).part(part)
        table = ImageTable.from_datasets([images])
        with progress_bars(Console(stderr=True)) as progress:
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
