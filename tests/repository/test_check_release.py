import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(load_script: Callable[[str], ModuleType]) -> ModuleType:
    return load_script(".github/check_release.py")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "packages" / "iqa-v-tools"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "iqa-v-tools"\nversion = "1.2.0"\n', encoding="utf-8")
    changes = "# Changes\n\n## 1.2.0 (2026-02-01)\n\nFaster.\n\n## 1.1.0\n\nFirst.\n"
    (folder / "CHANGELOG.md").write_text(changes, encoding="utf-8")
    return tmp_path


def rewrite(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_accepts_the_version_of_the_package(script: ModuleType, workspace: Path) -> None:
    assert script.check_release("iqa-v-tools-v1.2.0", workspace) == ("iqa-v-tools", "1.2.0")


@pytest.mark.parametrize("tag", ["iqa-v-tools-1.2.0", "v1.2.0", "iqa-v-toolz-v1.2.0", "-v1.2.0", "iqa-v-tools", ""])
def test_refuses_what_is_not_package_and_version(script: ModuleType, workspace: Path, tag: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"the tag {tag!r} is not <package>-v<version> with one of")):
        script.check_release(tag, workspace)


def test_refuses_another_version(script: ModuleType, workspace: Path) -> None:
    with pytest.raises(ValueError, match=r"says 1\.1\.0, packages/iqa-v-tools/pyproject\.toml says 1\.2\.0"):
        script.check_release("iqa-v-tools-v1.1.0", workspace)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## 1.2.0 (2026-02-01)", "## 1.2.0.dev1", "has no section '## 1.2.0'"),
        ("## 1.2.0 (2026-02-01)", "## 1.2.01", "has no section '## 1.2.0'"),
        ("## 1.2.0 (2026-02-01)", "### 1.2.0", "has no section '## 1.2.0'"),
        ("(2026-02-01)", "(Unreleased)", "still calls 1.2.0 unreleased"),
        ("Faster.\n", "", "says nothing under '## 1.2.0'"),
    ],
)
def test_refuses_an_unfinished_changelog(script: ModuleType, workspace: Path, old: str, new: str, message: str) -> None:
    rewrite(workspace / "packages" / "iqa-v-tools" / "CHANGELOG.md", old, new)
    with pytest.raises(ValueError, match=re.escape(message)):
        script.check_release("iqa-v-tools-v1.2.0", workspace)


def test_command_says_why_in_one_line(root: Path) -> None:
    command = [sys.executable, str(root / ".github" / "check_release.py"), "defnet-v0.0.0"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("the tag 'defnet-v0.0.0' says 0.0.0")
    assert result.stderr.count("\n") == 1
