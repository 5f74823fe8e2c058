import importlib
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (\d[\d, ]*) \| [^|]+ \| ([^|]+) \|$", (REPOSITORY / "docs/equations.md").read_text("utf-8"), re.M
)


def test_no_equation_is_left_out() -> None:
    assert [int(number) for numbers, _ in ROWS for number in numbers.split(", ")] == list(range(1, 29))


@pytest.mark.parametrize(("numbers", "places"), ROWS)
def test_equation_leads_to_code_that_names_it(numbers: str, places: str) -> None:
    docstrings = []
    for name in re.findall(r"`([\w.]+)`", places):
        module, _, attribute = name.rpartition(".")
        docstrings.append(getattr(importlib.import_module(module), attribute).__doc__ or "")
    assert re.search(r"\bEqs?\. \d", " ".join(docstrings)), f"equation {numbers}: no docstring names an equation"


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(r"^pip install uv && (.+)$", (REPOSITORY / "README.md").read_text("utf-8"), re.M)
    assert len(commands) == 2, "the README has one line that scores the samples and one that runs the tests"
    ran = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [command for command in commands if command not in ran] == []
