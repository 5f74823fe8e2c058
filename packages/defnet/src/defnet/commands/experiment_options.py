"""Options of the commands that make sets of runs and tables of them."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.commands.train import BarReporter
from defnet.errors import ConfigError
from iqa_datasets.terminal import SOME_NOT, OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    from defnet.config.data import Session
    from defnet.experiments.found_runs import FoundRun
    from defnet.experiments.items import Outcome
    from defnet.experiments.reproduce import Options
    from defnet.experiments.table import Occasion, Table
    from iqa_datasets.terminal import Bar

TERMINAL = Terminal("defnet")

KEPT = "interrupted; finished runs and the last state of the others are kept, and the same command goes on"

Config = Annotated[
    str,
    typer.Argument(metavar="[CONFIG]", help="A TOML file, or the name of a shipped configuration, of the whole model."),
]
Out = Annotated[
    Path,
    typer.Option(
        help="Folder of the runs, each in NAME/session-S/seed-N, and of tables/. Several experiments may share it.",
        metavar="DIR",
    ),
]
Sessions = Annotated[
    str | None,
    typer.Option(
        help="`1-10` (LIQE's, the default), `1,3`, `official`, or `seeded-1,seeded-2` (ours).", metavar="LIST"
    ),
]
Seeds = Annotated[
    str | None, typer.Option(help="Seeds of each session, such as `0-2`; by default seed 0.", metavar="LIST")
]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of one thread.")]
Cache = Annotated[
    Path | None, typer.Option(help="Folder for pools of views, shared by runs; by default DIR/pools.", metavar="DIR")
]
TablesOnly = Annotated[
    bool,
    typer.Option(
        "--tables-only",
        help="Train nothing: make the tables of the runs that are in DIR, by default of all sessions and seeds there.",
    ),
]
Tables = Annotated[Path | None, typer.Option(help="Folder of the tables, by default tables/ in --out.", metavar="DIR")]
Format = Annotated[
    OutputFormat | None,
    typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
]


def parse_sessions(text: str) -> "list[Session]":
    """Read `1-10`, `1,3,5-7`, `seeded-1,seeded-2` or `official`.

    Raises:
        ConfigError: it is none of these.
    """
    from defnet.config.data import check_session

    found: list[Session] = []
    for word in text.split(","):
        span = re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", word)
        parts = [str(number) for number in range(int(span[1]), int(span[2]) + 1)] if span else [word.strip()]
        try:
            found += [check_session(part) for part in parts]
        except ValueError as error:
            raise ConfigError(f"--sessions {text}: {error}") from error
    if not found:
        raise ConfigError(f"--sessions {text}: names no session; 1-10 are LIQE's ten")
    return list(dict.fromkeys(found))


def parse_seeds(text: str) -> list[int]:
    """Read `0`, `0-2` or `0,7`.

    Raises:
        ConfigError: it is none of these.
    """
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise ConfigError(f"--seeds {text}: must be whole numbers, such as 0, 0-2 or 0,7")
    found: list[int] = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise ConfigError(f"--seeds {text}: names no seed")
    return list(dict.fromkeys(found))


class RunsReporter(BarReporter):
    """Shows a set of runs: one bar of runs, and lines for what should be known."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Say nothing: there are many runs."""


def run_options(
    config: str,
    out: Path,
    sessions: str | None,
    seeds: str | None,
    places: list[str] | None,
    labels: Path | None,
    **others: Any,
) -> "Options":
    """What the options say of how runs are made.

    Args:
        config: the configuration's name or file.
        out: folder of the runs.
        sessions: as given, or None for LIQE's ten.
        seeds: as given, or None for seed 0.
        places: where data lies.
        labels: where LIQE's label files lie.
        others: further fields of `Options`, None for the default.

    Raises:
        ConfigError: one of them is not right.
        DataError: those of where data lies contradict each other.
    """
    from defnet.commands.data_options import data_roots
    from defnet.config.toml_files import load_train_config
    from defnet.experiments.reproduce import Options

    return Options(
        config=load_train_config(config),
        sessions=parse_sessions(sessions or "1-10"),
        seeds=parse_seeds(seeds or "0"),
        roots=data_roots(places, labels),
        folder=out,
        **{name: value for name, value in others.items() if value is not None},
    )


