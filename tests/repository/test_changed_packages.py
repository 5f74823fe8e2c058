import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ALL = ["clip-iqa-backbone", "defnet", "evidential-nig", "iqa-datasets", "map-score-fusion"]
SIBLINGS: dict[str, set[str]] = {
    "evidential-nig": set(),
    "iqa-datasets": set(),
    "clip-iqa-backbone": set(),
    "map-score-fusion": set(),
    "defnet": {"evidential-nig", "iqa-datasets", "clip-iqa-backbone"},
}


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script(".github/changed_packages.py")


def test_reads_the_dependencies_from_the_pyprojects(script: ModuleType, root: Path) -> None:
    siblings = script.packages_and_siblings(root)
    assert sorted(siblings) == ALL
    assert siblings["evidential-nig"] == siblings["iqa-datasets"] == set()
    assert siblings["defnet"] >= {"evidential-nig", "iqa-datasets", "clip-iqa-backbone"}


def test_counts_extras_as_dependencies(script: ModuleType, tmp_path: Path) -> None:
    extras = {"low-one": "", "top": '[project.optional-dependencies]\nmore = ["low-one>=1,<2"]\nall = ["top[more]"]'}
    for name, extra in extras.items():
        (tmp_path / "packages" / name).mkdir(parents=True)
        text = f'[project]\nname = "{name}"\ndependencies = ["numpy[x]>=1"]\n{extra}\n'
        (tmp_path / "packages" / name / "pyproject.toml").write_text(text, encoding="utf-8")
    assert script.packages_and_siblings(tmp_path) == {"low-one": set(), "top": {"low-one"}}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["packages/defnet/src/defnet/model.py"], ["defnet"]),
        (["packages/evidential-nig/README.md"], ["defnet", "evidential-nig"]),
        (["tests/iqa_datasets/test_load.py"], ["defnet", "iqa-datasets"]),
        (["packages/map-score-fusion/pyproject.toml"], ["map-score-fusion"]),
        (["docs/index.md", "README.md", "CITATION.cff", "tests/integration/test_path.py"], []),
        (["docs/index.md", "packages/defnet/CHANGELOG.md"], ["defnet"]),
        (["uv.lock"], ALL),
        (["noxfile.py"], ALL),
        ([".github/workflows/ci.yml"], ALL),
        (["tests/smoke/installed.py"], ALL),
        (["a-folder-nobody-thought-of/file"], ALL),
        ([], []),
    ],
)
def test_affected(script: ModuleType, paths: list[str], expected: list[str]) -> None:
    assert script.affected(paths, SIBLINGS) == expected


def test_dependents_of_dependents(script: ModuleType) -> None:
    chain = {"a": set(), "b": {"a"}, "c": {"b"}, "d": set()}
    assert script.affected(["packages/a/x"], chain) == ["a", "b", "c"]


def test_compares_with_where_the_branch_began(root: Path, tmp_path: Path) -> None:
    """Runs the script in a clone with a commit of its own, as the workflow does."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init", "--initial-branch=main")
    for path in [".github/changed_packages.py", *(f"packages/{name}/pyproject.toml" for name in ALL)]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((root / path).read_bytes())
    git("add", ".")
    git("commit", "-m", "start")
    git("checkout", "-b", "topic")
    (tmp_path / "packages" / "defnet" / "naïve name.txt").write_text("new", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "change")
    git("checkout", "main")
    (tmp_path / "uv.lock").write_text("", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "main moves on, which is no change of the branch")
    git("checkout", "topic")

    script = str(tmp_path / ".github" / "changed_packages.py")
    printed = subprocess.run([sys.executable, script, "main"], check=True, capture_output=True, text=True).stdout
    outputs = dict(line.split("=", 1) for line in printed.splitlines())
    assert json.loads(outputs["wheels"]) == ["defnet"]
    assert json.loads(outputs["tests"]) == ["defnet", "integration"]
