"""Each package imports only what it declares, and only from layers below its own."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

LAYERS = {"evidential-nig": 0, "iqa-datasets": 0, "clip-iqa-backbone": 1, "map-score-fusion": 1, "defnet": 2}
PACKAGES = sorted(LAYERS)
REPOSITORY = Path(__file__).parents[2]
# Plug-ins of Pillow are imported by a name in a table, where they are installed.
IMPORTED_BY_NAME = {"iqa-datasets": {"pi-heif"}}


def project(package: str) -> dict[str, list[str]]:
    path = REPOSITORY / "packages" / package / "pyproject.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", one, maxsplit=1)[0]) for one in requirements}


def requirements(package: str) -> list[str]:
    """What a package and its extras ask for; an extra that names others of its own package asks for nothing more."""
    extras = project(package).get("optional-dependencies", {}).values()
    everything = [*project(package)["dependencies"], *(one for extra in extras for one in extra)]
    return [one for one in everything if requirement_names([one]) != {package}]


def declared(package: str) -> set[str]:
    return requirement_names(requirements(package))


def imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.partition(".")[0]


def foreign_imports(package: str, distributions: dict[str, list[str]]) -> Iterator[tuple[str, set[str]]]:
    """Where a package imports what is neither its own nor the standard library's, with the projects that provide it."""
    own = package.replace("-", "_")
    folder = REPOSITORY / "packages" / package / "src" / own
    for file in sorted(folder.rglob("*.py")):
        for line, module in imports(file):
            if module != own and module not in sys.stdlib_module_names:
                providers = {canonical(one) for one in distributions.get(module, [module])}
                yield f"{file.relative_to(REPOSITORY)}:{line} imports {module}", providers


@pytest.fixture(scope="module")
def distributions() -> dict[str, list[str]]:
    # An editable install of the workspace lists no import names; they are the project's with underscores.
    return dict(packages_distributions()) | {name.replace("-", "_"): [name] for name in PACKAGES}


def test_every_package_has_a_layer() -> None:
    assert sorted(path.parent.name for path in REPOSITORY.glob("packages/*/pyproject.toml")) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_only_what_it_declares(package: str, distributions: dict[str, list[str]]) -> None:
    known = declared(package)
    undeclared = [place for place, providers in foreign_imports(package, distributions) if not providers & known]
    assert not undeclared


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_only_from_lower_layers(package: str, distributions: dict[str, list[str]]) -> None:
    for place, providers in foreign_imports(package, distributions):
        for sibling in providers & LAYERS.keys():
            assert LAYERS[sibling] < LAYERS[package], f"{place}, which is not below {package}"


@pytest.mark.parametrize("package", PACKAGES)
def test_declares_only_what_it_imports(package: str, distributions: dict[str, list[str]]) -> None:
    imported = {one for _, providers in foreign_imports(package, distributions) for one in providers}
    assert declared(package) <= imported | IMPORTED_BY_NAME.get(package, set()), "declared and imported nowhere"


@pytest.mark.parametrize("package", PACKAGES)
def test_siblings_are_required_by_a_bounded_range(package: str) -> None:
    for requirement in requirements(package):
        if requirement_names([requirement]) & LAYERS.keys():
            assert re.fullmatch(r"[\w-]+(\[[\w,-]+\])?>=\d+(\.\d+)*,<\d+(\.\d+)*", requirement), requirement


def test_evidential_nig_needs_torch_alone() -> None:
    assert requirement_names(project("evidential-nig")["dependencies"]) == {"torch"}
    code = "import sys, evidential_nig, evidential_nig.calibration, evidential_nig.recalibration; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"matplotlib", "scipy", "sklearn"} & set(run.stdout.split())


def test_iqa_datasets_needs_no_torch() -> None:
    needed = requirement_names(project("iqa-datasets")["dependencies"])
    optional = {"huggingface-hub", "matplotlib", "pooch", "pyarrow", "requests", "scikit-image", "torch", "urllib3"}
    assert optional <= declared("iqa-datasets") - needed
    # Whole commands and not the bare import: what is optional must not slip in where a module is loaded late.
    # TorchView is a torch Dataset, and the only name that may import torch.
    code = (
        "import sys, tempfile, iqa_datasets, iqa_datasets.cli, iqa_datasets.testing\n"
        "[getattr(iqa_datasets, name) for name in iqa_datasets.__all__ if name != 'TorchView']\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    fake = iqa_datasets.testing.make_fake('kadid-10k', folder)\n"
        "    iqa_datasets.load('kadid-10k', fake.root)\n"
        "    iqa_datasets.verify('kadid-10k', fake.root, workers=1)\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    # pandas imports pyarrow itself wherever it is installed.
    imported = {"huggingface_hub", "matplotlib", "pooch", "requests", "skimage", "torch", "urllib3"}
    assert not imported & set(run.stdout.split())
