"""What holds for all three command lines, whoever writes: typer, a command, or the shared frame."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {"iqa-datasets": "iqa_datasets", "map-score-fusion": "map_score_fusion", "defnet": "defnet"}
BIN = Path(sys.executable).parent

each_program = pytest.mark.parametrize("program", sorted(PROGRAMS))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")  # noqa: PTH110
@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        *[(program, [option]) for program in sorted(PROGRAMS) for option in ("--help", "--version")],
        ("iqa-datasets", ["list"]),
        ("iqa-datasets", ["info", "koniq-10k"]),
        ("iqa-datasets", ["verify", "--help"]),
        ("map-score-fusion", ["list"]),
        ("defnet", ["info", "lite"]),
    ],
)
def test_a_full_disk_is_one_line_and_2(program, arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([BIN / program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, f"{program}: cannot write: no space left on device\n")


@each_program
def test_flags_want_no_bool_and_every_command_has_examples(program):
    module = __import__(f"{PROGRAMS[program]}.cli", fromlist=["app"])
    names = [command.name for command in module.app.registered_commands]
    assert len(names) > 3
    lacking = []
    for name in names:
        run = subprocess.run([BIN / program, name, "--help"], check=True, capture_output=True, text=True)
        assert "<bool>" not in run.stdout, name
        if "Example" not in run.stdout:
            lacking.append(name)
    assert lacking == []
