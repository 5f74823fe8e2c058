"""`iqa-datasets plot`: the distribution of a data set's scores as a picture."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.commands import terminal

EPILOG = """**Examples**

`iqa-datasets plot live-challenge ChallengeDB_release` — writes live-challenge-scores.svg

`iqa-datasets plot csiq CSIQ --score quality --out csiq.png`

**Exit code**: 0 done, 2 nothing could be done."""

SUFFIXES = (".svg", ".png", ".pdf")


class Score(StrEnum):
    """Which score is drawn."""

    mos = "mos"
    quality = "quality"


def plot(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The official folder.")],
    out: Annotated[
        Path | None, typer.Option(help="A .svg, .png or .pdf file; NAME-scores.svg if not given.", metavar="FILE")
    ] = None,
    score: Annotated[Score, typer.Option(help="As published, or on [1, 5] with higher = better.")] = Score.mos,
) -> None:
    """Draw the scores' histogram with a kernel density estimate, and their normal Q–Q plot."""
    path = out if out is not None else Path(f"{name}-scores.svg")
    terminal.check_out(path, SUFFIXES)
    from iqa_datasets.atomic_files import replacing
    from iqa_datasets.registry import load
    from iqa_datasets.score_plots import plot_scores

    with terminal.plain_errors():
        try:
            figure = plot_scores(load(name, root), score=score.value)
        except ImportError as error:
            terminal.fail(str(error))
        with replacing(path) as part:
            figure.savefig(part, dpi=150)
    terminal.say(f"wrote {path}")
