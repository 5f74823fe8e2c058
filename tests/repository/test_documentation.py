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


def named_equations(docstring: str) -> set[int]:
    """Numbers of the equations that a docstring names, as in "Eq. 5", "Eqs. 4 to 6, 9 and 11" or "Eqs. 1–3"."""
    found: set[int] = set()
    for numbers in re.findall(r"\bEqs?\. (\d+(?:(?:, | and | to |–|-)\d+)*)", docstring):
        for first, last in re.findall(r"(\d+)(?:(?: to |–|-)(\d+))?", numbers):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def test_named_equations_are_read_as_people_read_them() -> None:
    assert named_equations("(DEFNet, Eq. 5)") == {5}
    assert named_equations("Eqs. 4 to 6, 9, 11 and 14 to 16; see Eq. 2.") == {2, 4, 5, 6, 9, 11, 14, 15, 16}
    assert named_equations("equation 7, Sec. 3") == set()


@pytest.mark.parametrize(
    ("number", "places"),
    [(number, places) for _, numbers, places in ROWS for number in numbers.split(", ")],
    ids=[f"{paper}{number}" for paper, numbers, _ in ROWS for number in numbers.split(", ")],
)
def test_equation_leads_to_code_that_names_it(number: str, places: str) -> None:
    """Its own number, not that of any other."""
    docstrings = [pkgutil.resolve_name(name).__doc__ or "" for name in re.findall(r"`([\w.]+)`", places)]
    assert int(number) in named_equations(" ".join(docstrings)), f"{places}: no docstring names equation {number}"


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(r"^pip install uv && (.+)$", (REPOSITORY / "README.md").read_text("utf-8"), re.M)
    assert len(commands) == 2, "the README has one line that scores the samples and one that runs the tests"
    ran = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [command for command in commands if command not in ran] == []


@pytest.mark.parametrize("readme", sorted(REPOSITORY.glob("packages/*/README.md")), ids=lambda path: path.parent.name)
def test_links_of_a_package_work_from_the_package_index(readme: Path) -> None:
    """The index shows the README without the files beside it."""
    text = re.sub(r"^```.*?^```$", "", readme.read_text("utf-8"), flags=re.M | re.S)
    assert [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("https://")] == []


@pytest.mark.parametrize("readme", sorted(REPOSITORY.glob("packages/*/README.md")), ids=lambda path: path.parent.name)
def test_installing_from_a_checkout_and_from_a_wheel_is_said(readme: Path) -> None:
    text = readme.read_text("utf-8")
    folder = readme.parent.name
    assert re.search(rf"pip install [^\n]*(\./)?packages/{folder}", text)
    assert re.search(rf"{folder.replace('-', '_')}-[\d.*][^\s`]*\.whl", text)


@pytest.mark.parametrize("readme", sorted(REPOSITORY.glob("packages/*/README.md")), ids=lambda path: path.parent.name)
def test_a_package_points_to_its_start(readme: Path) -> None:
    start = f"docs/{readme.parent.name}/start.md"
    assert f"`{start}`" in readme.read_text("utf-8")
    assert (REPOSITORY / start).is_file()


PAGES = [*sorted((REPOSITORY / "docs").rglob("*.md")), *REPOSITORY.glob("*.md"), *REPOSITORY.glob("samples/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    """Those that Sphinx does not follow too: pictures, files beside a page, and the Markdown that is read as it is."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    links = [link.split("#")[0] for link in re.findall(r"\]\(<?([^)\s>]+)", text) if "://" not in link]
    missing = [
        link for link in links if link and not any((page.parent / f"{link}{end}").exists() for end in ("", ".md"))
    ]
    assert missing == []
