"""`defnet degrade`: degraded copies of rated photographs."""

from pathlib import Path
from typing import Annotated

import typer

from defnet.commands.pseudo_rate import metric_names, track_of
from iqa_datasets.terminal import SOME_NOT, OutputFormat, Terminal, write_rows

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet degrade ChallengeDB_release/Images degraded/` — two degraded copies of each photograph

`defnet degrade photos/ degraded/ --per-photo 3 --metrics haarpsi,mdsi,dss,vsi` — and say which of the copies of one
photograph is the better, by metrics fused

`defnet train my.toml --data-root /data/iqa --data-root degraded=degraded/ --out runs/mine` — learn that each copy is
worse than its photograph, beside the photographs' own ratings; see "Train a judge without ratings" in the documentation
for what `[[data]]` says of it

The folder gets `order.csv` (a row an image: reference, content, class of distortion, severity, and the score: 1 for a
photograph, and for its copies 0, or with `--metrics` the fused rating, and its standard deviation), `iqa-dataset.toml`
and the images. Standard output gets a row for each photograph that could not be
degraded, or copy that could not be measured, and why.

**Exit code**: 0 all degraded, 1 some were not, 2 nothing could be done, 130 interrupted; the same command goes on."""


def degrade(
    photographs: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of photographs.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    per_photo: Annotated[int, typer.Option(min=1, help="Copies of each photograph.")] = 2,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Order the copies of a photograph by these full-reference metrics, fused; `all` for the eight of "
            "pseudo-rate.",
            metavar="NAMES",
        ),
    ] = None,
    method: Annotated[str, typer.Option(help="Of the fusion.", metavar="NAME")] = "robust",
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other distortions.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores if not given.")] = None,
    device: Annotated[str | None, typer.Option(help="Where metrics are computed: `cpu`, `cuda`, …")] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Make degraded copies of photographs, to learn that each is worse than its photograph."""
    from defnet.errors import DEFNetError

    kept = f"interrupted; what was made is kept in {out}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        from defnet.pseudo_ratings.degraded_folder import degrade as make
        from defnet.pseudo_ratings.fused_scores import METRICS

        names = metric_names(metrics)
        made = make(
            photographs,
            out,
            per_photograph=per_photo,
            metrics=METRICS if names == ["all"] else names,
            method=method,
            seed=seed,
            workers=workers,
            device=device,
            track=track_of(TERMINAL),
        )
        if made.problems:
            write_rows([list(problem) for problem in made.problems], ["file", "reason"], output_format=output_format)
        photos = made.records["content"].nunique()
        TERMINAL.say(
            f"{made.folder}: {len(made.records) - photos:,} copies of {photos:,} photographs; "
            f"{len(made.problems):,} images with a problem"
        )
    if made.problems:
        raise typer.Exit(SOME_NOT)
