"""`defnet ablate`: which tasks and losses help (Table 4), and whether the paper's claims hold."""

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

`defnet ablate lite --data-root /data/iqa --out runs/lite --jobs 4` — sixteen rows on LIQE's ten sessions

`defnet ablate my.toml --sessions seeded-1,seeded-2 --seeds 0-2 --data-root mine=photos --out runs/mine`

`defnet ablate --tables-only --out runs/lite` — the tables of what is there by now

The rows are {q, q+s, q+d, q+s+d} by {M, M+U, M+F, M+U+F}: the tasks quality, scene and distortion, and the losses of
Eqs. 13, 22 and 27; those of the configuration's own tasks. DIR/tables gets `table4` and `claims` (paired tests) as
Markdown, CSV and LaTeX; standard output gets the first.

**Exit code**: 0 all is there, 1 some runs of the tables are not, 2 nothing could be done, 130 interrupted."""


def ablate(
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
    """Train every combination of tasks and losses, and compare them over sessions."""
    make_tables(
        ("table4", "claims"),
        out,
        config,
        sessions,
        seeds,
        data_root,
        labels,
        jobs=jobs,
        cache=cache,
        device=device,
        tables_only=tables_only,
        tables=tables,
        output_format=output_format,
    )
