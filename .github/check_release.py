"""Checks that a tag can be released: python .github/check_release.py TAG, with TAG as evidential-nig-v0.1.0.

Prints `package` and `version` as two lines for a GitHub workflow's output, or stops with the reason why not.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def check_release(tag: str, root: Path = ROOT) -> tuple[str, str]:
    """The package and the version that `tag` releases.

    Raises:
        ValueError: The tag is not `<package>-v<version>` of a package in the workspace, its version is not the one in
            the package's pyproject.toml, or the package's CHANGELOG.md has no finished section for it.
    """
    package, separator, version = tag.rpartition("-v")
    known = sorted(path.parent.name for path in root.glob("packages/*/pyproject.toml"))
    if not separator or package not in known:
        raise ValueError(f"the tag {tag!r} is not <package>-v<version> with one of {', '.join(known)}")
    folder = root / "packages" / package

    declared = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if version != declared:
        raise ValueError(f"the tag {tag!r} says {version}, packages/{package}/pyproject.toml says {declared}")

    changes = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## \[?{re.escape(version)}(?![\w.])(.*)\n((?:(?!## ).*\n?)*)", changes, re.MULTILINE)
    if section is None:
        raise ValueError(f"packages/{package}/CHANGELOG.md has no section '## {version}'")
    if "unreleased" in section[1].lower():
        raise ValueError(f"packages/{package}/CHANGELOG.md still calls {version} unreleased")
    if not section[2].strip():
        raise ValueError(f"packages/{package}/CHANGELOG.md says nothing under '## {version}'")
    return package, version


def main(arguments: list[str]) -> None:
    if len(arguments) != 1:
        sys.exit("usage: python .github/check_release.py TAG")
    try:
        package, version = check_release(arguments[0])
    except ValueError as error:
        sys.exit(str(error))
    print(f"package={package}\nversion={version}")


if __name__ == "__main__":
    main(sys.argv[1:])
