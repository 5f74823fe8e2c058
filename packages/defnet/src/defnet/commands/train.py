"""`defnet train`: a training run from a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.data_options import DataRoot, Device, Labels, data_roots
from defnet.commands.figure_table import figure_rows, write_figures
from iqa_datasets.terminal import OutputFormat, Terminal

if TYPE_CHECKING:
    from iqa_datasets.terminal import Bar

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet train lite --data-root /data/iqa --out runs/lite` — the shipped model, again

`defnet train my.toml --data-root /data/iqa --out runs/mine` — go on with it, if it was stopped, by the same command

`defnet train my.toml --data-root /data/iqa --data-root holiday=photos/holiday --out runs/mine` — with a folder of your
own, which the configuration calls `holiday`

The folder gets `config.json`, `log.jsonl` (every term of the loss at every step), `state.safetensors` (to go on from)
and, at the end, `model.safetensors` (for `--model DIR`). Standard output gets the validation figures.

**Exit code**: 0 trained, 2 nothing could be done, 130 interrupted; the same command goes on."""


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A TOML file, or the name of a shipped one: `lite`.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    data_root: DataRoot = None,
    labels: Labels = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for pre-cut views, shared between runs; by default in the run's folder.")
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; does not change a result.")] = 0,
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

        settings = load_train_config(config)
        roots = data_roots(data_root, labels)
        with TERMINAL.progress(None, "starting") as bar:
            from defnet.training.loop import Training

            reporter = BarReporter(bar)
            result = Training(
                settings, roots, out, cache=cache, device=device, workers=workers, reporter=reporter
            ).run()
        if result is None:  # only for a limited number of steps
            return
        rows = figure_rows(result.by_dataset, result.validation, part="val", epoch=result.epoch)
        write_figures(rows, output_format=output_format)
        TERMINAL.say(
            f"epoch {result.epoch} of {settings.epochs} is kept; score with it: defnet score PATH... --model {out}"
        )


class BarReporter:
    """Shows a training run: a bar for what takes long, a line for each epoch."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar

    def begin(self, what: str, total: int) -> None:
        """Start the bar anew."""
        self._bar.stage(what, total)

    def advance(self, units: int) -> None:
        """Move the bar on."""
        self._bar.advance(units)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's line."""
        train, figures, by_dataset = row["train"], row["validation"], row["by_dataset"]
        nll = f" NLL {figures['nll']:.4f}" if "nll" in figures else ""  # none of a score without an uncertainty
        line = (
            f"epoch {row['epoch']:>3}  loss {train['total']:.4f}  validation SRCC {figures['srcc']:.4f} "
            f"PLCC {figures['plcc']:.4f}{nll}  best epoch {row['best_epoch']}"
        )
        if len(by_dataset) > 1:
            each = ", ".join(f"{name} {of_it['srcc']:.4f}" for name, of_it in by_dataset.items())
            line += f"  SRCC of each: {each}"
        self._bar.above(line)

    def note(self, message: str) -> None:
        """Print it."""
        self._bar.above(message)
