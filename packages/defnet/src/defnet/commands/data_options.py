"""Options of the commands that read data sets."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from defnet.data.roots import DataRoots

DataRoot = Annotated[
    list[str] | None,
    typer.Option(
        help="`DIR`, which holds the data sets' official folders and `liqe-labels/` (by default what IQA_DATA_ROOT "
        "names), or `NAME=DIR`, the folder of one data set; may be given again.",
        metavar="DIR|NAME=DIR",
    ),
]
Labels = Annotated[
    Path | None, typer.Option(help="Folder of LIQE's label files, if not DIR/liqe-labels.", metavar="DIR")
]
Device = Annotated[str | None, typer.Option(help="`cpu`, `cuda`, …; by default CUDA if there.")]


def data_roots(places: list[str] | None, labels: Path | None) -> "DataRoots":
    """Where data lies, by the options and the environment.

    Raises:
        DataError: the options contradict each other, or name a folder of labels that does not exist.
    """
    from defnet.data.roots import DataRoots

    roots = DataRoots.parse(places or [], labels)
    default = os.environ.get("IQA_DATA_ROOT")
    return roots if roots.root is not None or not default else DataRoots(default, roots.labels, roots.folders)
