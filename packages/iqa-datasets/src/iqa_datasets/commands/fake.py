"""`iqa-datasets fake`: a tiny made-up data set in the official layout."""

from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.commands import terminal
from iqa_datasets.terminal import printable

EPILOG = """**Examples**

`iqa-datasets fake kadid-10k demo`

`iqa-datasets fake live demo --images 60 --seed 1`"""


def fake(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write; the official folder is made in it.")],
    images: Annotated[int, typer.Option(help="About how many scored images.", min=10)] = 24,
    seed: Annotated[int, typer.Option(help="Another seed gives other images, scores and sessions.", min=0)] = 0,
) -> None:
    """Write a tiny made-up data set in the official layout, with label files in their real formats, for tests.

    Images are drawn, not photographed. Prints the command that reads it.
    """
    from iqa_datasets.testing import make_fake

    with terminal.plain_errors():
        made = make_fake(name, folder, images=images, seed=seed)
    labels = f" --labels {made.labels} --session 1" if made.labels is not None else ""
    typer.echo(printable(f"iqa-datasets table {name} {made.root}{labels}"))
