import pkgutil
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (MAP |)(\d[\d, ]*) \| [^|]+ \| ([^|]+) \|$", (REPOSITORY / "docs/equations.md").read_text("utf-8"), re.M
)


@pytest.mark.parametrize(("paper", "equations"), [("", 28), ("MAP ", 6)])
def test_no_equation_is_left_out(paper: str, equations: int) -> None:
    found = [int(number) for its_paper, numbers, _ in ROWS if its_paper == paper for number in numbers.split(", ")]
    assert found == list(range(1, equations + 1))


@pytest.mark.parametrize(("numbers", "places"), [(paper + numbers, places) for paper, numbers, places in ROWS])
def test_equation_leads_to_code_that_names_it(numbers: str, places: str) -> None:
    docstrings = [pkgutil.resolve_name(name).__doc__ or "" for name in re.findall(r"`([\w.]+)`", places)]
    assert re.search(r"\bEqs?\. \d", " ".join(docstrings)), f"equation {numbers}: no docstring names an equation"


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(r"^pip install uv && (.+)$", (REPOSITORY / "README.md").read_text("utf-8"), re.M)
    assert len(commands) == 2, "the README has one line that scores the samples and one that runs the tests"
    ran = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [command for command in commands if command not in ran] == []
