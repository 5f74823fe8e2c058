"""Tables of scores on disk and on pipes: written as they come, resumable, never half a row."""

import csv
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Protocol, Self, TextIO

from defnet.errors import DEFNetError
from defnet.files import replace_when_done, to_json
from defnet.scoring.scores import COLUMNS, Score, flat_row

TableFormat = Literal["csv", "jsonl"]

# File names are bytes on most systems; those that are not UTF-8 survive the round trip like this.
_ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape"}
_DECIMALS = 6


class ScoreFileError(DEFNetError):
    """A table of scores cannot be written or gone on with."""


class ScoreSink(Protocol):
    """Anything that takes scores one by one."""

    def write(self, score: Score) -> None:
        """Take one score."""


def format_of(path: Path) -> TableFormat:
    """The format that a file's name asks for.

    Raises:
        ScoreFileError: the name ends neither in .csv nor in .jsonl.
    """
    match path.suffix.lower():
        case ".csv":
            return "csv"
        case ".jsonl" | ".ndjson":
            return "jsonl"
    raise ScoreFileError(f"{path}: the name of a table of scores must end in .csv or .jsonl")


def _csv_line(values: Iterable[Any]) -> str:
    """One line of RFC 4180 ended by a line feed.

    Python's own writer leaves a carriage return bare unless lines end in one (until 3.13), and readers then see two
    rows. Figures that do not exist are empty.
    """
    fields = ["" if value is None or value != value else str(value) for value in values]
    for number, field in enumerate(fields):
        if set(field) & set(',"\r\n'):
            fields[number] = '"' + field.replace('"', '""') + '"'
    return ",".join(fields) + "\n"


def _row(score: Score) -> dict[str, Any]:
    return {
        name: round(value, _DECIMALS) if isinstance(value, float) else value for name, value in flat_row(score).items()
    }


class StreamWriter:
    """Write scores to an open text stream, a row at a time.

    Args:
        stream: where to.
        table_format: CSV or JSON lines.
        header: whether to begin with the CSV header.
    """

    def __init__(self, stream: TextIO, table_format: TableFormat, *, header: bool = True) -> None:
        self._stream, self._format = stream, table_format
        if header and table_format == "csv":
            stream.write(_csv_line(COLUMNS))
            stream.flush()

    def write(self, score: Score) -> None:
        """Write one row and hand it to the system at once."""
        row = _row(score)
        if self._format == "csv":
            self._stream.write(_csv_line(row.values()))
        else:
            self._stream.write(to_json(row | {"warnings": score.warnings}) + "\n")
        self._stream.flush()


class ScoreFile:
    """A table of scores that grows on disk and that a later run can go on with.

    Beside `scores.csv` stands `scores.csv.run.json`, which says how its rows were made. A run that was made
    differently (other weights, crops or version of the format) refuses to mix its rows with them.

    Args:
        path: the table; its name ends in .csv or .jsonl.
        provenance: what the rows depend on, as JSON.
        overwrite: start anew even if the table exists.

    Raises:
        ScoreFileError: the table exists and was made differently, or nobody knows how, or its folder does not exist.
    """

    def __init__(self, path: Path, provenance: dict[str, Any], *, overwrite: bool = False) -> None:
        self.path = path
        self._format = format_of(path)
        self._run = path.with_name(path.name + ".run.json")
        self.done: frozenset[str] = frozenset()
        if not path.parent.is_dir():
            raise ScoreFileError(f"{path}: the folder {path.parent} does not exist")
        if path.is_dir():
            raise ScoreFileError(f"{path}: is a folder, not a table of scores")
        exists = path.exists() and not overwrite
        if exists:
            self._check_provenance(provenance)
            self.done = self._keep_whole_rows()
        else:
            path.unlink(missing_ok=True)
            with replace_when_done(self._run) as part:
                part.write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        self._stream = path.open("a", newline="", **_ENCODING)
        self._writer = StreamWriter(self._stream, self._format, header=path.stat().st_size == 0)

    def _check_provenance(self, provenance: dict[str, Any]) -> None:
        try:
            found = json.loads(self._run.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ScoreFileError(
                f"{self.path}: exists, and without {self._run.name} beside it nobody knows how it was made; "
                "give another --out, or --overwrite to replace it"
            ) from None
        wanted = json.loads(json.dumps(provenance))
        if found != wanted:
            keys = set(found) | set(wanted) if isinstance(found, dict) else set(wanted)
            differing = sorted(k for k in keys if not isinstance(found, dict) or found.get(k) != wanted.get(k))
            raise ScoreFileError(
                f"{self.path}: was made with another {', '.join(differing)}; "
                "give another --out, or --overwrite to replace it"
            )

    def _keep_whole_rows(self) -> frozenset[str]:
        """Cut off what a killed run left of a last row; return the paths that have a row."""
        text = self.path.read_bytes().decode(**_ENCODING)
        done: list[str] = []
        if self._format == "jsonl":
            whole = text[: text.rfind("\n") + 1]
            for number, line in enumerate(whole.split("\n")[:-1], start=1):
                try:
                    done.append(json.loads(line)["path"])
                except (ValueError, KeyError, TypeError):
                    raise ScoreFileError(f"{self.path}, line {number}: not a row of scores") from None
        else:
            rows = list(csv.reader(io.StringIO(text, newline="")))
            # Of a first line alone only the beginning may be there.
            if rows and rows[0] != list(COLUMNS) and (len(rows) > 1 or text.endswith("\n")):
                raise ScoreFileError(f"{self.path}: its header is not that of a table of scores")
            torn = bool(rows) and (not text.endswith("\n") or len(rows[-1]) != len(COLUMNS))
            kept = rows[:-1] if torn else rows
            whole = "".join(map(_csv_line, kept)) if torn else text
            done = [row[0] for row in kept[1:]]
        if whole != text:
            with replace_when_done(self.path) as part:
                part.write_bytes(whole.encode(**_ENCODING))
        return frozenset(done)

    def write(self, score: Score) -> None:
        """Append one row."""
        self._writer.write(score)

    def close(self) -> None:
        """Make sure that all rows are on disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
