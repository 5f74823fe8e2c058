"""Tables of scores as they are read back to be looked at: of this version, an earlier one, or by another hand."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from defnet.errors import DEFNetError
from defnet.scoring.score_rows import ENCODING
from defnet.scoring.scores import COLUMNS, Score, flat_row

SUFFIXES: Final = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Endings of the names of tables that can be read."""

_NUMBERS: Final = (
    "quality",
    "expected_quality",
    "aleatoric_std",
    "epistemic_std",
    "lower",
    "upper",
    "familiarity",
    "scene_probability",
    "distortion_probability",
)
_TEXTS: Final = ("scene", "distortion")
_REASONS: Final = ("reason", "error", "failure")
_NO_SCORE: Final = "has no score in the table"


class ScoreTableError(DEFNetError):
    """A file is no table of scores."""


@dataclass(frozen=True)
class ScoredRow:
    """One row of a table of scores, or an image that could not be scored.

    Attributes:
        path: the image's path, as the table has it.
        values: the figures by column; NaN where there is none.
        scene: the most probable scene; empty where it is not known.
        distortion: the most probable distortion, likewise.
        frame: which frame of the file, counted from 1.
        frames: how many it has.
        file_size: size of the file when it was scored.
        file_modified: when it had been written, as `Score` has it.
        warnings: what a reader should know.
        reason: why there is no score; None where there is one.
    """

    path: str
    values: Mapping[str, float]
    scene: str = ""
    distortion: str = ""
    frame: int = 1
    frames: int = 1
    file_size: int | None = None
    file_modified: str | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from other rows."""
        return self.path, self.frame

    @property
    def std(self) -> float:
        """Root of the predictive variance, √(aleatoric² + epistemic²); NaN where none is stated."""
        return math.hypot(self.values.get("aleatoric_std", math.nan), self.values.get("epistemic_std", math.nan))


@dataclass(frozen=True)
class ScoreTable:
    """What a table of scores holds.

    Attributes:
        rows: its rows, in order, each image (or frame) once.
        missing: columns that `defnet score` writes and that it does not have.
        repeated: how many rows were left out because a later one is of the same image.
    """

    rows: tuple[ScoredRow, ...]
    missing: tuple[str, ...] = ()
    repeated: int = 0


def failed_row(path: str, reason: str) -> ScoredRow:
    """The row of an image that could not be scored."""
    return ScoredRow(path, {}, reason=reason)


def row_of_score(score: Score) -> ScoredRow:
    """The row of a score."""
    return _row(flat_row(score), 0)


def read_score_table(path: Path) -> ScoreTable:
    """Read a table of scores. Of rows of the same image the last counts, which is how tables grow.

    Args:
        path: a CSV, JSON lines, JSON or Parquet file.

    Raises:
        ScoreTableError: it is not there, is no table of scores, or a row of it is none; the message says which.
        ImportError: Parquet, and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ScoreTableError(f"{path}: the name of a table of scores ends in {', '.join(SUFFIXES)}")
    try:
        columns, records = _READERS[suffix](path)
    except FileNotFoundError:
        raise ScoreTableError(f"{path}: there is no such table of scores") from None
    except IsADirectoryError:
        raise ScoreTableError(f"{path}: is a folder, not a table of scores") from None
    except (ValueError, csv.Error) as error:
        raise ScoreTableError(f"{path}: cannot be read as a table of scores: {error}") from error
    lacking = [name for name in ("path", "quality") if name not in columns]
    if lacking and records:
        named = ", ".join([*columns[:12], "…"] if len(columns) > 12 else columns) or "none"
        raise ScoreTableError(
            f"{path}: is not a table of scores: it has no column {lacking[0]!r} (its columns: {named})"
        )
    if not records:
        raise ScoreTableError(f"{path}: holds no row")
    rows: dict[tuple[str, int], ScoredRow] = {}
    for number, record in enumerate(records, start=1):
        try:
            row = _row(record, number)
        except ValueError as error:
            raise ScoreTableError(f"{path}: row {number}: {error}") from None
        rows.pop(row.key, None)
        rows[row.key] = row
    missing = tuple(name for name in COLUMNS if name not in columns)
    return ScoreTable(tuple(rows.values()), missing, len(records) - len(rows))


def _row(record: Mapping[str, Any], number: int) -> ScoredRow:
    path = record["path"]
    if not isinstance(path, str) or not path:
        if number:
            raise ValueError("it has no path")
        path = path or ""
    values = {name: _number(name, record.get(name)) for name in _NUMBERS}
    warnings = record.get("warnings") or ()
    if isinstance(warnings, str):
        warnings = warnings.split("; ")
    said = next((str(record[name]) for name in _REASONS if record.get(name)), None)
    if said is None and math.isnan(values["quality"]):
        said = "; ".join(map(str, warnings)) or _NO_SCORE
    size = _number("file_size", record.get("file_size"))
    scene, distortion = (str(record.get(name) or "") for name in _TEXTS)
    return ScoredRow(
        path=path,
        values=values,
        scene=scene,
        distortion=distortion,
        frame=_whole("frame", record.get("frame")),
        frames=_whole("frames", record.get("frames")),
        file_size=None if math.isnan(size) else int(size),
        file_modified=str(record["file_modified"]) if record.get("file_modified") else None,
        warnings=tuple(map(str, warnings)),
        reason=said,
    )


def _number(name: str, value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, which is no number") from None
    return found if math.isfinite(found) else math.nan


def _whole(name: str, value: Any) -> int:
    found = _number(name, value)
    return 1 if math.isnan(found) else int(found)


_Records = tuple[Sequence[str], list[Mapping[str, Any]]]


def _read_csv(path: Path) -> _Records:
    text = path.read_bytes().decode("utf-8-sig", ENCODING["errors"])
    if "\0" in text:
        raise ValueError("it holds zero bytes, which no text does")
    reader = csv.reader(io.StringIO(text, newline=""))
    columns = next(reader, [])
    records: list[Mapping[str, Any]] = []
    for values in reader:
        if not values:
            continue
        if len(values) != len(columns):
            raise ValueError(f"line {reader.line_num} has {len(values)} values for {len(columns)} columns")
        records.append(dict(zip(columns, values, strict=True)))
    return columns, records


def _read_json_lines(path: Path) -> _Records:
    return _records(_decoded_lines(path.read_bytes().decode(**ENCODING)))


def _decoded_lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise ValueError(f"line {number} is not JSON") from None


def _read_json(path: Path) -> _Records:
    found = json.loads(path.read_bytes().decode(**ENCODING))
    if not isinstance(found, list):
        raise ValueError("it is JSON, but no array of rows")
    return _records(iter(found))


def _read_parquet(path: Path) -> _Records:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowInvalid:
        raise ValueError("it is no Parquet file") from None
    return table.column_names, table.to_pylist()


def _records(found: Iterator[Any]) -> _Records:
    records = list(found)
    columns: dict[str, None] = {}
    for number, record in enumerate(records, start=1):
        if not isinstance(record, dict):
            raise ValueError(f"row {number} is not an object with columns")
        columns.update(dict.fromkeys(record))
    for number, record in enumerate(records, start=1):
        for name in ("path", "quality"):
            if name in columns and name not in record:
                raise ValueError(f"row {number} has no {name!r}")
    return list(columns), records


_READERS: Final = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