def make_runs(
    items: "Sequence[str]", options: "Options", bar: "Bar", *, whole: bool
) -> "tuple[Options, list[Outcome]]":
    """Make the runs that items need, shown on a bar; see `train_for`."""
    from defnet.experiments.reproduce import train_for

    return train_for(items, replace(options, reporter=RunsReporter(bar)), whole=whole)


def wanted_occasions(sessions: str | None, seeds: str | None, runs: "Sequence[FoundRun]") -> "list[Occasion]":
    """The sessions and seeds that tables are made of: those of the options, else all that there are.

    Raises:
        ConfigError: an option is not right.
    """
    from defnet.experiments.found_runs import occasions

    there = occasions(runs)
    chosen = parse_sessions(sessions) if sessions else list(dict.fromkeys(session for session, _ in there))
    numbers = parse_seeds(seeds) if seeds else list(dict.fromkeys(seed for _, seed in there))
    return [(session, seed) for session in chosen for seed in numbers]


def show_table(table: "Table", output_format: OutputFormat | None) -> None:
    """Write a table to standard output: as people read it on a terminal, numbers in full elsewhere."""
    from defnet.report.tables import cell_text, csv_columns, csv_rows

    chosen = output_format or (OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv)
    if chosen is OutputFormat.table:
        write_rows([[cell_text(cell) for cell in row] for row in table.rows], table.columns, output_format=chosen)
    else:
        write_rows(csv_rows(table), csv_columns(table), output_format=chosen)


def write_tables(outcomes: "Iterable[Outcome]", folder: Path, output_format: OutputFormat | None) -> bool:
    """Write tables as Markdown, CSV and LaTeX, show the first, and say what is not there yet.

    Returns:
        Whether all is there.
    """
    from defnet.report.tables import write_table

    whole, shown = True, False
    for outcome in outcomes:
        if outcome.table is not None:
            paths = write_table(outcome.table, folder)
            if not shown:
                show_table(outcome.table, output_format)
            shown = True
            TERMINAL.say(f"{outcome.table.title}: {', '.join(map(str, paths))}")
        if outcome.problem:
            whole = False
            TERMINAL.say(f"{outcome.item}: {outcome.problem}")
    return whole


def make_tables(
    items: Sequence[str],
    out: Path,
    config: str,
    sessions: str | None,
    seeds: str | None,
    places: list[str] | None,
    labels: Path | None,
    *,
    tables_only: bool,
    tables: Path | None,
    output_format: OutputFormat | None,
    **others: Any,
) -> None:
    """Make the runs that tables need, and the tables; what the commands for one experiment do.

    Args:
        items: the tables, the main one first.
        out: folder of the runs.
        config: the configuration's name or file.
        sessions: as given.
        seeds: as given.
        places: where data lies.
        labels: where LIQE's label files lie.
        tables_only: train nothing.
        tables: folder of the tables, or None for that in `out`.
        output_format: of the main table on standard output.
        others: further fields of `Options`, None for the default.
    """
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError, interrupted=KEPT):
        from defnet.experiments.found_runs import found_runs
        from defnet.experiments.paper import ZERO_SHOT
        from defnet.report.from_files import make

        if tables_only:
            wanted = wanted_occasions(sessions, seeds, found_runs(out))
        else:
            options = run_options(config, out, sessions, seeds, places, labels, **others)
            with TERMINAL.progress(None, "starting") as bar:
                make_runs(items, options, bar, whole=False)
            wanted = options.occasions
        outcomes = list(make(items, out, wanted=wanted, zero_shot=others.get("zero_shot") or ZERO_SHOT))
        if outcomes[0].table is None:
            TERMINAL.fail(str(outcomes[0].problem))
        if not write_tables(outcomes, tables or out / "tables", output_format):
            raise typer.Exit(SOME_NOT)
