"""Every task of the repository: `nox -s tests`, `"tests(evidential-nig)"`, `wheels`, `lint`, `types`, `docs`, `bench`, `gpu`.

Each session makes its environment from `uv.lock`, on the Python that runs nox.
"""

from pathlib import Path

import nox

ROOT = Path(__file__).parent
# From the lowest layer up, so that a fault is first seen in the package that has it.
PACKAGES = ("evidential-nig", "iqa-datasets", "clip-iqa-backbone", "map-score-fusion", "defnet")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])


def import_name(package: str) -> str:
    return package.replace("-", "_")


def sync(session: nox.Session, *selection: str) -> None:
    """Makes the session's environment hold exactly what `selection` asks of the lock file, and nothing else."""
    session.run_install(
        "uv",
        "sync",
        "--quiet",
        "--locked",
        "--exact",
        f"--python={session.virtualenv.location}",
        *selection,
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )


def run_pytest(session: nox.Session, *arguments: str) -> None:
    # The coverage data goes to the session's folder: sessions may run side by side in one checkout.
    coverage_file = str(Path(session.create_tmp()) / "coverage")
    session.run("pytest", *arguments, *session.posargs, env={"COVERAGE_FILE": coverage_file})


@nox.session
@nox.parametrize("package", [nox.param(name, id=name) for name in (*PACKAGES, "integration")])
def tests(session: nox.Session, package: str) -> None:
    """Runs one package's tests with that package alone installed, or `integration` with all of them."""
    if package == "integration":
        sync(session, "--all-packages", "--group=test")
        run_pytest(session, "-m", "not gpu", "tests/integration", "tests/repository")
        return
    name = import_name(package)
    if not any((ROOT / "tests" / name).rglob("test_*.py")):
        session.skip(f"tests/{name} holds no test: {package} was not tested")
    sync(session, f"--package={package}", "--group=test")
    run_pytest(session, "-m", "not gpu", f"tests/{name}", f"--cov={name}", "--cov-report=term")


@nox.session
def lint(session: nox.Session) -> None:
    """Checks style and format."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Checks the types of the packages and of the repository's own scripts, strictly."""
    sync(session, "--all-packages", "--group=types", "--group=tasks")
    session.run("mypy", *session.posargs)
