"""`defnet export`: the folder of a model that one uploads to the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.terminal import Terminal

EPILOG = """**Examples**

`defnet export runs/mine mine-for-the-hub --license apache-2.0 --repository someone/photo-quality` — writes
`model.safetensors` and the card `README.md`, to be read through before
`hf upload someone/photo-quality mine-for-the-hub`

Then anyone scores with it: `defnet score photos/ --model hf-hub:someone/photo-quality`

**Exit code**: 0 written, 2 nothing could be done. Nothing is uploaded."""


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The folder of a run, a model file, `lite`, `hf-hub:ORG/NAME`.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write; made if it is not there.")],
    licence: Annotated[
        str | None,
        typer.Option(
            "--license",
            help="Licence of the weights by the hub's id, such as `apache-2.0`; the data's terms bind it.",
            metavar="ID",
        ),
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="Where it will lie on the hub, for the card.", metavar="ORG/NAME")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Title of the card.", metavar="NAME")] = None,
) -> None:
    """Write the folder that one uploads to the hub: the model's file, and a card of what is known of it."""
    from defnet.errors import DEFNetError

    terminal = Terminal("defnet")
    with terminal.plain_errors(DEFNetError):
        from defnet.model.model_card import write_hub_folder

        for path in write_hub_folder(model, folder, name=name, licence=licence, repository=repository):
            terminal.say(f"{path}: written")
        if licence is None:
            terminal.warn(
                "the card states no licence, so that others may do nothing with the model; --license says one"
            )
