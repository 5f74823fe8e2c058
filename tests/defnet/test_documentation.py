"""The README's and the pages' examples of scoring run and print what they say."""

import ast
import re
from pathlib import Path

import pytest
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
PAGES = [
    REPOSITORY / "packages" / "defnet" / "README.md",
    REPOSITORY / "docs" / "defnet" / "serving.md",
]


def code_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for sample, name in (("coffee.jpg", "a.jpg"), ("chelsea_blur.jpg", "b.png")):
        Image.open(REPOSITORY / "samples" / sample).crop((0, 0, 300, 280)).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "page"}
    blocks = code_of(page)
    assert blocks
    for block in blocks:
        exec(compile(ast.parse(block), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        expected = [
            line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"\s*print\(.*\)\s*#", line)
        ]
        assert [line for line in printed if line in expected] == expected, printed


def test_columns_of_the_readme_are_those_of_a_table() -> None:
    from defnet.scoring.scores import COLUMNS

    table = PAGES[0].read_text(encoding="utf-8").split("| column | what it is |")[1].split("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1] if row else "")]
    assert tuple(named) == COLUMNS
