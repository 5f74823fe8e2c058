"""`defnet calibrate`: a trained model that knows what it has not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.ratings_options import Column, Images, LowerIsBetter, Name, Range, RatingsTable, ratings_of
from iqa_datasets.terminal import OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    from defnet.data.ratings import Ratings
    from defnet.data.roots import DataRoots

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet calibrate lite --data-root /data/iqa --out lite-calibrated.safetensors` — the first shipped model

`defnet calibrate runs/mine --ratings r.csv --images photos/ --range 0 100 --out mine.safetensors` — a model of `defnet
train` from ratings of your own, with what was said of them there

`defnet calibrate runs/joint --data-root /data/iqa --data-root wallpapers=rated/ --data-root degraded=copies/ --cache
runs/joint/pools --out joint.safetensors` — a model of several data sets, with the views that its training has cut

`defnet calibrate runs/mine --data-root data/ --folds 10 --families 0 --out mine.safetensors` — ten folds of contents,
and no distortion left out

The model's own configuration, which its file holds, is trained anew without each fold of photographs and without each
family of distortions (folders below --folder), and predicts what it has not seen. From that come `familiarity`, a
warning for images unlike the training photographs, and intervals that widen with the distance to these. No validation
photograph is used for it, so that a model trained on all photographs can have it. Scores stay as they are. Standard
output gets figures of the photographs that were left out.

**Exit code**: 0 calibrated, 2 nothing could be done, 130 interrupted; the same command goes on."""


def calibrate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="`lite`, a model file, or the folder of a training run.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model file to write.", metavar="FILE")],
    data_root: DataRoot = None,
    labels: Labels = None,
    ratings: RatingsTable = None,
    images: Images = None,
    column: Column = None,
    limits: Range = None,
    lower_is_better: LowerIsBetter = None,
    name: Name = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds that the photographs are dealt into, by content.")] = 5,
    families: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Groups that the families of distortions are dealt into, each left out once; by default each family "
            "by itself, 0 for none.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of how photographs are dealt into folds.")] = 0,
    start: Annotated[
        str | None,
        typer.Option(
            help="The model that its training started from, where that is a file and not beside you.", metavar="MODEL"
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Folder of the folds' runs; by default --out with `.folds` at its end.", metavar="DIR"),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for pre-cut views, shared with the model's own run; by default in --folder."),
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; does not change a result.")] = 0,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="Of the figures on standard output: a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Give a trained model familiarity, and intervals that know it, by photographs left out of training."""
    from defnet.errors import DEFNetError

    folder = folder or out.with_name(out.name + ".folds")
    kept = f"interrupted; what is done is kept in {folder}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        if out.suffix != ".safetensors":
            TERMINAL.fail(f"--out: a model file's name ends in .safetensors, got {out.name}")
        if not out.parent.is_dir():
            TERMINAL.fail(f"--out: the folder {out.parent} does not exist")
        of_ratings = (images, column, limits, lower_is_better, name)
        if ratings is None and any(value is not None for value in of_ratings):
            TERMINAL.fail("--images, --column, --range, --lower-is-better and --name go with --ratings")
        if ratings is not None and (data_root or labels):
            TERMINAL.fail("give --ratings or --data-root and --labels, not both")
        if ratings is None:
            roots = data_roots(data_root, labels)
        else:
            roots = _roots(model, ratings_of(ratings, images, column, limits, lower_is_better, name))
        with TERMINAL.progress(None, "starting") as bar:
            from defnet.commands.train import BarReporter
            from defnet.out_of_fold.calibrating import calibrate_model

            said = calibrate_model(
                model,
                roots,
                out,
                folder,
                folds=folds,
                families=families,
                seed=seed,
                start=start,
                cache=cache,
                device=device,
                workers=workers,
                reporter=BarReporter(bar),
            )
        rows = [
            *({"figure": f"images.{name}", "value": count} for name, count in said.images.items()),
            *({"figure": f"deviation.{name}", "value": value} for name, value in said.deviation.items()),
            *({"figure": name, "value": value} for name, value in said.figures.items()),
        ]
        write_rows(rows, ("figure", "value"), output_format=output_format)
        TERMINAL.say(f"{out} is written; score with it: defnet score PATH... --model {out}")


def _roots(model: str, ratings: "Ratings") -> "DataRoots":
    """Where the ratings lie that a model was trained on.

    Raises:
        DataError: it was trained on others, or a row is wrong.
    """
    from defnet.commands.rated_run import DATA_FILE, hold_to_data, rated_ratings
    from defnet.errors import DataError
    from defnet.model.model_file import read_info

    sources = {source.name: source for source in read_info(model).config.data}
    if ratings.name not in sources:
        raise DataError(
            f"{model} was trained on {' and '.join(sources)}, and not on {ratings.name}; --name says what the ratings "
            "are called"
        )
    data = rated_ratings(ratings, str(sources[ratings.name].session))
    if (Path(model) / DATA_FILE).is_file():
        hold_to_data(Path(model), data)
    for sentence in data.in_words():
        TERMINAL.say(sentence)
    return data.roots
