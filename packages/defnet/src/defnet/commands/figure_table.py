"""Figures of a model on data sets, as a table for people and as rows for programs."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iqa_datasets.terminal import OutputFormat, write_rows

MEAN = "mean"
"""What stands for a data set's name in the row of means."""

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


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


def write_figures(
    rows: Sequence[Mapping[str, Any]], *, out: Path | None = None, output_format: OutputFormat | None = None
) -> None:
    """Write rows to a file, whose suffix chooses the format, or to standard output: a table on a terminal, else CSV.

    The table has figures down and data sets across: there are many figures and few data sets.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    if output_format is None:
        output_format = OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv
    if out is None and output_format is OutputFormat.table:
        turned = [[name, *(row.get(name) for row in rows)] for name in names[1:]]
        write_rows(turned, ["", *(str(row[names[0]]) for row in rows)], output_format=output_format)
    else:
        full = [{name: row.get(name) for name in names} for row in rows]
        write_rows(full, names, out=out, output_format=output_format)
