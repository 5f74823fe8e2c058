"""The README's examples run and print what they say; those of the docstrings are run by `nox -s tests`."""

import ast
import re
from pathlib import Path

import evidential_nig

README = Path(__file__).parents[2] / "packages" / "evidential-nig" / "README.md"


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
