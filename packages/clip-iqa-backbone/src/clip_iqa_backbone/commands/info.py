"""`clip-iqa-backbone info`: what an exported file says of itself."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.terminal import OutputFormat, Terminal, write_rows

EPILOG = """**Examples**

`clip-iqa-backbone info liqe.onnx` — its words, its input, what it gives, which versions wrote it

`clip-iqa-backbone info liqe.onnx --format json` — the same for a program

**Exit code**: 0 said, 2 it is no exported file."""


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `clip-iqa-backbone export` wrote.")],
    output_format: Annotated[
        OutputFormat | None, typer.Option("--format", help="By default a table on a terminal, CSV on a pipe.")
    ] = None,
) -> None:
    """Say what an exported file is."""
    with Terminal("clip-iqa-backbone").plain_errors(ValueError, OSError, ModuleNotFoundError):
        from clip_iqa_backbone.export.files import read_exported

        said = read_exported(file)
        if output_format in (OutputFormat.json, OutputFormat.jsonl):
            indent = 2 if output_format is OutputFormat.json else None
            sys.stdout.write(json.dumps(said, ensure_ascii=False, indent=indent) + "\n")
            return
        rows = [{"field": name, "value": _words(value)} for name, value in said.items()]
        write_rows(rows, ("field", "value"), output_format=output_format)


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
