"""`defnet sweep`: the weights of the evidential losses (Table 5)."""

import itertools
from typing import Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels
from defnet.commands.experiment_options import (
    TERMINAL,
    Cache,
    Config,
    Format,
    Jobs,
    Out,
    Seeds,
    Sessions,
    Tables,
    TablesOnly,
    make_tables,
)

EPILOG = """**Examples**

`defnet sweep lite --data-root /data/iqa --out runs/lite --jobs 4` — the paper's six pairs of λ₁ and λ₂

`defnet sweep lite --lambda1 0.05,0.1,0.2 --lambda2 0.05,0.1,0.2 --data-root /data/iqa --out runs/lite` — a grid

`defnet sweep --tables-only --out runs/lite` — the table of what is there by now

λ₁ weighs the cross sub-region loss (Eq. 22), λ₂ the local-global loss (Eq. 27). DIR/tables gets `table5` as Markdown,
CSV and LaTeX, standard output too.

**Exit code**: 0 all is there, 1 some runs of the table are not, 2 nothing could be done, 130 interrupted."""


def sweep(
    out: Out,
    config: Config = "paper",
    lambda1: Annotated[
        str | None, typer.Option(help="Values of λ₁, such as `0.1,0.2`; each with each of λ₂.", metavar="LIST")
    ] = None,
    lambda2: Annotated[str | None, typer.Option(help="Values of λ₂, likewise.", metavar="LIST")] = None,
    sessions: Sessions = None,
    seeds: Seeds = None,
    data_root: DataRoot = None,
    labels: Labels = None,
    jobs: Jobs = 1,
    cache: Cache = None,
    device: Device = None,
    tables_only: TablesOnly = False,
    tables: Tables = None,
    output_format: Format = None,
) -> None:
    """Train with other weights of the two evidential losses, and compare them over sessions."""
    make_tables(
        ("table5",),
        out,
        config,
        sessions,
        seeds,
        data_root,
        labels,
        grid=_grid(lambda1, lambda2),
        jobs=jobs,
        cache=cache,
        device=device,
        tables_only=tables_only,
        tables=tables,
        output_format=output_format,
    )


def _grid(lambda1: str | None, lambda2: str | None) -> list[tuple[float, float]] | None:
    if lambda1 is None and lambda2 is None:
        return None
    if lambda1 is None or lambda2 is None:
        TERMINAL.fail("--lambda1 and --lambda2 go together; without both, the paper's six pairs are taken")
    return list(itertools.product(_numbers("--lambda1", lambda1), _numbers("--lambda2", lambda2)))


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        TERMINAL.fail(f"{option} {text}: must be numbers with commas between, such as 0.1,0.2")
