"""What SECURITY.md promises of all code, as far as reading the code can tell; the packages' tests try hostile files."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = sorted(REPOSITORY.glob("packages/*/src/**/*.py"))
# The keyword argument that makes a call safe, and the value it must have.
SAFE_WITH = {
    "torch.load": ("weights_only", True),
    "extractall": ("filter", "data"),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "pd.read_pickle": ("", None),
    "pickle.load": ("", None),
    "pickle.loads": ("", None),
    "eval": ("", None),
    "exec": ("", None),
}


def unsafe_calls(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            name = called if called in SAFE_WITH else called.rpartition(".")[2]
            if name not in SAFE_WITH or (name in {"eval", "exec"} and name != called):
                continue
            keyword, value = SAFE_WITH[name]
            given = {one.arg: one.value.value for one in node.keywords if isinstance(one.value, ast.Constant)}
            if not keyword or given.get(keyword, ...) != value:
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_sources_are_found() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY / "packages")))
def test_no_call_that_can_run_a_file(path: Path) -> None:
    assert unsafe_calls(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "unsafe"),
    [
        ("torch.load(path)", True),
        ("torch.load(path, weights_only=False)", True),
        ("torch.load(path, 'cpu', weights_only=True)", False),
        ("tarfile.open(path).extractall(folder)", True),
        ("archive.extractall(folder, filter='data')", False),
        ("np.load(path, allow_pickle=True)", True),
        ("np.load(path, allow_pickle=False)", False),
        ("pickle.loads(data)", True),
        ("eval(text)", True),
        ("model.eval()", False),
        ("json.load(file)", False),
    ],
)
def test_the_check_itself(source: str, unsafe: bool) -> None:
    assert bool(unsafe_calls(source)) is unsafe
