"""`defnet train`: a training run from a configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.data_options import DataRoot, Device, Labels
from defnet.commands.terminal import plain_errors, progress_bars

if TYPE_CHECKING:
    from rich.progress import Progress

EPILOG = """**Examples**

`defnet train lite --data-root /data/iqa --out runs/lite` — the shipped model, again

`defnet train my.toml --out runs/mine` — go on with it, if it was stopped, by the same command

The folder gets `config.json`, `log.jsonl` (every term of the loss at every step), `state.safetensors` (to go on from)
and, at the end, `model.safetensors` (for `defnet score --model DIR`)."""


def train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A TOML file, or the name of a shipped one: `lite`.")],
    data_root: DataRoot,
    out: Annotated[Path, typer.Option(help="Folder of the run.", metavar="DIR")],
    labels: Labels = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for pre-cut views, shared between runs; by default in the run's folder.")
    ] = None,
    device: Device = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read images; does not change a result.")] = 0,
) -> None:
    """Train a model, or go on with a run that was stopped at any moment."""
    from rich.console import Console

    from clip_iqa_backbone import ImageError
    from iqa_datasets import DatasetError

    with plain_errors(DatasetError, ImageError):
        from defnet.config.toml_files import load_train_config
        from defnet.data.roots import DataRoots
        from defnet.files import to_json
        from defnet.training.loop import Training

        console = Console(stderr=True, highlight=False)
        settings = load_train_config(config)
        with progress_bars(console) as progress:
            result = Training(
                settings,
                DataRoots(data_root, labels),
                out,
                cache=cache,
                device=device,
                workers=workers,
                reporter=RichReporter(console, progress),
            ).run()
    if result is not None:
        summary = {"model": str(result.model), "epoch": result.epoch, "validation": result.validation}
        typer.echo(to_json(summary))


class RichReporter:
    """Shows a training run: bars for what takes long, a line for each epoch."""

    def __init__(self, console: Any, progress: "Progress") -> None:
        self._console, self._progress = console, progress
        self._task: Any = None

    def begin(self, what: str, total: int) -> None:
        """Show a new bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=total)

    def advance(self, units: int) -> None:
        """Move the bar on."""
        self._progress.advance(self._task, units)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Print the epoch's line."""
        train, figures = row["train"], row["validation"]
        self._console.print(
            f"epoch {row['epoch']:>3}  loss {train['total']:.4f}  validation SRCC {figures['srcc']:.4f} "
            f"PLCC {figures['plcc']:.4f} NLL {figures['nll']:.4f}  best epoch {row['best_epoch']}",
            soft_wrap=True,
        )
