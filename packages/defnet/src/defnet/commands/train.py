"""`defnet train`: a training run from a configuration, or on ratings of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.figure_table import figure_rows, write_figures
from defnet.commands.process_terminal import ProcessTerminal
from defnet.commands.ratings_options import (
    Column,
    Images,
    LowerIsBetter,
    Name,
    Range,
    RatingsTable,
    SessionOption,
    ratings_of,
)
from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import OutputFormat

if TYPE_CHECKING:
    from defnet.config.training import TrainConfig
    from defnet.data.ratings import Ratings
    from defnet.data.roots import DataRoots
    from defnet.training.result import TrainResult
    from iqa_datasets.terminal import Bar

TERMINAL = ProcessTerminal("defnet")

EPILOG = """**Examples**

`defnet train lite --data-root /data/iqa --out runs/lite` — the shipped model, again

`defnet train my.toml --data-root /data/iqa --out runs/mine` — go on with it, if it was stopped, by the same command

`defnet train my.toml --data-root /data/iqa --data-root holiday=photos/holiday --out runs/mine` — with a folder of your
own, which the configuration calls `holiday`

`defnet train paper --data-root /data/iqa --out runs/short --set epochs=8 --set 'data.*.session=seeded-1'` — the paper's
mixture, with single fields of the configuration set anew

`torchrun --nproc-per-node 4 -m defnet train paper --data-root /data/iqa --out runs/paper` — on four GPUs; `accelerate
launch -m defnet …` does the same

`defnet train --ratings ratings.csv --images photos/ --range 1 5 --out runs/mine` — on ratings of your own, from the
shipped model on; the table has the columns `image` and `rating`

`defnet train --ratings r.xlsx --images photos/ --column image=file --column rating=MOS --range 0 100 --start none
--out runs/anew` — other titles, another scale, and nothing learnt before but ImageNet's features

The folder gets `config.json`, `log.jsonl` (every term of the loss at every step; as tables `steps.csv` and
`epochs.csv`), `state.safetensors` (to go on from) and, at the end, `model.safetensors` (for `--model DIR`). Standard
output gets the validation figures. With `--ratings` the folder gets `summary/index.html` too: figures on photographs
that were not learnt from, plots, the ten worst, in words.

**Exit code**: 0 trained, 2 nothing could be done, 130 interrupted; the same command goes on."""

_ANEW = "none"


def train(
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG]",
            help="A TOML file, or one that is shipped: `lite`, `clip`, `paper`. Not with --ratings.",
            show_default=False,
        ),
    ] = None,
    data_root: DataRoot = None,
    labels: Labels = None,
    ratings: RatingsTable = None,
    images: Images = None,
    column: Column = None,
    limits: Range = None,
    lower_is_better: LowerIsBetter = None,
    name: Name = None,
    session: SessionOption = None,
    start: Annotated[
        str | None,
        typer.Option(
            help=f"Model to go on from with --ratings: `{DEFAULT_MODEL}` (the default), a file, the folder of a run, "
            "`hf-hub:ORG/NAME[@REVISION]`; or `none`.",
            metavar="MODEL|none",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the photographs of --ratings (20).")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of every random choice, with --ratings (0).")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for pre-cut views, shared between runs; by default in the run's folder.")
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; does not change a result.")] = 0,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a field of the configuration: `optimizer.learning_rate=1e-5`, `data.*.session=seeded-1`; `null` "
            "is none. May be given again.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write events for TensorBoard to the run's folder too.")
    ] = False,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="Of the figures on standard output: a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Train a model, or go on with a run that was stopped at any moment.

    From a configuration, or with --ratings on photographs that you have rated, from the shipped model on.
    """
    from defnet.errors import DEFNetError

    kept = f"interrupted; the last state is kept in {out}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        of_ratings = {
            "--images": images,
            "--column": column,
            "--range": limits,
            "--lower-is-better": lower_is_better,
            "--name": name,
            "--session": session,
            "--start": start,
            "--epochs": epochs,
            "--seed": seed,
        }
        if (config is None) == (ratings is None):
            TERMINAL.fail("give a CONFIG or --ratings FILE" + (", not both" if config else ""))
        if ratings is None and (idle := [option for option, value in of_ratings.items() if value is not None]):
            TERMINAL.fail(f"{idle[0]} goes with --ratings; a configuration says it itself")
        if ratings is not None and (data_root or labels):
            TERMINAL.fail(
                "--data-root and --labels go with a CONFIG; --ratings names one table and --images its folder"
            )
        if ratings is not None and changes:
            TERMINAL.fail("--set goes with a CONFIG, whose fields it sets; --ratings has --epochs, --start and --seed")
        if ratings is None:
            settings, roots = _configured(str(config), changes or [], data_root, labels)
            with TERMINAL.progress(None, "starting") as bar:
                from defnet.training.loop import Training

                training = Training(
                    settings,
                    roots,
                    out,
                    cache=cache,
                    device=device,
                    workers=workers,
                    reporter=BarReporter(bar, settings.batch_size),
                    tensorboard=tensorboard,
                )
                result = training.run()
            if result is None or not training.processes.main:
                return
            of, page = settings.epochs, None
        else:
            table = ratings_of(ratings, images, column, limits, lower_is_better, name)
            result, of, page = _on_ratings(
                table,
                out,
                session,
                start or DEFAULT_MODEL,
                epochs or 20,
                seed or 0,
                cache,
                device,
                workers,
                tensorboard,
            )
            if page is None:  # another process than the main one
                return
        if result.by_dataset:
            rows = figure_rows(result.by_dataset, result.validation, part="val", epoch=result.epoch)
            write_figures(rows, output_format=output_format)
        else:
            TERMINAL.say("no validation images, so there are no figures; defnet calibrate makes its intervals true")
        TERMINAL.say(f"epoch {result.epoch} of {of} is kept; score with it: defnet score PATH... --model {out}")
        if page is not None:
            TERMINAL.say(f"the summary: {page}")


