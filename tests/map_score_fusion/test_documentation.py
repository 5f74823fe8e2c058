"""The README's and the documentation pages' examples run and print what they say.

Those of the docstrings are run by `nox -s tests`.
"""

import ast
import re
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "docs" / "map-score-fusion"
PAGES = [REPOSITORY / "packages" / "map-score-fusion" / "README.md", *sorted(FOLDER.glob("*.md"))]


def code_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if code_of(page)], ids=lambda page: page.stem)
def test_examples_of_a_page(page, capsys, monkeypatch, tmp_path):
    shutil.copy(FOLDER / "photographs.csv", tmp_path / "photographs.csv")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in code_of(page):
        exec(compile(ast.parse(block), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        expected = [line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"print\(.*\)\s*#", line)]
        assert [line for line in printed if line in expected] == expected, printed
