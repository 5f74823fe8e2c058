"""`defnet pseudo-rate`: a data set with ratings from photographs that nobody has rated."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from iqa_datasets.terminal import SOME_NOT, OutputFormat, Terminal, write_rows

TERMINAL = Terminal("defnet")

EPILOG = """**Examples**

`defnet pseudo-rate photos/ rated/` — a piece of each photograph, distorted in 36 ways, measured by eight metrics

`defnet pseudo-rate photos/ rated/ --pieces 3 --per-piece 50 --seed 1`

`defnet pseudo-rate photos/ rated/ --metrics vsi,fsimc,gmsd,ms_ssim --method sf-ms` — other metrics, fused by the map
score fusion paper's method

`defnet train my.toml --data-root synthetic=rated/ --out runs/mine` — train on it, as on any folder of one's own

The folder gets `ratings.csv` (a row an image: reference, class of distortion, severity, each metric's score, the fused
rating from 0 to 1 and its standard deviation), `iqa-dataset.toml`, `pseudo-ratings.json` (settings, weights, refused
photographs) and the images. Standard output gets a row for each photograph that was not used, and why.

**Exit code**: 0 all rated, 1 some photographs or images were not used, 2 nothing could be done, 130 interrupted; the
same command goes on."""


def pseudo_rate(
    photographs: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder of good photographs.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            help="Full-reference metrics, separated by commas (see `map-score-fusion score --list-metrics`).",
            metavar="NAMES",
        ),
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of the fusion (see `map-score-fusion evaluate --help`).", metavar="NAME")
    ] = "robust",
    size: Annotated[
        str, typer.Option(help="Of the pieces; the distortions' settings are meant for 512x384.", metavar="WxH")
    ] = "512x384",
    pieces: Annotated[int, typer.Option(min=1, help="Pieces of each photograph, at mixed scales.")] = 1,
    per_piece: Annotated[int, typer.Option(min=1, help="Distorted images of each piece, of 150.")] = 36,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other pieces and distortions.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; all cores if not given.")] = None,
    device: Annotated[str | None, typer.Option(help="Where metrics are computed: `cpu`, `cuda`, …")] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """Distort photographs, measure them against what they were, and fuse the scores to ratings that nobody gave."""
    from defnet.errors import DEFNetError

    kept = f"interrupted; what was made is kept in {out}, and the same command goes on from it"
    with TERMINAL.plain_errors(DEFNetError, interrupted=kept):
        found = re.fullmatch(r"(\d+)x(\d+)", size)
        if found is None:
            TERMINAL.fail(f"--size must be WIDTHxHEIGHT, such as 512x384, got {size!r}")
        from defnet.pseudo_ratings.fused_scores import METRICS
        from defnet.pseudo_ratings.rated_folder import pseudo_rate

        names = metric_names(metrics)
        made = pseudo_rate(
            photographs,
            out,
            metrics=names or METRICS,
            method=method,
            size=(int(found[1]), int(found[2])),
            pieces=pieces,
            per_piece=per_piece,
            seed=seed,
            workers=workers,
            device=device,
            track=track_of(TERMINAL),
        )
        unused = [[one.path, one.reason] for one in made.refused] + [list(problem) for problem in made.problems]
        if unused:
            write_rows(unused, ["file", "reason"], output_format=output_format)
        photos = made.records["reference"].nunique()
        TERMINAL.say(
            f"{made.folder}: {len(made.records):,} images of {photos:,} pieces rated; "
            f"{len(made.refused):,} photographs refused, {len(made.problems):,} images without a rating"
        )
    if unused:
        raise typer.Exit(SOME_NOT)


def track_of(terminal: Terminal) -> Callable[[Iterable[Any], int, str], Iterable[Any]]:
    """What shows on a terminal how far a folder of images has got."""
    return lambda items, total, what: terminal.track(items, total, what)


def metric_names(options: list[str] | None) -> list[str]:
    """The names in values of `--metrics`, which may be given again and hold several, separated by commas."""
    return [name.strip() for text in options or () for name in text.split(",") if name.strip()]