def _configured(
    config: str, changes: list[str], data_root: list[str] | None, labels: Path | None
) -> "tuple[TrainConfig, DataRoots]":
    from defnet.config.toml_files import load_train_config

    return load_train_config(config, changes), data_roots(data_root, labels)


def _on_ratings(
    ratings: "Ratings",
    out: Path,
    session: str | None,
    start: str,
    epochs: int,
    seed: int,
    cache: Path | None,
    device: str | None,
    workers: int,
    tensorboard: bool,
) -> "tuple[TrainResult, int, Path | None]":
    """Train on ratings of one's own, and write the summary."""
    from defnet.commands.rated_run import rated_ratings, run_and_summarize
    from defnet.config.recipes import anew, going_on, source_of
    from defnet.config.toml_files import load_train_config
    from defnet.model.model_file import read_info

    data = rated_ratings(ratings, session)
    for sentence in data.in_words():
        TERMINAL.say(sentence)
    for sentence in data.doubts():
        TERMINAL.warn(sentence)
    count = len(data.parts["train"])
    source = source_of(ratings.name, data.session, count)
    if start == _ANEW:
        tasks = data.labelled_tasks()
        settings = anew(load_train_config("lite"), source, count, tasks=tasks, epochs=epochs, seed=seed)
        done = "Training started anew, from ImageNet's features: nothing had been learnt of quality before."
    else:
        settings = going_on(start, read_info(start).config, source, count, epochs=epochs, seed=seed)
        done = f"Training went on from the model {start}."
    with TERMINAL.progress(None, "starting") as bar:
        from defnet.training.loop import Training

        training = Training(
            settings,
            data.roots,
            out,
            cache=cache,
            device=device,
            workers=workers,
            reporter=BarReporter(bar, settings.batch_size),
            tensorboard=tensorboard,
        )
        result, page = run_and_summarize(training, data, start=start, done=done, say=bar.above)
    return result, settings.epochs, page


class BarReporter:
    """Shows a training run: a bar for what takes long, a line for each epoch.

    Args:
        bar: where.
        images: images of a step of training, to show the speed in; None shows none.
    """

    def __init__(self, bar: "Bar", images: int | None = None) -> None:
        self._bar, self._images = bar, images
        self._training = False

    def begin(self, what: str, total: int) -> None:
        """Start the bar anew."""
        self._training = what == "training"
        self._bar.stage(what, total)

    def advance(self, units: int) -> None:
        """Move the bar on."""
        self._bar.advance(units)
        speed = self._bar.speed
        if self._training and self._images and speed is not None:
            self._bar.detail(f"{speed * self._images:.3g} images/s")

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's line."""
        train, figures, by_dataset = row["train"], row["validation"], row["by_dataset"]
        nll = f" NLL {figures['nll']:.4f}" if "nll" in figures else ""  # none of a score without an uncertainty
        line = f"epoch {row['epoch']:>3}  loss {train['total']:.4f}"
        if figures:  # none without validation images
            line += f"  validation SRCC {figures['srcc']:.4f} PLCC {figures['plcc']:.4f}{nll}"
        line += f"  best epoch {row['best_epoch']}"
        if len(by_dataset) > 1:
            each = ", ".join(f"{name} {of_it['srcc']:.4f}" for name, of_it in by_dataset.items())
            line += f"  SRCC of each: {each}"
        self._bar.above(line)

    def note(self, message: str) -> None:
        """Print it."""
        self._bar.above(message)
