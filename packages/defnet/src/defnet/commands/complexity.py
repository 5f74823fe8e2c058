"""`defnet complexity`: parameters, operations and time of models and configurations (Table 8)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from defnet.commands.data_options import Device
from defnet.commands.experiment_options import TERMINAL, Format, show_table

if TYPE_CHECKING:
    import torch

    from defnet.config.training import TrainConfig
    from defnet.model.network import DEFNet

EPILOG = """**Examples**

`defnet complexity` — the paper's network and the shipped model

`defnet complexity runs/mine my.toml --device cuda --crops 1,15`

`defnet complexity lite --out tables` — also as Markdown, CSV and LaTeX in a folder

A trained model (a shipped one, a file, the folder of a run) is measured as it scores: features stand for its text
tower. A configuration is made with random weights, so that none are fetched.

**Exit code**: 0 all right, 2 nothing could be done."""


def complexity(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL|CONFIG]...",
            help="Trained models, and configurations as TOML files or names; by default `paper` and `lite`.",
        ),
    ] = None,
    crops: Annotated[str, typer.Option(help="Numbers of sub-images to measure with.", metavar="LIST")] = "1,15",
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder that gets `table8` as Markdown, CSV and LaTeX too.", metavar="DIR")
    ] = None,
    output_format: Format = None,
) -> None:
    """Count parameters and floating-point operations, and measure the time for an image."""
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError):
        from defnet.devices import choose_device
        from defnet.experiments.complexity import complexity_table, measure
        from defnet.report.tables import write_table

        counts = _counts(crops)
        where = choose_device(device)
        found = []
        for name in TERMINAL.track(models or ["paper", "lite"], what="measuring"):
            model, config = _model(name, where)
            found.append((name, measure(model, config, crops=counts)))
        table = complexity_table(found)
        if out is not None:
            TERMINAL.say(", ".join(map(str, write_table(table, out))))
        show_table(table, output_format)


def _counts(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        TERMINAL.fail(f"--crops {text}: must be whole numbers from 1 on, with commas between, such as 1,15")
    return list(dict.fromkeys(int(word) for word in words))


def _model(name: str, device: "torch.device") -> "tuple[DEFNet, TrainConfig]":
    """A trained model, or the network of a configuration. A name that is both, such as `lite`, is the trained model."""
    from defnet.config.toml_files import load_train_config
    from defnet.errors import CheckpointError, ConfigError
    from defnet.experiments.complexity import model_of
    from defnet.model.model_file import load_model

    if name.endswith(".toml"):
        config = load_train_config(name)
        return model_of(config, device), config
    try:
        model, info = load_model(name, device)
    except CheckpointError as no_model:
        try:
            config = load_train_config(name)
        except ConfigError:
            raise no_model from None
        return model_of(config, device), config
    return model, info.config
