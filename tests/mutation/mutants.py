"""Which single changes of a package's source do its tests not notice?

``nox -s "mutants(defnet)"`` draws a seeded sample of mutants (one changed operator, number, condition, keyword or
dropped statement each), runs the tests that reach the changed line, and lists the mutants that no test fails under.
Results are appended to a file as they come, and a run that was stopped goes on; a mutant is known by the text of its
file, so that results are kept only while that text stays.

Tests run in a copy of the repository and in processes forked from one that has imported their libraries already.

``-- --again tests/defnet/test_weights.py`` judges those that survived once more, by all tests of the files named: after
a test was written for them, without measuring the whole suite anew. Results of both kinds count.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import hashlib
import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

FIRST_PASS_SECONDS = 5.0
"""Tests that reach little else and take little time go first, for about this long; a mutant that lives gets others."""

LONGEST_SECONDS = 15.0
"""No mutant gets more than this of its other tests; one that has lived so long counts as not noticed."""

NAMED_SECONDS = 60.0
"""How long a file of tests that is named may be expected to take; one that loops runs into three times that."""

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        file: path below the repository.
        line: the changed line, counted from 1.
        last_line: the last line of what was changed.
        kind: what was done.
        text: the whole changed file.
        before: the changed statement or expression as it was.
        after: and as it is.
    """

    file: str
    line: int
    last_line: int
    kind: str
    text: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """Stands for the file's text and the change."""
        return hashlib.sha256(f"{self.file}\0{self.line}\0{self.kind}\0{self.text}".encode()).hexdigest()[:16]

    def is_python(self) -> bool:
        """Whether the changed file compiles."""
        try:
            compile(self.text, self.file, "exec")
        except SyntaxError:
            return False
        return True


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """What a node may be turned into; None stands for a dropped statement."""
    match node:
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign() if type(node.op) in SWAPPED:
            changed = copy.deepcopy(node)
            changed.op = SWAPPED[type(node.op)]()  # type: ignore[assignment]
            yield "operator", changed
        case ast.Compare():
            for index, operator in enumerate(node.ops):
                changed_compare = copy.deepcopy(node)
                changed_compare.ops[index] = SWAPPED[type(operator)]()  # type: ignore[call-overload]
                yield f"comparison {index}", changed_compare
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "unary", node.operand
        case ast.If() | ast.IfExp() | ast.While() if not isinstance(node.test, ast.Compare | ast.UnaryOp | ast.BoolOp):
            changed_test = copy.deepcopy(node)
            changed_test.test = ast.UnaryOp(ast.Not(), node.test)
            yield "condition", changed_test
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "constant", ast.Constant(node.value + 1)
        case ast.Constant(value=float()):
            yield "constant", ast.Constant(node.value * 2 if node.value else 1.0)
        case ast.Raise() | ast.Expr(value=ast.Call()):
            yield "dropped statement", None
        case ast.Call() if node.keywords:
            for index, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    changed_call = copy.deepcopy(node)
                    del changed_call.keywords[index]
                    yield f"dropped {keyword.arg}=", changed_call


_OF_TYPES_AND_HELP = frozenset({"cast", "TypeVar", "typer.Option", "typer.Argument"})


