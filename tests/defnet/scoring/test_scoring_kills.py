"""The benchmark of killed scoring runs, in short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "packages" / "defnet" / "benchmarks" / "scoring_kills.py"


def test_four_kills_leave_every_table_whole() -> None:
    pytest.importorskip("pyarrow")
    command = [sys.executable, "-W", "ignore", str(BENCHMARK), "--quick", "--seed", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].endswith("0 ended otherwise than undisturbed")
    assert done.stdout.count("kill ") == 4
