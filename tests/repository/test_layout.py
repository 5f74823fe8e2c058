"""What every package of the workspace has, so that it can be installed, typed, tested and released alone."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in REPOSITORY.glob("packages/*/pyproject.toml"))


def pyproject(package: str) -> dict[str, Any]:
    return tomllib.loads((REPOSITORY / "packages" / package / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("package", PACKAGES)
def test_files(package: str) -> None:
    folder = REPOSITORY / "packages" / package
    assert (folder / "README.md").stat().st_size > 0
    assert (folder / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
    assert (folder / "src" / package.replace("-", "_") / "py.typed").is_file()


@pytest.mark.parametrize("package", PACKAGES)
def test_changelog_has_the_version(package: str) -> None:
    version = pyproject(package)["project"]["version"]
    changes = (REPOSITORY / "packages" / package / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)}\b", changes, re.MULTILINE), f"no section '## {version}'"


@pytest.mark.parametrize("package", PACKAGES)
def test_metadata(package: str) -> None:
    project = pyproject(package)["project"]
    assert project["name"] == package
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert "test" in pyproject(package)["dependency-groups"]


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_are_named_for_what_they_hold(package: str) -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [path for path in (REPOSITORY / "packages" / package / "src").rglob("*") if path.stem in vague] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_the_public_surface(package: str) -> None:
    module = __import__(package.replace("-", "_"))
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_nox_knows_every_package(load_script: Callable[[str], ModuleType]) -> None:
    pytest.importorskip("nox")
    assert sorted(load_script("noxfile.py").PACKAGES) == PACKAGES


def test_every_package_has_a_smoke_test() -> None:
    scripts = sorted(path.stem for path in (REPOSITORY / "tests" / "smoke").glob("smoke_*.py"))
    assert scripts == sorted(f"smoke_{package.replace('-', '_')}" for package in PACKAGES)
