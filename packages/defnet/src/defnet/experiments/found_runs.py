"""The finished runs of an experiment, as its folder holds them: all that tables and plots are made from."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from defnet.config.data import Session
from defnet.errors import DataError
from defnet.experiments.prediction_table import read_predictions
from defnet.experiments.result import RESULT_FILE, Result, read_result
from defnet.experiments.table import Occasion


@dataclass(frozen=True)
class FoundRun:
    """A finished run.

    Attributes:
        folder: where it lies.
        result: its figures.
    """

    folder: Path
    result: Result

    @property
    def occasion(self) -> Occasion:
        """Its session and seed."""
        return self.result.session, self.result.seed

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Its table of predictions, read when it is first asked for."""
        return read_predictions(self.folder)


def found_runs(folder: Path) -> list[FoundRun]:
    """Every finished run below a folder, in order of their paths.

    Raises:
        DataError: there is no such folder, a result is damaged, or two runs have one name, session and seed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of runs")
    runs = [FoundRun(path.parent, read_result(path.parent)) for path in sorted(folder.rglob(RESULT_FILE))]
    seen: dict[tuple[str, Session | None, int], Path] = {}
    for run in runs:
        key = (run.result.name, *run.occasion)
        if key in seen:
            raise DataError(
                f"{seen[key]} and {run.folder} both are the run {run.result.name!r} of session {key[1]} and seed "
                f"{key[2]}; name the folder of one experiment"
            )
        seen[key] = run.folder
    return runs


def named(runs: Iterable[FoundRun], name: str) -> list[FoundRun]:
    """The runs of one row."""
    return [run for run in runs if run.result.name == name]


def occasions(runs: Iterable[FoundRun]) -> list[Occasion]:
    """Every session and seed that any of the runs has, sessions in order."""
    return sorted({run.occasion for run in runs}, key=lambda occasion: (_order(occasion[0]), occasion[1]))


def _order(session: Session | None) -> tuple[int, int, str]:
    if isinstance(session, int):
        return (0, session, "")
    return (1, int(re.sub(r"\D", "", str(session)[:20]) or 0), str(session))


def not_there(
    runs: Sequence[FoundRun], names: Sequence[str], wanted: Collection[Occasion] | None = None
) -> tuple[str, ...]:
    """Say which runs a table lacks.

    Args:
        runs: the runs that there are.
        names: the rows.
        wanted: sessions and seeds that each row should have; by default all that any of these rows has.

    Returns:
        A sentence, or nothing.
    """
    rows = {name: named(runs, name) for name in names}
    if wanted is None:
        wanted = occasions(run for row in rows.values() for run in row)
    missing = {name: [o for o in wanted if o not in {run.occasion for run in row}] for name, row in rows.items()}
    missing |= {name: list(wanted) for name, row in rows.items() if not row}
    count = sum(map(len, missing.values()))
    lacking = [name for name in names if missing[name] or not rows[name]]
    if not lacking:
        return ()
    told = "; ".join(f"{name} ({_told(missing[name]) or 'every session'})" for name in lacking)
    return (f"Not there yet: {count} of {len(names) * len(wanted)} runs: {told}.",)


def _told(missing: Sequence[Occasion]) -> str:
    seeds: dict[int, list[str]] = {}
    for session, seed in missing:
        seeds.setdefault(seed, []).append("its own" if session is None else str(session))
    return ", ".join(
        f"session{'s' if len(of) > 1 else ''} {' '.join(of)}" + (f" of seed {seed}" if seed else "")
        for seed, of in seeds.items()
    )
