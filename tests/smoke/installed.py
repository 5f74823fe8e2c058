"""What every installed wheel must satisfy. Run by `nox -s wheels`, where there is no pytest and no workspace."""

import importlib
import pkgutil
import re
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

SIBLINGS = ("evidential-nig", "iqa-datasets", "clip-iqa-backbone", "map-score-fusion", "defnet")


def check_installed(name: str, *, with_extras: tuple[str, ...] = ()) -> Path:
    """Check the installed wheel of the package `name` as far as all packages are alike.

    The one command line argument is the repository's folder, which the wheel is compared with. The modules
    `with_extras` need an extra that is not installed here: importing one must say so.

    Returns:
        The repository's folder.

    Raises:
        AssertionError: The wheel is not what the repository's files say, or holds a module that cannot be imported
            with the declared dependencies alone.
    """
    repository = Path(sys.argv[1])
    project = tomllib.loads((repository / "packages" / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    import_name = name.replace("-", "_")
    installed = distribution(name)

    expect(installed.version == project["version"], f"version is {installed.version}, not {project['version']}")
    direct_url = installed.read_text("direct_url.json") or ""
    expect('"dir_info"' not in direct_url, f"{name} was installed from a folder and not from its wheel")
    licences = installed.metadata.get_all("License-File") or []
    expect(bool(licences), "the metadata names no licence file")

    package = importlib.import_module(import_name)
    folder = Path(str(package.__file__)).parent
    expect(not folder.is_relative_to(repository), f"{import_name} was imported from the repository, {folder}")
    expect((folder / "py.typed").is_file(), "py.typed is missing, so type checkers ignore the package's annotations")
    for public in package.__all__:
        expect(hasattr(package, public), f"__all__ lists {public}, which the package does not have")

    # The environment holds the declared dependencies and no other package: an import that is not declared fails here.
    for module in pkgutil.walk_packages(package.__path__, f"{import_name}."):
        if module.name in with_extras:
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                expect(f'pip install "{name}[' in str(error), f"{module.name} should say what to install: {error}")
            else:
                expect(False, f"{module.name} was imported without its extra")
        elif not module.name.endswith(".__main__"):
            importlib.import_module(module.name)

    for requirement in installed.requires or []:
        if requirement.startswith(SIBLINGS):
            bounded = re.search(r">=\d", requirement) and re.search(r"<\d", requirement)
            expect(bool(bounded) and "@" not in requirement, f"a sibling must be required by a range: {requirement}")
    return repository


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError with `message` unless `condition` holds, also under `python -O`."""
    if not condition:
        raise AssertionError(message)
