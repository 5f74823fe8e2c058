"""Tables of scores on disk: written as they come, gone on with after any interruption, never half a row."""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from defnet.errors import DEFNetError
from defnet.scoring.score_rows import ENCODING, HEADER, RowFormat, line_of, parse_rows, row_of
from defnet.scoring.scores import COLUMNS, Score
from defnet.scoring.seen import FileState, file_state
from iqa_datasets.atomic_files import remove_unfinished, replacing
from iqa_datasets.row_files import write_rows

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
"""Endings of the names of tables of scores, by which their format is chosen."""

_LINES: Mapping[str, RowFormat] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ANOTHER = "give another --out, or --overwrite to replace it"


class ScoreFileError(DEFNetError):
    """A table of scores cannot be written or gone on with."""


class ScoreFile:
    """A table of scores that grows on disk and that a later run can go on with.

    Beside `scores.csv` stands `scores.csv.run.json`, which says how its rows were made. A run that was made
    differently (other weights, crops, frames or versions) refuses to mix its rows with them. A row counts for as long
    as its file has the size and the modification time that the row states.

    CSV and JSON lines grow a row at a time. JSON and Parquet cannot: their rows are gathered as JSON lines in a hidden
    file beside the table, and `close` makes the table of them. A run that was killed leaves that file, and the next one
    goes on with it.

    Args:
        path: the table; its name ends in one of `SUFFIXES`.
        provenance: what the rows depend on, as JSON.
        overwrite: start anew even if the table exists.

    Attributes:
        rows: number of rows on disk.
        done: paths whose rows `settle` has kept.

    Raises:
        ScoreFileError: the table exists and was made differently, or nobody knows how; its folder does not exist; or
            there is no room on the disk.
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, provenance: Mapping[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ScoreFileError(
                f"{path}: the name of a table of scores must end in {', '.join(SUFFIXES)}, got {path.suffix!r}"
            )
        if not path.parent.is_dir():
            raise ScoreFileError(f"{path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ScoreFileError(f"{path}: is a folder, not a table of scores")
        self._run = path.with_name(path.name + ".run.json")
        self._format: RowFormat = _LINES.get(suffix, "jsonl")
        self._lines = path if suffix in _LINES else path.with_name(f".{path.name}.rows.jsonl")
        self._table: list[dict[str, Any]] = []
        self._every_frame = provenance.get("frames") == "all"
        self.done: frozenset[str] = frozenset()
        if overwrite:
            path.unlink(missing_ok=True)
            self._lines.unlink(missing_ok=True)
        if path.exists() or self._lines.exists():
            self._check_provenance(provenance)
            self._table = self._whole_rows()
        else:
            with replacing(self._run) as part:
                part.write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        self.rows = len(self._table)
        # Without a buffer of Python's, so that every row is the system's at once and closing can never fail.
        self._stream = self._lines.open("ab", buffering=0)
        if self._lines.stat().st_size == 0 and self._format == "csv":
            self._append(HEADER)

    def _check_provenance(self, provenance: Mapping[str, Any]) -> None:
        try:
            found = json.loads(self._run.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ScoreFileError(
                f"{self.path}: exists, and without {self._run.name} beside it nobody knows how it was made; {_ANOTHER}"
            ) from None
        differing = _differences(found, json.loads(json.dumps(provenance)))
        if differing:
            raise ScoreFileError(f"{self.path}: its rows were made {'; '.join(differing)}; {_ANOTHER}")

    def _whole_rows(self) -> list[dict[str, Any]]:
        """Read the rows that there are; cut off what a killed run left of a last one."""
        try:
            if self._lines != self.path and not self._lines.exists():
                rows = _read_table(self.path)
                self._replace_lines(rows)
                return rows
            text = self._lines.read_bytes().decode(**ENCODING)
            rows, whole = parse_rows(text, self._format)
        except ValueError as error:
            raise ScoreFileError(f"{self.path}: {error}; {_ANOTHER}") from None
        if whole != text:
            with replacing(self._lines) as part:
                part.write_bytes(whole.encode(**ENCODING))
        return rows

    def settle(self, paths: Iterable[str], state: Callable[[str], FileState | None] = file_state) -> tuple[int, int]:
        """Keep the rows of these images that still hold, and drop those of images that are to be scored anew.

        An image is kept if its file is as large and as old as its rows say, and all its frames are there. Rows of
        other images stay as they are. Afterwards `done` tells which are kept.

        Args:
            paths: the images of this run.
            state: what a file is now.

        Returns:
            How many images are kept, and how many have rows that no longer hold.
        """
        by_path: dict[str, list[dict[str, Any]]] = {}
        for row in self._table:
            by_path.setdefault(row["path"], []).append(row)
        kept: set[str] = set()
        dropped: set[str] = set()
        for path in paths:
            if path in by_path:
                (kept if _holds(by_path[path], state(path), self._every_frame) else dropped).add(path)
        if dropped:
            self._table = [row for row in self._table if row["path"] not in dropped]
            self._stream.close()
            self._replace_lines(self._table)
            self._stream = self._lines.open("ab", buffering=0)
        self.done = frozenset(kept)
        self.rows = len(self._table)
        self._table = []
        return len(kept), len(dropped)

    def _replace_lines(self, rows: list[dict[str, Any]]) -> None:
        lines = [HEADER] if self._format == "csv" else []
        with replacing(self._lines) as part:
            part.write_bytes("".join([*lines, *(line_of(row, self._format) for row in rows)]).encode(**ENCODING))

    def write(self, score: Score) -> None:
        """Append one row.

        Raises:
            ScoreFileError: there is no room; the rows before it are whole and stay.
        """
        self._append(line_of(row_of(score), self._format))
        self.rows += 1

    def _append(self, line: str) -> None:
        left = memoryview(line.encode(**ENCODING))
        before = os.fstat(self._stream.fileno()).st_size
        try:
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            # Part of a row is none.
            with contextlib.suppress(OSError):
                os.ftruncate(self._stream.fileno(), before)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            raise ScoreFileError(
                f"{self.path}: {(error.strerror or 'no room').lower()}; its {self.rows} rows are kept, and the same "
                "command goes on with them"
            ) from error

    def close(self) -> None:
        """Make sure that all rows are on disk, and make the table of them where it is JSON or Parquet."""
        if self._stream.closed:
            return
        os.fsync(self._stream.fileno())
        self._stream.close()
        for file in {self.path, self._lines, self._run}:
            remove_unfinished(file)
        if self._lines == self.path:
            return
        rows, _ = parse_rows(self._lines.read_bytes().decode(**ENCODING), "jsonl")
        write_rows(rows, COLUMNS, out=self.path)
        self._lines.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _holds(rows: list[dict[str, Any]], now: FileState | None, every_frame: bool) -> bool:
    """Whether an image's rows are those of the file as it is now."""
    # A run that was killed may have left some frames out.
    whole = len(rows) == (int(rows[0]["frames"]) if every_frame else 1)
    return whole and all((row["file_size"], row["file_modified"]) == _columns(now, row) for row in rows)