class _Places(ast.NodeVisitor):
    """Collects the nodes that are worth changing: no annotations, names of types, overloads, or words of help."""

    def __init__(self) -> None:
        self.nodes: list[ast.AST] = []

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(d).endswith("overload") for d in node.decorator_list):
            return
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Protocol" for base in node.bases):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "cast",
            "TypeVar",
            "typer.Option",
            "typer.Argument",
        }:
            return
        self.nodes.append(node)
        for name, value in ast.iter_fields(node):
            if name in {"annotation", "returns", "decorator_list", "type_params"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    self.visit(child)


def mutants_of(path: Path, root: Path = ROOT) -> list[Mutant]:
    """All mutants of a file below `root`; a few, within f-strings, are no Python."""
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    places = _Places()
    places.visit(ast.parse(source))
    found = []
    for node in places.nodes:
        for kind, changed in changes(node):
            first, last = node.lineno, node.end_lineno or node.lineno  # type: ignore[attr-defined]
            if isinstance(node, ast.If | ast.While):
                # Only the condition is written anew, so that the body keeps its lines.
                first, last = node.test.lineno, node.test.end_lineno or node.test.lineno
                node, changed = node.test, changed.test  # type: ignore[union-attr]
            after = "pass" if changed is None else f"({ast.unparse(ast.fix_missing_locations(changed))})"
            if isinstance(node, ast.AugAssign):
                after = after[1:-1]
            start = _offset(lines, node.lineno, node.col_offset)  # type: ignore[attr-defined]
            end = _offset(lines, node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]
            before = source[start:end]
            padding = "\n" * before.count("\n") if changed is None else ""
            text = source[:start] + after + padding + source[end:]
            found.append(Mutant(path.relative_to(root).as_posix(), first, last, kind, text, before, after))
    return found


def _offset(lines: Sequence[str], line: int, column: int) -> int:
    """Position in the text; columns of the syntax tree count bytes."""
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


class _Durations:
    """A pytest plugin that remembers how long each test took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration


def measure(package: str, folder: Path, processes: int) -> None:
    """Run the package's tests once and note which lines each of them reaches and how long it takes."""
    import pytest

    name = package.replace("-", "_")
    durations = _Durations()
    os.environ["COVERAGE_FILE"] = str(folder / "coverage")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts compiles all of torch
    arguments = ["-q", "-m", "not gpu and not slow", f"tests/{name}", "--doctest-modules", f"packages/{package}/src"]
    arguments += [f"--cov={name}", "--cov-context=test", "--cov-report=", f"--numprocesses={processes}"]
    code = pytest.main(arguments, plugins=[durations])
    processor = sum(os.times()[:4])
    print(f"{package}: the tests took {processor:.0f} s of CPU")
    if code != 0:
        sys.exit(f"the tests of {package} fail without any mutant (exit code {int(code)})")
    # As if no other program had run: on a busy machine tests would seem longer, and fewer of them be run for a mutant.
    share = min(1.0, processor / sum(durations.seconds.values()))
    seconds = {test: share * taken for test, taken in durations.seconds.items()}
    (folder / "durations.json").write_text(json.dumps(seconds))


class Reach:
    """Which tests reach which lines, from the coverage data of one run."""

    def __init__(self, folder: Path) -> None:
        from coverage.numbits import numbits_to_nums

        self.seconds: dict[str, float] = json.loads((folder / "durations.json").read_text())
        self.tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.breadth: dict[str, int] = defaultdict(int)
        with contextlib.closing(sqlite3.connect(folder / "coverage")) as database:
            joined = "join file on file.id = file_id join context on context.id = context_id"
            rows: Iterable[tuple[str, str, Iterable[int]]]
            if database.execute("select count(*) from arc").fetchone()[0]:  # branches were measured
                arcs = database.execute(f"select path, context, fromno, tono from arc {joined}")
                rows = ((path, context, [abs(start), abs(end)]) for path, context, start, end in arcs)
            else:
                lines = database.execute(f"select path, context, numbits from line_bits {joined}")
                rows = ((path, context, numbits_to_nums(bits)) for path, context, bits in lines)
            for path, context, numbers in rows:
                test = context.rpartition("|")[0]
                place = path[path.index("packages/") :] if "packages/" in path else path
                for number in numbers:
                    if test:
                        self.tests[place, number].add(test)
                        self.breadth[test] += 1
                    else:
                        self.tests[place, number]  # reached at import or outside any test
        self.everything = sorted(self.seconds, key=self._order)

    def _order(self, test: str) -> tuple[int, float]:
        # How likely a test is to notice a line, for each second: the fewer others it has to look at, the likelier.
        seconds = max(self.seconds.get(test, 0.0), 0.02)
        return self.breadth[test] * seconds, seconds

    def of(self, mutant: Mutant) -> list[str]:
        """Tests that reach the mutant, or its file for a line run at import; the likeliest to notice first."""
        lines = range(mutant.line, mutant.last_line + 1)
        tests = {test for line in lines for test in self.tests.get((mutant.file, line), ())}
        if not tests:
            tests = {test for (file, _), reached in self.tests.items() if file == mutant.file for test in reached}
        return sorted(tests & self.seconds.keys(), key=self._order) or self.everything

    def parts(self, tests: Sequence[str]) -> tuple[list[str], list[str]]:
        """Those to run first, and those that a mutant gets which lives through them."""
        first = within(tests, self.seconds, FIRST_PASS_SECONDS)
        rest = tests[len(first) :]
        return first, within(rest, self.seconds, LONGEST_SECONDS) if rest else []


def within(tests: Sequence[str], seconds: dict[str, float], limit: float) -> list[str]:
    """The beginning of a list of tests that takes at most `limit` seconds; at least one."""
    chosen, total = [], 0.0
    for test in tests:
        total += seconds[test]
        if chosen and total > limit:
            break
        chosen.append(test)
    return chosen


def fails(copy_root: Path, mutant: Mutant, tests: Sequence[str], seconds: dict[str, float]) -> str:
    """Run tests under a mutant in a forked process: "killed", "timeout" or "survived"."""
    target = copy_root / mutant.file
    original = target.read_bytes()
    target.write_text(mutant.text, encoding="utf-8")
    # Of the processor, so that no mutant passes for an endless loop because the machine is busy; and of the clock, for
    # those that wait for ever.
    limit = 30 + 3 * sum(seconds[test] for test in tests)
    try:
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
            _run_tests(copy_root, tests)
        deadline = time.monotonic() + 20 * limit
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL):
                    return "timeout"
                return "survived" if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else "killed"
            time.sleep(0.02)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "timeout"
    finally:
        target.write_bytes(original)


