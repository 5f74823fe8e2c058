"""`clip-iqa-backbone export`: a model as a file that another runtime reads."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.terminal import Terminal

EPILOG = """**Examples**

`clip-iqa-backbone export ViT-B-32-quickgelu --pretrained openai --to onnx` — writes `ViT-B-32-quickgelu.onnx`

`clip-iqa-backbone export liqe:LIQE.pt --to onnx --precision fp16 --out liqe.onnx` — half as large

`clip-iqa-backbone export lite --pretrained imagenet --to pt2` — for `torch.export.load`

The file takes `views`, uint8 (N, 3, S, S), and gives `log_probability`, `quality`, `scene`, `distortion` and
`embedding`. `clip-iqa-backbone info FILE` says what it is. Needs `pip install 'clip-iqa-backbone[export]'`.

**Exit code**: 0 written, 2 nothing could be done."""


class Format(StrEnum):
    """What is written."""

    onnx = "onnx"
    pt2 = "pt2"


class Precision(StrEnum):
    """What weights are kept in."""

    fp32 = "fp32"
    fp16 = "fp16"


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="`lite`, an architecture of open_clip, `hf-hub:ORG/NAME`, `local-dir:FOLDER`, `liqe:FILE` or "
            "`state-dict:FILE`.",
        ),
    ],
    to: Annotated[
        Format | None, typer.Option(help="What to write; by default what the ending of --out says.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; by default MODEL with that ending.", metavar="FILE", show_default=False),
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="What the weights are kept in; computed is fp32 either way.")
    ] = Precision.fp32,
    pretrained: Annotated[
        str | None, typer.Option(help="A tag of open_clip's, `imagenet` for lite, or a file.", metavar="TAG")
    ] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="`defnet` or `liqe`; by default that of the model.", metavar="NAME")
    ] = None,
) -> None:
    """Write a model as a file for onnxruntime or torch.export, and compare what it says there with the model."""
    terminal = Terminal("clip-iqa-backbone")
    with terminal.plain_errors(ValueError, OSError, RuntimeError, ModuleNotFoundError):
        if to is None and out is None:
            terminal.fail("say --to onnx or --to pt2, or --out FILE with such an ending")
        from clip_iqa_backbone import create_backbone
        from clip_iqa_backbone.export.files import export_model

        path = out or Path(re.sub(r"[^\w.-]+", "-", model.rpartition("/")[2]) + f".{to}")
        backbone = create_backbone(model, pretrained=pretrained, vocabulary=vocabulary)  # type: ignore[arg-type]
        written = export_model(
            backbone, path, to=None if to is None else to.value, precision=precision.value, name=model
        )
        terminal.say(
            f"{path}: {path.stat().st_size / 1e6:.1f} MB; its log-probabilities differ from the model's in double "
            f"precision by at most {written.difference:.1e} on {written.views} made views"
        )
