"""The mutation script changes what it says, and knows a test that notices from one that does not."""

import json
from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def mutants(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script("tests/mutation/mutants.py")


SOURCE = '''"""Words, 1 + 1."""
from typing import Literal, overload

def area(width: "Literal[3, 4]", *, höhe: int = 2) -> float:
    """Docstring with 5 < 6."""
    if width:
        print("ä", width * höhe, sep="")
    if not 0 < width <= 10:
        raise ValueError("no")
    return abs(-1.5) if width and höhe == 2 else min(width, höhe, key=float)
'''


def made(mutants, tmp_path):
    path = tmp_path / "area.py"
    path.write_text(SOURCE, encoding="utf-8")
    return mutants.mutants_of(path, tmp_path)


def test_each_mutant_is_one_change_on_the_line_that_it_names(mutants, tmp_path):
    found = made(mutants, tmp_path)
    original = SOURCE.splitlines()
    assert len({mutant.key for mutant in found}) == len(found)
    for mutant in found:
        lines = mutant.text.splitlines()
        assert len(lines) == len(original)
        assert [n for n, pair in enumerate(zip(original, lines, strict=True), 1) if pair[0] != pair[1]] == [mutant.line]


def test_every_kind_of_change_is_made_and_words_and_types_are_left_alone(mutants, tmp_path):
    changed = {(m.kind, m.before, m.after) for m in made(mutants, tmp_path)}
    assert changed == {
        ("constant", "2", "(3)"),  # the default, and the 2 that it is compared with
        ("condition", "width", "(not width)"),
        ("dropped statement", 'print("ä", width * höhe, sep="")', "pass"),
        ("dropped sep=", 'print("ä", width * höhe, sep="")', "(print('ä', width * höhe))"),
        ("operator", "width * höhe", "(width / höhe)"),
        ("unary", "not 0 < width <= 10", "(0 < width <= 10)"),
        ("comparison 0", "0 < width <= 10", "(0 <= width <= 10)"),
        ("comparison 1", "0 < width <= 10", "(0 < width < 10)"),
        ("constant", "0", "(1)"),
        ("constant", "10", "(11)"),
        ("dropped statement", 'raise ValueError("no")', "pass"),
        ("unary", "-1.5", "(1.5)"),
        ("constant", "1.5", "(3.0)"),
        ("operator", "width and höhe == 2", "(width or höhe == 2)"),
        ("comparison 0", "höhe == 2", "(höhe != 2)"),
        ("dropped key=", "min(width, höhe, key=float)", "(min(width, höhe))"),
    }


@pytest.mark.parametrize(("expected", "status"), [(6, "killed"), (None, "survived")])
def test_a_test_that_checks_the_result_kills_and_one_that_does_not_lets_live(mutants, tmp_path, expected, status):
    (tmp_path / "product.py").write_text("def product(a, b):\n    return a * b\n")
    check = "assert product(2, 3) == 6" if expected else "product(2, 3)"
    (tmp_path / "test_product.py").write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        f"def test_product():\n    from product import product\n    {check}\n"
    )
    [mutant] = mutants.mutants_of(tmp_path / "product.py", tmp_path)
    test = "test_product.py::test_product"
    assert mutants.fails(tmp_path, mutant, [test], {test: 0.01}) == status
    assert (tmp_path / "product.py").read_text() == "def product(a, b):\n    return a * b\n"


def test_named_tests_judge_a_mutant_by_all_of_them(mutants, tmp_path):
    source = tmp_path / "packages" / "a-product" / "src" / "a_product"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("def product(a, b):\n    return a * b\n")
    begin = f"import sys\nsys.path.insert(0, {str(source.parent)!r})\n"
    for name, line in (("test_looks.py", "product(2, 3)"), ("test_checks.py", "assert product(2, 3) == 6")):
        (tmp_path / name).write_text(f"{begin}def test_it():\n    from a_product import product\n    {line}\n")
    [mutant] = mutants.mutants_of(source / "__init__.py", tmp_path)
    statuses = []
    for named in (["test_looks.py"], ["test_looks.py", "test_checks.py"]):
        mutants.judge("a-product", [mutant], mutants.Named(named), tmp_path / "results.jsonl", tmp_path)
        rows = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()]
        statuses.append((rows[-1]["key"], rows[-1]["status"], rows[-1]["tests"]))
    assert statuses == [(mutant.key, "survived", 1), (mutant.key, "killed", 2)]


def test_tests_that_fail_without_a_mutant_judge_nothing(mutants, tmp_path):
    source = tmp_path / "packages" / "a-product" / "src" / "a_product"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("def product(a, b):\n    return a * b\n")
    (tmp_path / "test_wrong.py").write_text("def test_it():\n    assert 1 == 2\n")
    found = mutants.mutants_of(source / "__init__.py", tmp_path)
    with pytest.raises(SystemExit, match="fail here without any mutant"):
        mutants.judge("a-product", found, mutants.Named(["test_wrong.py"]), tmp_path / "results.jsonl", tmp_path)
    assert not (tmp_path / "results.jsonl").exists()
