"""The README's and the documentation pages' examples run and print what they say.

Those of the docstrings are run by `nox -s tests`.
"""

import ast
import re
from pathlib import Path

import pytest

from iqa_datasets import available, info
from iqa_datasets.commands.catalogue import markdown

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "packages" / "iqa-datasets" / "README.md",
    *sorted((REPOSITORY / "docs" / "iqa-datasets").glob("*.md")),
]


def code_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=lambda page: page.stem)
def test_examples_of_a_page(page, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in code_of(page):
        exec(compile(ast.parse(block), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        expected = [line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"print\(.*\)\s*#", line)]
        assert [line for line in printed if line in expected] == expected, printed


def test_table_of_data_sets_is_that_of_the_cards():
    page = (REPOSITORY / "docs" / "iqa-datasets" / "data-sets.md").read_text(encoding="utf-8")
    assert page.count(markdown([info(name) for name in available()])) == 1
    assert page.count("| id |") == 2
