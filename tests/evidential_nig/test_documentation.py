"""The README's and the documentation pages' examples run and print what they say.

Those of the docstrings are run by `nox -s tests`.
"""

import ast
import re
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

import evidential_nig

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "packages" / "evidential-nig" / "README.md",
    *sorted((REPOSITORY / "docs" / "evidential-nig").glob("*.md")),
]


def code_of(page):
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_everything_public_has_an_example():
    for name in set(evidential_nig.__all__) - {"__version__"}:
        assert ">>>" in getattr(evidential_nig, name).__doc__, name


@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=lambda page: page.stem)
def test_examples_of_a_page(page, capsys):
    mpl.use("Agg")
    torch.manual_seed(0)
    namespace = {}
    for block in code_of(page):
        expected = [line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"print\(.*\)\s*#", line)]
        exec(compile(ast.parse(block), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in printed if line in expected] == expected, printed
        if "print(summary)" not in block:
            assert printed == expected
