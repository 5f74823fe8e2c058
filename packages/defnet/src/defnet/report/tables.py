"""Tables as Markdown, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from defnet.experiments.table import Cell, Measured, Table
from iqa_datasets.atomic_files import replacing

SUFFIXES = (".md", ".csv", ".tex")

_ABSENT = "–"

_LATEX = {
    "\\": r"\textbackslash{}",
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "≥": r"$\geq$",
    "−": "$-$",
    "×": r"$\times$",
    "λ": r"$\lambda$",
    "₁": "$_1$",
    "₂": "$_2$",
}


def cell_text(cell: Cell) -> str:
    """What a person reads in a cell: three decimals, a median with its quartiles, a dash for what is not there."""
    if isinstance(cell, Measured):
        if math.isnan(cell.median):
            return _ABSENT
        if cell.sessions == 1:
            return _number(cell.median)
        return f"{_number(cell.median)} ({_number(cell.lower)}–{_number(cell.upper)})"
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return _ABSENT
    if isinstance(cell, float):
        return _number(cell)
    return f"{cell:,}" if isinstance(cell, int) else cell


def _number(value: float) -> str:
    return f"{value:.1e}" if 0 < abs(value) < 5e-4 else f"{value:.3f}"


def to_markdown(table: Table) -> str:
    """The table with its title and notes. Columns that hold a number stand to the right."""
    lines = [
        f"**{table.title}**",
        "",
        _markdown_row(table.columns),
        _markdown_row([" ---: " if numbers else " --- " for numbers in _number_columns(table)], pad=""),
        *(_markdown_row([cell_text(cell) for cell in row]) for row in table.rows),
    ]
    for note in (*table.notes, *table.lacking):
        lines += ["", note]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str], pad: str = " ") -> str:
    return "|" + "|".join(f"{pad}{cell.replace('|', '&#124;')}{pad}" for cell in cells) + "|"


def _number_columns(table: Table) -> list[bool]:
    return [
        any(not isinstance(row[i], str) and row[i] is not None for row in table.rows) for i in range(len(table.columns))
    ]


def csv_columns(table: Table) -> list[str]:
    """The columns of the CSV file: a column of medians has its quartiles and the number of sessions beside it."""
    names: list[str] = []
    for index, name in enumerate(table.columns):
        names.append(name)
        if _has_measured(table, index):
            names += [f"{name} q25", f"{name} q75", f"{name} sessions"]
    return names


def csv_rows(table: Table) -> list[list[str | int | float | None]]:
    """The rows of the CSV file, numbers in full."""
    rows: list[list[str | int | float | None]] = []
    for row in table.rows:
        values: list[str | int | float | None] = []
        for index, cell in enumerate(row):
            if isinstance(cell, Measured):
                values += [cell.median, cell.lower, cell.upper, cell.sessions]
            else:
                values.append(cell)
                if _has_measured(table, index):
                    values += [None, None, None if cell is None else 1]
        rows.append([None if isinstance(value, float) and math.isnan(value) else value for value in values])
    return rows


def _has_measured(table: Table, index: int) -> bool:
    return any(isinstance(row[index], Measured) for row in table.rows)


def to_csv(table: Table) -> str:
    """The table for programs, without its title and notes; what is not there is an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(csv_columns(table))
    writer.writerows(csv_rows(table))
    return stream.getvalue()


def to_latex(table: Table) -> str:
    """The table as a `table` environment, with its title as the caption and its notes below. It needs `booktabs`."""
    places = "".join("r" if numbers else "l" for numbers in _number_columns(table))
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\caption{{{_latex(table.title)}}}",
        f"  \\label{{tab:{table.name}}}",
        f"  \\begin{{tabular}}{{{places}}}",
        "    \\toprule",
        _latex_row(table.columns),
        "    \\midrule",
        *(_latex_row([cell_text(cell) for cell in row]) for row in table.rows),
        "    \\bottomrule",
        "  \\end{tabular}",
        *(f"  \\par\\footnotesize {_latex(note)}" for note in (*table.notes, *table.lacking)),
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return "    " + " & ".join(map(_latex, cells)) + r" \\"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write a table as Markdown, CSV and LaTeX, each file atomically.

    Args:
        table: the table.
        folder: where; it is made where it is not there.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = (to_markdown(table), to_csv(table), to_latex(table))
    paths = [folder / f"{table.name}{suffix}" for suffix in SUFFIXES]
    for path, text in zip(paths, texts, strict=True):
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8", newline="\n")
    return paths