def _columns(now: FileState | None, row: Mapping[str, Any]) -> tuple[Any, Any]:
    if now is None:
        return None, object()  # what is no file (a pipe, a link that leads nowhere) is never known to be the same
    # CSV gives text.
    return (str(now.size) if isinstance(row["file_size"], str) else now.size), now.modified


def _differences(found: Any, wanted: Mapping[str, Any]) -> list[str]:
    """In what two provenances differ, as clauses that go on from "its rows were made"."""
    if not isinstance(found, Mapping):
        return ["in a way that its .run.json does not say"]
    clauses = []
    if found.get("weights") != wanted.get("weights"):
        clauses.append("with other weights")
    before, now = found.get("versions") or {}, wanted.get("versions") or {}
    clauses += [
        f"by {name} {before.get(name, '(unknown)')}, this is {now.get(name, '(unknown)')}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    for name in sorted({*found, *wanted} - {"weights", "versions"}):
        if found.get(name) != wanted.get(name):
            clauses.append(f"with {name} {_said(found.get(name))}, now it is {_said(wanted.get(name))}")
    return clauses


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_said(item)}" for name, item in sorted(value.items()))
    return "none" if value is None else str(value)


def _read_table(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSON or Parquet table.

    Raises:
        ValueError: it is no table of scores of this version.
    """
    if path.suffix.lower() == ".json":
        rows = json.loads(path.read_bytes().decode(**ENCODING))
    else:
        import pyarrow
        import pyarrow.parquet

        try:
            rows = pyarrow.parquet.read_table(path).to_pylist()
        except pyarrow.ArrowInvalid:
            raise ValueError("it is no Parquet file") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and {"path", "quality"} <= set(row) for row in rows):
        raise ValueError("it is not a table of scores")
    missing = [column for column in COLUMNS if rows and column not in rows[0]]
    if missing:
        raise ValueError(f"it has no column {missing[0]!r}: an earlier version wrote it")
    return rows
