"""`defnet reproduce`: any table or figure of the paper, or all of them."""

from typing import TYPE_CHECKING, Annotated

import typer

from defnet.commands.data_options import DataRoot, Device, Labels
from defnet.commands.experiment_options import (
    KEPT,
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
    make_runs,
    run_options,
    wanted_occasions,
)
from iqa_datasets.terminal import NOTHING_DONE, SOME_NOT, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from defnet.experiments.items import Outcome

EPILOG = """**Examples**

`defnet reproduce table1 --data-root /data/iqa --out runs/paper` — agreement by data set, over ten sessions

`defnet reproduce all lite --sessions 1-3 --data-root /data/iqa --out runs/lite --jobs 4` — what can be made with the
data sets that are there

`defnet reproduce all --tables-only --out runs/lite` — every table and figure of the runs that are there by now

`table1` agreement by data set, `table2` data sets never seen, `table3` and `table7` distortion types of CSIQ and LIVE
(`distortions`: of the other data sets), `table4` the ablation with `claims`, `table5` the weights of the losses,
`table6` widths of intervals, `uncertainty` whether they are true, `table8` size and speed; `figure1`, `figure5`,
`figure6`, `figure8` to `figure11` and `reliability`. One folder serves all: the runs that several need are made once.
Of a single item, data sets that are missing are named before anything is trained. `all` leaves them out of the mixture,
does the rest, and lists what could not be made and why.

**Exit code**: 0 all is there, 1 something could not be made or is not whole, 2 nothing could be done, 130
interrupted."""


def reproduce(
    what: Annotated[
        str, typer.Argument(metavar="TABLE|FIGURE|all", help="What to make, such as `table4`, `figure8` or `all`.")
    ],
    out: Out,
    config: Config = "paper",
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
    """Make a table or a figure of the paper, or all of them, with the runs that they need."""
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError, interrupted=KEPT):
        from defnet.experiments.found_runs import found_runs
        from defnet.experiments.items import items_of
        from defnet.report.from_files import make

        items = items_of(what)
        folder = tables or out / "tables"
        outcomes: list[Outcome] = []
        with TERMINAL.progress(None, "starting") as bar:
            if tables_only:
                wanted = wanted_occasions(sessions, seeds, found_runs(out))
                settings = None
            else:
                options = run_options(
                    config, out, sessions, seeds, data_root, labels, jobs=jobs, cache=cache, device=device
                )
                options, outcomes = make_runs(items, options, bar, whole=len(items) > 1)
                wanted, settings = options.occasions, options.config
            bar.stage("tables and figures", None)
            outcomes += make(items, out, wanted=wanted, config=settings, figures=folder)
        rows = [_row(outcome, folder) for outcome in outcomes]
        write_rows(rows, ("item", "made", "not made"), output_format=output_format)
        if not any(row[1] for row in rows):
            raise typer.Exit(NOTHING_DONE)
        if any(outcome.problem for outcome in outcomes):
            raise typer.Exit(SOME_NOT)


def _row(outcome: "Outcome", folder: "Path") -> tuple[str, str, str]:
    """Write what is made, and say it in a row."""
    from defnet.report.tables import write_table

    paths = outcome.files if outcome.table is None else tuple(write_table(outcome.table, folder))
    return outcome.item, " ".join(map(str, paths)), outcome.problem or ""
