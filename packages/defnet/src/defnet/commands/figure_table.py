"""Figures of a model on data sets, as a table for people and as rows for programs."""

import csv
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

from defnet.commands.terminal import fail
from defnet.files import replace_when_done, to_json

MEAN = "mean"
"""What stands for a data set's name in the row of means."""


class OutputFormat(StrEnum):
    """How figures are written to standard output."""

    table = "table"
    csv = "csv"
    json = "json"
    jsonl = "jsonl"


def figure_rows(
    by_dataset: Mapping[str, Mapping[str, float]], mean: Mapping[str, float], **columns: Any
) -> list[dict[str, Any]]:
    """One row a data set and, where there are several, one of their means.

    Args:
        by_dataset: figures by the data set's name.
        mean: the mean of each.
        columns: what stands in every row beside them.
    """
    named = {**by_dataset, MEAN: mean} if len(by_dataset) > 1 else by_dataset
    return [{"dataset": name, **columns, **figures} for name, figures in named.items()]


def check_out(out: Path | None, output_format: OutputFormat | None) -> None:
    """Stop before the work is done if its result could not be written."""
    if out is None:
        return
    if output_format is not None:
        fail("--format is about standard output; the ending of --out chooses the file's format")
    if out.suffix.lower() not in (".csv", ".json", ".jsonl"):
        fail(f"--out must end in .csv, .json or .jsonl, got {out}")
    if not out.absolute().parent.is_dir() or out.is_dir():
        fail(f"--out {out}: must be a file in a folder that is there")


def write_figures(rows: Sequence[Mapping[str, Any]], *, out: Path | None, output_format: OutputFormat | None) -> None:
    """Write rows to a file, whose suffix chooses the format, or to standard output: a table on a terminal, else CSV."""
    if out is not None:
        with replace_when_done(out) as part, part.open("w", encoding="utf-8", newline="") as stream:
            _write(rows, stream, OutputFormat(out.suffix.lower()[1:]))
        return
    if output_format is None:
        output_format = OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv
    _write(rows, sys.stdout, output_format)


def _write(rows: Sequence[Mapping[str, Any]], stream: TextIO, output_format: OutputFormat) -> None:
    match output_format:
        case OutputFormat.table:
            stream.write(_table(rows))
        case OutputFormat.json:
            stream.write(to_json(list(rows)) + "\n")
        case OutputFormat.jsonl:
            stream.writelines(to_json(dict(row)) + "\n" for row in rows)
        case OutputFormat.csv:
            writer = csv.writer(stream, lineterminator="\n")
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer.writerow(names)
            # A figure that could not be computed is an empty cell.
            writer.writerows([["" if (v := row.get(name, "")) != v else v for name in names] for row in rows])


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Figures down, data sets across: there are many figures and few data sets."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for row in rows] for name in names]
    first = max(map(len, names))
    widths = [max(len(line[column]) for line in cells) for column in range(len(rows))]
    lines = [
        f"{name:<{first}}  " + "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
        for name, line in zip(names, cells, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
