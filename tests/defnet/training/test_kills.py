"""The benchmark of kills, in short."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "packages" / "defnet" / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_five_kills_lose_nothing() -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(BENCHMARK), "--quick", "--seed", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(
        r"5 kills over \d+ trainings: 0 ended otherwise than undisturbed; (\d+) steps lost at most, an interval is 5",
        last,
    )
    assert found, done.stdout
    assert int(found[1]) <= 5
