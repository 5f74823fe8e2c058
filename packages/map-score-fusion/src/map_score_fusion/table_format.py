"""How a CSV file is written: what separates its fields, how its numbers are written, and whether it has a header."""

import bz2
import csv
import gzip
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Final

from map_score_fusion.directions import known_metric
from map_score_fusion.errors import ScoreTableError

DELIMITERS: Final = ("\t", ";", "|", ",")
"""What may stand between two fields; of several that would do as well, the first: a comma may be a number's own."""

_LOOKED_AT = 50  # lines from the beginning of a file
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_WITH_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_WITH_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+")


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        delimiter: What stands between two fields, one of `DELIMITERS`.
        decimal: ``"."``, or ``","`` where numbers are written as 0,93.
        header: The names in its first line.
    """

    delimiter: str
    decimal: str
    header: tuple[str, ...]


def csv_format(path: Path) -> CsvFormat:
    """Find out how a CSV file is written, from its first lines.

    Raises:
        ScoreTableError: The file is empty, its first line holds numbers in place of names, two columns have one name,
            or its numbers may be read in two ways. The message quotes what was seen.
    """
    try:
        with _open(path) as file:
            lines = [line for line in islice(file, _LOOKED_AT) if line.strip("\r\n")]
    except (UnicodeDecodeError, OSError, EOFError, lzma.LZMAError) as error:
        raise ScoreTableError(f"{path}: cannot be read as CSV with a header: {error}") from error
    if not lines:
        raise ScoreTableError(f"{path}: cannot be read as CSV with a header: the file is empty")
    delimiter = max(DELIMITERS, key=lambda one: _regularity(lines, one))
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    header = tuple(rows[0])
    repeated = {name for name in header if name and header.count(name) > 1}
    if repeated:
        raise ScoreTableError(f"{path}: two columns are named {min(repeated)!r}; each needs a name of its own")
    longer = next((number for number, row in enumerate(rows, start=1) if len(row) > len(header)), None)
    if longer is not None:
        raise ScoreTableError(
            f"{path}: cannot be read as CSV: line {longer} has {len(rows[longer - 1])} fields, the header "
            f"{len(header)} ({', '.join(header[:4])}{', …' if len(header) > 4 else ''})"
        )
    decimal = _decimal(path, header, rows[1:])
    _check_header(path, header, rows[1:], decimal)
    return CsvFormat(delimiter, decimal, header)


def _open(path: Path) -> IO[str]:
    opener = _OPENERS.get(path.suffix.lower())
    if opener is None:
        return path.open(encoding="utf-8-sig", newline="")
    opened: IO[str] = opener(path, "rt", encoding="utf-8-sig", newline="")  # type: ignore[operator]
    return opened


def _regularity(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """Return what share of the lines has as many fields as the first, and how many; no share for a single field."""
    widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
    if widths[0] < 2:
        return 0.0, 1
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]


def _decimal(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the decimal sign of a file's numbers."""
    commas: dict[str, str] = {}
    ambiguous, point = True, None
    for row in rows:
        for name, cell in zip(header, row, strict=False):
            text = cell.strip()
            if _WITH_COMMA.fullmatch(text):
                commas.setdefault(name, text)
                ambiguous = ambiguous and _THOUSANDS.fullmatch(text) is not None
            elif point is None and _WITH_POINT.fullmatch(text):
                point = (name, text)
    if not commas:
        return "."
    name, text = next(iter(commas.items()))
    if point is not None:
        raise ScoreTableError(
            f"{path}: column {name!r} holds {text!r} and column {point[0]!r} holds {point[1]!r}: some numbers have a "
            "decimal comma and others a point; write all with a point"
        )
    if ambiguous:
        raise ScoreTableError(
            f"{path}: column {name!r} holds {text!r}, which may be {text.replace(',', '.')} or "
            f"{text.replace(',', '')}; write numbers with a decimal point and nothing between thousands"
        )
    return ","


def _check_header(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]], decimal: str) -> None:
    """Refuse a first line of scores, which would be taken for names."""
    numbers = [cell for cell in header if _is_number(cell, decimal)]
    if len(header) < 2 or len(numbers) < max(1, (len(header) - 1) / 2):
        return
    if sum(known_metric(row[0]) is not None for row in rows if row) >= 2:
        return  # a table with a row a metric, whose images are called by numbers
    shown = ", ".join(header[:4]) + (", …" if len(header) > 4 else "")
    raise ScoreTableError(
        f"{path}: has no header: its first line is {shown}, where the columns' names should stand. Add a line such as "
        "image,psnr,ssim"
    )


def _is_number(cell: str, decimal: str) -> bool:
    text = cell.strip()
    if decimal == "," and text.count(",") == 1:
        text = text.replace(",", ".")
    try:
        float(text)
    except ValueError:
        return False
    return True
