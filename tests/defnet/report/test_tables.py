"""Tables as Markdown, CSV and LaTeX: what stands in a cell, and what is not there."""

import csv
import io
import math
import re
from pathlib import Path

import pytest

from defnet.experiments.table import Measured, Table, by_session, measured
from defnet.report.tables import SUFFIXES, to_csv, to_latex, to_markdown, write_table

TABLE = Table(
    "table9",
    "50 % of λ₁ & more",
    ("name", "figure", "paper", "runs"),
    (
        ("a_b|c", Measured(0.91234567, 0.9, 0.95, 3), 0.9, 12345),
        ("one", Measured(0.5, 0.5, 0.5, 1), None, 1),
        ("none", None, math.nan, 0),
        ("undefined", Measured(math.nan, math.nan, math.nan, 2), 1e-5, 2),
    ),
    ("A note.",),
    ("Not there yet: 3 of 4 runs.",),
)


def test_markdown() -> None:
    assert to_markdown(TABLE).splitlines() == [
        "**50 % of λ₁ & more**",
        "",
        "| name | figure | paper | runs |",
        "| --- | ---: | ---: | ---: |",
        "| a_b&#124;c | 0.912 (0.900–0.950) | 0.900 | 12,345 |",
        "| one | 0.500 | – | 1 |",
        "| none | – | – | 0 |",
        "| undefined | – | 1.0e-05 | 2 |",
        "",
        "A note.",
        "",
        "Not there yet: 3 of 4 runs.",
    ]


def test_csv_has_numbers_in_full_and_empty_cells() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == {
        "name": "a_b|c", "figure": "0.91234567", "figure q25": "0.9", "figure q75": "0.95", "figure sessions": "3",
        "paper": "0.9", "runs": "12345",
    }  # fmt: skip
    assert [row["figure"] for row in rows] == ["0.91234567", "0.5", "", ""]
    assert [row["figure sessions"] for row in rows] == ["3", "1", "", "2"]
    assert [row["paper"] for row in rows] == ["0.9", "", "", "1e-05"]


def test_latex_escapes_what_would_command_it() -> None:
    text = to_latex(TABLE)
    assert r"\caption{50 \% of $\lambda$$_1$ \& more}" in text
    assert r"a\_b|c & 0.912 (0.900--0.950) & 0.900 & 12,345 \\" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert text.count(r"\\" + "\n") == 5
    assert text.count("{") == text.count("}")
    assert not re.search(r"(?<!\\)[&%_#]", re.sub(r" & |^%.*$", "", text, flags=re.M).replace("$_1$", ""))
    assert Table("t", "a\\b{c}~^$", ("x",), ()).title
    assert r"a\textbackslash{}b\{c\}\textasciitilde{}\textasciicircum{}\$" in to_latex(
        Table("t", "a\\b{c}~^$", ("x",), ())
    )


def test_files(tmp_path: Path) -> None:
    paths = write_table(TABLE, tmp_path / "tables")
    assert [path.name for path in paths] == [f"table9{suffix}" for suffix in SUFFIXES]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    assert texts == [to_markdown(TABLE), to_csv(TABLE), to_latex(TABLE)]


def test_rows_are_as_long_as_the_columns() -> None:
    with pytest.raises(ValueError, match="a row has 1 cells for 2 columns"):
        Table("t", "", ("a", "b"), (("x",),))


def test_seeds_are_averaged_within_sessions() -> None:
    """Three seeds of one session are not three sessions."""
    values = [((1, 0), 1.0), ((1, 1), 3.0), ((2, 0), 10.0), ((3, 0), 4.0), ((3, 1), None)]
    assert by_session(values) == {1: 2.0, 2: 10.0, 3: 4.0}
    assert measured(values) == Measured(4.0, 3.0, 7.0, 3)
    assert measured([((1, 0), None)]) is None
    undefined = measured([((1, 0), 1.0), ((2, 0), math.nan)])
    assert undefined is not None
    assert math.isnan(undefined.median)
