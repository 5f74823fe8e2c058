"""What `nox -s gpu` runs on a GPU, each script small and on the CPU."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GPU = Path(__file__).parents[1] / "gpu"

SMALL = {
    "losses_and_fusion.py": (["--images", "64"], r"off from double precision on the CPU +\d\.\de-\d"),
    "towers.py": (["--backbone", "lite", "--views", "4"], r"bf16, eager: views a second, forward +\d+"),
    "encoder_fit.py": (["--images", "64", "--metrics", "4", "--batch", "16"], r"off from the CPU after 3 steps +\d"),
    "train_vit.py": (
        ["--set", "backbone.name=lite", "--set", "data.*.batch_size=4", "--set", "precision=fp32"],
        r"lite, fp32: images a second, 5 views each +\d",
    ),
}


@pytest.mark.parametrize("script", SMALL)
def test_a_gpu_script_runs_on_the_cpu(script: str) -> None:
    options, expected = SMALL[script]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "IQA_DATA_ROOT": ""}
    command = [sys.executable, str(GPU / script), "--device", "cpu", "--steps", "3", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert re.search(expected, done.stdout), done.stdout


def test_nox_has_a_script_for_every_package_that_computes() -> None:
    text = (GPU.parents[1] / "noxfile.py").read_text(encoding="utf-8")
    assert {name for name in SMALL if f'"{name}"' in text} == set(SMALL)
    assert {path.name for path in GPU.glob("*.py") if not path.name.startswith(("test_", "measuring"))} == set(SMALL)
