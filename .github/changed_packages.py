"""Says which packages a change must be tested with: those it touches and those that depend on them.

    python .github/changed_packages.py BASE    compares HEAD with where it left the git revision BASE
    python .github/changed_packages.py         all packages

Prints two lines for a GitHub workflow's output: `wheels`, the packages, and `tests`, the same and `integration`.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Changes here cannot change what a package does. What is named nowhere counts as a change of every package.
TOUCH_NO_PACKAGE = ("docs/", "tests/integration/", "tests/repository/", "CITATION.cff", "LICENSE", ".gitignore")


def packages_and_siblings(root: Path = ROOT) -> dict[str, set[str]]:
    """Each package of the workspace with the packages of the workspace that it depends on, extras included."""
    requirements: dict[str, list[str]] = {}
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {}).values()
        requirements[project["name"]] = [*project["dependencies"], *(one for extra in extras for one in extra)]
    named = {
        package: {re.split(r"[^\w.-]", one, maxsplit=1)[0] for one in needed}
        for package, needed in requirements.items()
    }
    # An extra may name others of its own package, which is no sibling.
    return {package: (names & requirements.keys()) - {package} for package, names in named.items()}


def affected(paths: Iterable[str], siblings: dict[str, set[str]]) -> list[str]:
    """The packages to test for a change of the files `paths`, relative to the root, in alphabetical order."""
    folders = {f"packages/{package}/": package for package in siblings}
    folders |= {f"tests/{package.replace('-', '_')}/": package for package in siblings}
    found: set[str] = set()
    for path in paths:
        touched = next((package for folder, package in folders.items() if path.startswith(folder)), None)
        if touched:
            found.add(touched)
        elif not path.startswith(TOUCH_NO_PACKAGE) and not ("/" not in path and path.endswith(".md")):
            return sorted(siblings)
    while dependents := {package for package, needed in siblings.items() if needed & found} - found:
        found |= dependents
    return sorted(found)


def main(arguments: list[str]) -> None:
    siblings = packages_and_siblings()
    packages = sorted(siblings)
    if arguments:
        command = ["git", "-C", str(ROOT), "diff", "--name-only", "--no-renames", "-z", f"{arguments[0]}...HEAD"]
        changed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        packages = affected(filter(None, changed.split("\0")), siblings)
    print(f"wheels={json.dumps(packages)}")
    print(f"tests={json.dumps([*packages, 'integration'])}")


if __name__ == "__main__":
    main(sys.argv[1:])
