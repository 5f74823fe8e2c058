"""Processes forked after the model has computed: they score, on one thread, and say so; without care they hang."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PROGRAM = """
import os, sys, warnings
import torch
torch.set_num_threads(2)
import defnet
scorer = defnet.load_scorer(sys.argv[1], device="cpu")
if sys.argv[3] == "computed":
    print(f"{scorer.score(sys.argv[2])[0].quality:.4f}", flush=True)
child = os.fork()
if not child:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            quality = scorer.score(sys.argv[2])[0].quality
        tensor = scorer(torch.zeros(3, 224, 224)).isfinite().all()
    print(f"{quality:.4f}", flush=True)
    print(torch.get_num_threads(), len(caught), caught[0].message, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(torch.get_num_threads(), f"{scorer.score(sys.argv[2])[0].quality:.4f}")
"""


@pytest.mark.parametrize("parent", ["computed", "loaded"])
def test_a_forked_process_scores_on_one_thread_and_says_so(
    photographs: list[Path], model_file: Path, parent: str
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model_file, photographs[0], parent],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,  # it hung for ever
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    before, (child, told, after) = lines[:-3], lines[-3:]
    assert told.startswith("1 1 this process was forked after torch had been loaded; torch computes on 1 thread here")
    # The parent keeps its threads.
    assert after == f"2 {child}"
    assert before == ([child] if parent == "computed" else [])


def test_the_same_through_multiprocessing(photographs: list[Path], model_file: Path) -> None:
    """As web servers and data pipelines fork: a pool made after the model has computed."""
    program = """
import multiprocessing, sys
import torch
torch.set_num_threads(2)
import defnet
scorer = defnet.load_scorer(sys.argv[1], device="cpu")
def quality(path): return round(scorer.score(path)[0].quality, 4)
expected = [quality(path) for path in sys.argv[2:]]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map_async(quality, sys.argv[2:]).get(timeout=90) == expected
"""
    command = [sys.executable, "-c", program, model_file, *photographs[:4]]
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_cuda_after_a_fork_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from defnet import DEFNetError
    from defnet.scoring import forked

    monkeypatch.setattr(forked, "_in_child", True)
    with pytest.raises(DEFNetError, match="forked from one that used CUDA"):
        forked.compute_safely_after_fork(torch.device("cuda"))
