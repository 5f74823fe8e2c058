"""`defnet train`: a training run from a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.figure_table import figure_rows, write_figures
from defnet.commands.process_terminal import ProcessTerminal
from iqa_datasets.terminal import OutputFormat

if TYPE_CHECKING:
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

The folder gets `config.json`, `log.jsonl` (every term of the loss at every step; as tables `steps.csv` and
`epochs.csv`), `state.safetensors` (to go on from) and, at the end, `model.safetensors` (for `--model DIR`). Standard
output gets the validation figures.

**Exit code**: 0 trained, 2 nothing could be done, 130 interrupted; the same command goes on."""


def train(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="A TOML file, or one that is shipped: `lite`, `clip`, `paper`."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    data_root: DataRoot = None,
    labels: Labels = None,
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
    """Train a model, or go on with a run that was stopped at any moment."""
    from defnet.errors import DEFNetError

    kept = f"interrupted; the last state is kept in {out}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        from defnet.config.toml_files import load_train_config

        settings = load_train_config(config, changes or ())
        roots = data_roots(data_root, labels)
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
        rows = figure_rows(result.by_dataset, result.validation, part="val", epoch=result.epoch)
        write_figures(rows, output_format=output_format)
        TERMINAL.say(
            f"epoch {result.epoch} of {settings.epochs} is kept; score with it: defnet score PATH... --model {out}"
        )


class BarReporter:
    """Shows a training run: a bar for what takes long, a line for each epoch.

    Args:
        bar: where.
        images: images of a step of training, which the speed is shown in.
    """

    def __init__(self, bar: "Bar", images: int) -> None:
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
        if self._training and speed is not None:
            self._bar.detail(f"{speed * self._images:.3g} images/s")

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's line."""
        train, figures, by_dataset = row["train"], row["validation"], row["by_dataset"]
        line = (
            f"epoch {row['epoch']:>3}  loss {train['total']:.4f}  validation SRCC {figures['srcc']:.4f} "
            f"PLCC {figures['plcc']:.4f} NLL {figures['nll']:.4f}  best epoch {row['best_epoch']}"
        )
        if len(by_dataset) > 1:
            each = ", ".join(f"{name} {of_it['srcc']:.4f}" for name, of_it in by_dataset.items())
            line += f"  SRCC of each: {each}"
        self._bar.above(line)

    def note(self, message: str) -> None:
        """Print it."""
        self._bar.above(message)
