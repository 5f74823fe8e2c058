"""Options of the commands that read data sets."""

from pathlib import Path
from typing import Annotated

import typer

DataRoot = Annotated[
    Path,
    typer.Option(
        help="Folder that holds the data sets' official folders and liqe-labels/.",
        envvar="IQA_DATA_ROOT",
        metavar="DIR",
    ),
]
Labels = Annotated[
    Path | None, typer.Option(help="Folder of LIQE's label files, if not DATA_ROOT/liqe-labels.", metavar="DIR")
]
Device = Annotated[str | None, typer.Option(help="`cpu`, `cuda`, …; by default CUDA if there.")]
