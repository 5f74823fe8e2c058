"""`defnet fit-heads`: evidence heads and a calibration on a backbone that stays as it is."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.figure_table import figure_rows, write_figures
from defnet.commands.process_terminal import ProcessTerminal
from defnet.commands.ratings_options import (
    OWN_SPLIT,
    Column,
    Images,
    LowerIsBetter,
    Name,
    Range,
    RatingsTable,
    SessionOption,
    ratings_of,
)
from iqa_datasets.terminal import OutputFormat

if TYPE_CHECKING:
    from defnet.commands.rated_run import RatedData
    from defnet.config.training import TrainConfig

TERMINAL = ProcessTerminal("defnet")

EPILOG = """**Examples**

`defnet fit-heads lite --ratings ratings.csv --images photos/ --range 1 5 --out runs/mine` — the shipped model, its
heads and its uncertainties fitted to ratings of your own; what it says of scenes and distortions stays

`defnet fit-heads ViT-B-32-quickgelu --pretrained openai --dataset koniq-10k --session official --data-root /data/iqa
--out runs/clip` — plain CLIP, which is looked through once an image

`defnet fit-heads liqe:LIQE.pt --ratings ratings.csv --images photos/ --range 1 5 --out runs/liqe` — uncertainties
for the public weights of LIQE

`defnet fit-heads local-dir:models/clip --ratings r.csv --range 0 100 --lower-is-better --out runs/own` — an open_clip
model in a folder

Nothing but the heads learns, so that a frozen trunk's features are computed once (`--cache` keeps them for other runs)
and the rest takes minutes on a CPU. The folder is that of `defnet train`, with the summary.

**Exit code**: 0 fitted, 2 nothing could be done, 130 interrupted; the same command goes on."""


class FeaturesChoice(StrEnum):
    """What heads see."""

    marginals = "marginals"
    embedding = "embedding"


def fit_heads(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="`lite`, a model file, the folder of a run, `hf-hub:ORG/NAME`, `liqe:FILE`; or a backbone: an "
            "architecture of open_clip with --pretrained, `local-dir:DIR`, `hf-hub:ORG/NAME`.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    pretrained: Annotated[
        str | None, typer.Option(help="open_clip's tag of the backbone's weights, or a weights file.", metavar="TAG")
    ] = None,
    ratings: RatingsTable = None,
    images: Images = None,
    column: Column = None,
    limits: Range = None,
    lower_is_better: LowerIsBetter = None,
    name: Name = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="A data set in place of --ratings: an id, or the NAME of a --data-root.", metavar="NAME"),
    ] = None,
    session: SessionOption = None,
    data_root: DataRoot = None,
    labels: Labels = None,
    features: Annotated[
        FeaturesChoice | None,
        typer.Option(
            help="What heads see: the probabilities alone, or the image's embedding too. By default what the model's "
            "own heads see; of a backbone, the embedding.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the photographs.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of every random choice.")] = 0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for features, shared between runs; by default in the run's folder.")
    ] = None,
    device: Device = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="Of the figures on standard output: a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Fit the evidence heads and the calibration of a model, or of a backbone that has none; the rest stays."""
    from defnet.errors import DEFNetError

    kept = f"interrupted; the last state is kept in {out}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        if (ratings is None) == (dataset is None):
            TERMINAL.fail("give --ratings FILE or --dataset NAME" + (", not both" if ratings else ""))
        of_ratings = (images, column, limits, lower_is_better, name)
        if dataset is not None and any(value is not None for value in of_ratings):
            TERMINAL.fail("--images, --column, --range, --lower-is-better and --name go with --ratings")
        if ratings is not None:
            from defnet.commands.rated_run import rated_ratings

            data = rated_ratings(ratings_of(ratings, images, column, limits, lower_is_better, name), session)
        else:
            data = _data_set(str(dataset), session, data_root, labels)
        for sentence in data.in_words():
            TERMINAL.say(sentence)
        for sentence in data.doubts():
            TERMINAL.warn(sentence)
        settings = _settings(model, pretrained, data, features, epochs, seed)
        with TERMINAL.progress(None, "starting") as bar:
            from defnet.commands.rated_run import run_and_summarize
            from defnet.commands.train import BarReporter
            from defnet.training.loop import Training

            training = Training(
                settings, data.roots, out, cache=cache, device=device, reporter=BarReporter(bar, settings.batch_size)
            )
            done = f"The evidence heads of {model} were fitted; all else of it stays."
            result, page = run_and_summarize(training, data, start=model, done=done, say=bar.above)
        if page is None:  # another process than the main one
            return
        rows = figure_rows(result.by_dataset, result.validation, part="val", epoch=result.epoch)
        write_figures(rows, output_format=output_format)
        TERMINAL.say(
            f"epoch {result.epoch} of {settings.epochs} is kept; score with it: defnet score PATH... --model {out}"
        )
        TERMINAL.say(f"the summary: {page}")


def _data_set(name: str, session: str | None, data_root: list[str] | None, labels: Path | None) -> "RatedData":
    from defnet.commands.rated_run import check_option, rated_data

    roots = data_roots(data_root, labels)
    return rated_data(roots.load(name, check_option(session or OWN_SPLIT)), roots, None, name)


def _settings(
    model: str, pretrained: str | None, data: "RatedData", features: FeaturesChoice | None, epochs: int, seed: int
) -> "TrainConfig":
    """The configuration: of a trained model's heads, or of new heads on a backbone."""
    from defnet.config.model import BackboneConfig
    from defnet.config.recipes import heads_of_backbone, heads_of_model, source_of
    from defnet.config.start import HUB, LIQE
    from defnet.errors import ConfigError
    from defnet.model.shipped import SHIPPED

    count = len(data.parts["train"])
    source = source_of(data.dataset.name, data.session, count)
    seen: Literal["marginals", "embedding"] | None = None
    if features is not None:
        seen = "marginals" if features is FeaturesChoice.marginals else "embedding"
    trained = model in SHIPPED or model.startswith(LIQE) or Path(model).exists()
    if model.startswith(HUB) and pretrained is None:
        from defnet.model.hub import is_open_clip

        trained = not is_open_clip(model)
    if trained:
        from defnet.model.model_file import read_info

        if pretrained is not None:
            raise ConfigError(
                f"--pretrained names a backbone's weights, and {model} is a trained model, which has its own"
            )
        info = read_info(model)
        return heads_of_model(model, info.config, source, count, features=seen, epochs=epochs, seed=seed)
    if pretrained is None and not model.startswith((HUB, "local-dir:")):
        from clip_iqa_backbone import list_backbones

        if model in list_backbones():
            raise ConfigError(f"{model} without --pretrained has random weights, on which no head can be fitted")
    backbone = BackboneConfig(name=model, pretrained=pretrained)
    return heads_of_backbone(backbone, source, count, features=seen, epochs=epochs, seed=seed)
