"""`defnet cross`: trained on the mixture, judged on data sets never seen (Table 2)."""

from typing import Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels
from defnet.commands.experiment_options import (
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

`defnet cross --data-root /data/iqa --out runs/paper` — the paper's mixture, judged on TID2013, SPAQ and PIPAL

`defnet cross lite --data koniq-10k --data-root /data/iqa --out runs/lite` — any other data sets

`defnet cross --tables-only --out runs/paper` — the table of what is there by now

Every data set is judged with all its pictures, and without those that it shares with a data set that was trained on
(TID2013 and LIVE share nearly all of Kodak's): copies, resized, mirrored, and crops. DIR gets `shared_pictures.json`,
DIR/tables `table2` as Markdown, CSV and LaTeX, standard output too. A data set that is asked for later is judged by the
models that are there.

**Exit code**: 0 all is there, 1 some runs of the table are not, 2 nothing could be done, 130 interrupted."""


def cross(
    out: Out,
    config: Config = "paper",
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Data set to judge on, by default `tid2013`, `spaq` and `pipal`; may be given again.", metavar="NAME"
        ),
    ] = None,
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
    """Train on the mixture, and judge on data sets that it was not trained on."""
    make_tables(
        ("table2",),
        out,
        config,
        sessions,
        seeds,
        data_root,
        labels,
        zero_shot=data or None,
        jobs=jobs,
        cache=cache,
        device=device,
        tables_only=tables_only,
        tables=tables,
        output_format=output_format,
    )
