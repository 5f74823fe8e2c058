"""`defnet export`: the folder of a model that one uploads to the Hugging Face hub, or a file that needs no torch."""

from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.terminal import Terminal

EPILOG = """**Examples**

`defnet export runs/mine mine-for-the-hub --license apache-2.0 --repository someone/photo-quality` — writes
`model.safetensors` and the card `README.md`, to be read through before
`hf upload someone/photo-quality mine-for-the-hub`

Then anyone scores with it: `defnet score photos/ --model hf-hub:someone/photo-quality`

`defnet export runs/mine --out runs/mine/model.onnx` — the model as one file that onnxruntime scores by, without torch

Beside the model file, `defnet score photos/ --model runs/mine` takes that file on a CPU; alone, `--model model.onnx`
does. To write it needs `pip install 'defnet[export]'`.

**Exit code**: 0 written, 2 nothing could be done. Nothing is uploaded."""


def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The folder of a run, a model file, `lite`, `hf-hub:ORG/NAME`.")
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="The folder to write; made if it is not there.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="In place of a folder, write an ONNX file.", metavar="FILE.onnx"),
    ] = None,
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
    """Write the folder that one uploads to the hub, with a card of what is known of the model; or an ONNX file."""
    from defnet.errors import DEFNetError

    terminal = Terminal("defnet")
    with terminal.plain_errors(DEFNetError):
        if (folder is None) == (out is None):
            terminal.fail("say either a FOLDER for the hub, or --out FILE.onnx")
        if folder is None:
            if licence is not None or repository is not None or name is not None:
                terminal.fail("--license, --repository and --name are for the card in a FOLDER; --out writes none")
            from defnet.export.onnx_export import export_onnx

            exported = export_onnx(model, str(out))
            terminal.say(
                f"{out}: written; onnxruntime differs from torch by at most {exported.difference:.1e} on made images"
            )
            return
        from defnet.model.model_card import write_hub_folder

        for path in write_hub_folder(model, folder, name=name, licence=licence, repository=repository):
            terminal.say(f"{path}: written")
        if licence is None:
            terminal.warn(
                "the card states no licence, so that others may do nothing with the model; --license says one"
            )
