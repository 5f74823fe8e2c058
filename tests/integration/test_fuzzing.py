"""The fuzzing of files, in short: no crash, no hang, no word on standard error, every refusal with a reason."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "fuzzing" / "fuzz.py"


@pytest.mark.parametrize(("kind", "cases"), [("images", 400), ("tables", 12)])
def test_damaged_files_are_read_or_refused(kind: str, cases: int) -> None:
    command = [sys.executable, "-W", "ignore", str(FUZZ), kind, "--cases", str(cases), "--first", "20000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    assert last.endswith("; 0 faults")
    assert "refused" in last


def test_a_crash_a_hang_and_a_word_aside_are_faults() -> None:
    """The frame itself: each way to go wrong is noticed, and the next case is done all the same."""
    code = f"""
import os, sys, time
sys.path.insert(0, {str(FUZZ.parents[1])!r})
from fuzzing.watched import FaultError, run_cases

def judge(case):
    if case == 1:
        os._exit(3)
    if case == 2:
        time.sleep(60)
    if case == 3:
        os.write(2, b"a word")
    if case == 4:
        raise KeyError("x")
    if case == 5:
        raise FaultError("is wrong")
    return "well"

outcomes = run_cases(judge, range(7), seconds=2)
print(dict(outcomes.counts), *outcomes.faults, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "{'well': 2}",
        "(1, 'crashes: the process ended with 3')",
        "(2, 'hangs: not done after 2 s')",
        "(3, \"writes to standard error: 'a word'\")",
        "(4, \"raises KeyError: 'x' (<string>:14)\")",
        "(5, 'is wrong')",
    ], done.stdout + done.stderr
