"""The examples of the docstrings and of the README run and print what they say."""

import ast
import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import evidential_nig

MODULES = [module.name for module in pkgutil.iter_modules(evidential_nig.__path__, "evidential_nig.")]
README = Path(__file__).parents[2] / "packages" / "evidential-nig" / "README.md"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_everything_public_has_an_example():
    for name in evidential_nig.__all__:
        assert ">>>" in getattr(evidential_nig, name).__doc__, name


def test_readme_examples(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks
    namespace = {}
    for block in blocks:
        expected = [line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"print\(.*\)\s*#", line)]
        exec(compile(ast.parse(block), str(README), "exec"), namespace)
        assert capsys.readouterr().out.splitlines() == expected
