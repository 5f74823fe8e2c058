"""The log of a training run: lines of JSON, tables for spreadsheets, and events for TensorBoard."""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from defnet.errors import ConfigError
from defnet.finite_json import to_json
from iqa_datasets.atomic_files import replacing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_FILE = "log.jsonl"
STEPS_FILE, EPOCHS_FILE = "steps.csv", "epochs.csv"
TENSORBOARD_FOLDER = "tensorboard"


class Log:
    """The log of a run in its folder; what is from beyond the step that is resumed from is cut off.

    `log.jsonl` has everything, a line a step or an epoch. `steps.csv` and `epochs.csv` have the same as tables, a
    column a value: `train.<term>` is an epoch's mean, `validation.<figure>` is of all data sets and
    `validation.<data set>.<figure>` of one. They are written from `log.jsonl` whenever a state is.

    Args:
        folder: the run's folder; None where another process writes the log.
        step: the step that the run goes on from; 0 starts anew.
        tensorboard: write events for TensorBoard too.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None, step: int, *, tensorboard: bool = False) -> None:
        self._file: TextIO | None = None
        self._events: SummaryWriter | None = None
        self._tables: list[_Table] = []
        if folder is None:
            return
        self._events = _event_writer(folder / TENSORBOARD_FOLDER, step) if tensorboard else None
        path = folder / LOG_FILE
        kept = b""
        if path.exists() and step > 0:
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                if row.get("step", -1) >= step:
                    break
                kept += line
        with replacing(path) as part:
            part.write_bytes(kept)
        self._file = path.open("a", encoding="utf-8")
        self._tables = [_Table(folder / name, path) for name in (STEPS_FILE, EPOCHS_FILE)]
        self.sync()

    def step(self, row: Mapping[str, Any]) -> None:
        """Append a step."""
        self._write(row)
        self._show({f"step/{name}": value for name, value in row.items() if name not in ("step", "epoch")}, row["step"])

    def epoch(self, row: Mapping[str, Any], step: int) -> None:
        """Append an epoch, which ended with that many steps done."""
        self._write(row)
        self._show({f"epoch/{name}": value for name, value in flat(row).items() if name != "epoch"}, step)

    def speed(self, images_per_second: float, step: int) -> None:
        """Note how fast it goes: for TensorBoard alone, since the rest is the same whenever a run is done again."""
        self._show({"images_per_second": images_per_second}, step)

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(to_json(row) + "\n")

    def sync(self) -> None:
        """Make sure that all lines are on disk, and the tables beside them."""
        if self._file is None:
            return
        self._file.flush()
        os.fsync(self._file.fileno())
        for table in self._tables:
            table.bring_up()
        if self._events is not None:
            self._events.flush()

    def _show(self, values: Mapping[str, Any], step: int) -> None:
        if self._events is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self._events.add_scalar(name, value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._events is not None:
            self._events.close()


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """An epoch's row with its figures side by side, named as the columns of `epochs.csv`."""
    values: dict[str, Any] = {}
    for name, value in row.items():
        if name == "by_dataset":
            values |= {
                f"validation.{dataset}.{figure}": v
                for dataset, figures in value.items()
                for figure, v in figures.items()
            }
        elif isinstance(value, Mapping):
            values |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            values[name] = value
    return values


class _Table:
    """A CSV file of the log's steps, or of its epochs, that follows the log."""

    def __init__(self, path: Path, log: Path) -> None:
        self._path, self._log = path, log
        self._of_steps = path.name == STEPS_FILE
        self._columns: list[str] | None = None
        self._read = 0

    def bring_up(self) -> None:
        """Append what has come to the log; write all of it anew where there is a new column."""
        rows = list(self._rows(self._read))
        missing = [name for name in _columns(rows) if self._columns is None or name not in self._columns]
        if missing or not self._columns:
            self._columns = (self._columns or []) + missing
            if not self._columns:
                self._path.unlink(missing_ok=True)  # of a run that has been begun anew
                return
            with replacing(self._path) as part, part.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, self._columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(self._rows(0))
        elif rows:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._columns, lineterminator="\n").writerows(rows)
        self._read = self._log.stat().st_size

    def _rows(self, start: int) -> Iterator[dict[str, Any]]:
        with self._log.open("rb") as file:
            file.seek(start)
            for line in file:
                row = json.loads(line)
                if ("step" in row) is self._of_steps:
                    yield flat(row)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _event_writer(folder: Path, step: int) -> "SummaryWriter":
    try:
        import tensorboard  # noqa: F401 - which torch's writer writes with
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(f"TensorBoard is not installed ({error}): pip install 'defnet[tensorboard]'") from error
    # What was written of later steps is hidden.
    return SummaryWriter(str(folder), purge_step=step)