def _run_tests(copy_root: Path, tests: Sequence[str]) -> None:
    os.setsid()
    os.chdir(copy_root)
    with open(os.devnull, "w", encoding="utf-8") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    import hypothesis
    import pytest

    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # a failure need not be made small
    hypothesis.settings.register_profile("mutants", phases=phases, database=None, deadline=None)
    hypothesis.settings.load_profile("mutants")
    code = 3
    with contextlib.suppress(BaseException):
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--doctest-modules", *tests]))
    os._exit(code)


def copy_of_repository(folder: Path) -> Path:
    """Copy what git tracks or would track into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


_COLLECT = """
import json, sys, pytest
options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--doctest-modules", "--collect-only"]
code = pytest.main([*options, *sys.argv[1:]])
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
print(json.dumps([name for name, file in files.items() if "site-packages" in file]))
sys.exit(code)
"""


def collect_once(package: str, copy_root: Path) -> list[str]:
    """Collect a copy's tests once, which leaves its compiled modules, and return the libraries that they import.

    No mutant's run has to compile them again, and what is imported before the forks is imported once.
    """
    places = [f"tests/{package.replace('-', '_')}", f"packages/{package}/src"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", _COLLECT, *places]
    done = subprocess.run(command, cwd=copy_root, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


class Named:
    """Files of tests given by name, of which each mutant gets all."""

    def __init__(self, files: Sequence[str]) -> None:
        self.everything = list(files)
        self.seconds = dict.fromkeys(files, NAMED_SECONDS)

    def of(self, mutant: Mutant) -> list[str]:  # noqa: ARG002
        """All, for any mutant."""
        return self.everything

    def parts(self, tests: Sequence[str]) -> tuple[list[str], list[str]]:
        """All at once."""
        return list(tests), []


def judge(package: str, sample: Iterable[Mutant], reach: Reach | Named, results: Path, copy_root: Path) -> None:
    """Judge mutants one after the other; each result is a line of the file at once."""
    control, _ = reach.parts(reach.everything)
    unchanged = next(copy_root.glob(f"packages/{package}/src/*/__init__.py"))
    same = Mutant(unchanged.relative_to(copy_root).as_posix(), 1, 1, "none", unchanged.read_text(), "", "")
    if fails(copy_root, same, control, reach.seconds) != "survived":
        sys.exit(f"tests of {package} fail here without any mutant, so that nothing can be judged")
    for number, mutant in enumerate(sample, 1):
        tests = reach.of(mutant)
        started = time.monotonic()
        first, rest = reach.parts(tests)
        status = fails(copy_root, mutant, first, reach.seconds)
        if status == "survived" and rest:
            status = fails(copy_root, mutant, rest, reach.seconds)
        row = {
            "key": mutant.key,
            "file": mutant.file,
            "line": mutant.line,
            "kind": mutant.kind,
            "before": mutant.before[:300],
            "after": mutant.after[:300],
            "status": status,
            "tests": len(tests),
            "seconds": round(time.monotonic() - started, 2),
        }
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{package} {number}: {status:9}{mutant.file}:{mutant.line} {mutant.kind}", flush=True)


def main() -> None:
    """Draw, judge and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("--count", type=int, default=300, help="mutants in the sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=ROOT / ".mutants", help="where results are kept")
    parser.add_argument("--only", default="", help="only files whose path holds this text")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--again", nargs="+", metavar="TESTS", help="judge survivors again by these files of tests")
    options = parser.parse_args()
    package: str = options.package
    folder: Path = (options.folder / package).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.jsonl"

    files = sorted((ROOT / "packages" / package / "src").rglob("*.py"))
    everything = [m for path in files for m in mutants_of(path) if options.only in m.file]
    in_random_order = random.Random(options.seed).sample(everything, len(everything))
    sample = list(itertools.islice(filter(Mutant.is_python, in_random_order), options.count))
    known = {}
    if results.exists():
        known = {row["key"]: row for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    before = [mutant for mutant in sample if mutant.key in known]
    todo = [mutant for mutant in sample if mutant.key not in known]
    print(f"{package}: {len(everything):,} mutants, {len(sample)} drawn, {len(before)} judged before")
    reach: Reach | Named
    if options.again:
        todo = [mutant for mutant in before if known[mutant.key]["status"] == "survived"]
        reach = Named(options.again)
    elif todo:
        state = hashlib.sha256("".join(p.read_text() for p in _all_text(package)).encode()).hexdigest()
        stamp = folder / "measured"
        if not stamp.exists() or stamp.read_text() != state:
            command = [sys.executable, __file__, "--measure", package, str(folder), str(options.processes)]
            subprocess.run(command, cwd=ROOT, check=True)
            stamp.write_text(state)
        reach = Reach(folder)
    if todo:
        children = []
        for share in range(options.processes):
            child = os.fork()
            if child == 0:
                copy_root = copy_of_repository(folder / f"copy-{share}")
                source = str(copy_root / "packages" / package / "src")
                os.environ |= {"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
                libraries = collect_once(package, copy_root)
                sys.dont_write_bytecode = True
                sys.path.insert(0, source)
                for name in libraries:
                    with contextlib.suppress(Exception):
                        import_module(name)
                judge(package, todo[share :: options.processes], reach, results, copy_root)
                os._exit(0)
            children.append(child)
        ends = [os.waitpid(child, 0)[1] for child in children]
        if any(ends):
            sys.exit(f"{package}: not all were judged")
        known = {row["key"]: row for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    judged = [known[mutant.key] for mutant in sample if mutant.key in known]
    survivors = sorted(
        (row for row in judged if row["status"] == "survived"), key=lambda row: (row["file"], row["line"])
    )
    for row in survivors:
        print(f"{row['file']}:{row['line']}: {row['kind']}: {row['before']!r} -> {row['after']!r}")
    killed = len(judged) - len(survivors)
    print(f"{package}: {killed} of {len(judged)} killed ({killed / max(1, len(judged)):.1%}), seed {options.seed}")


def _all_text(package: str) -> list[Path]:
    name = package.replace("-", "_")
    return sorted([*(ROOT / "packages" / package / "src").rglob("*.py"), *(ROOT / "tests" / name).rglob("*.py")])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
