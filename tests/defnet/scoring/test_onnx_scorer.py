"""Scoring by onnxruntime: the columns of torch's scores, without torch."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

import defnet.scoring.loading
from defnet import CheckpointError, DEFNetError, Failure, OnnxScorer, Score, Scorer, Scores, load_scorer
from defnet.model.shipped import DEFAULT_MODEL
from defnet.scoring.onnx_metadata import read_metadata
from defnet.scoring.onnx_model import KEY, OnnxModel, usual_threads
from defnet.scoring.scores import COLUMNS

WEIGHTS = Path(str(files("defnet") / "weights"))
EXPORTED = WEIGHTS / f"{DEFAULT_MODEL}.onnx"
SAMPLES = Path(__file__).parents[3] / "samples"
NUMBERS = [name for name in COLUMNS if Score.__annotations__[name] is float]


@pytest.fixture(scope="module")
def by_onnx() -> OnnxScorer:
    scorer = load_scorer(device="cpu", threads=2)
    assert isinstance(scorer, OnnxScorer)
    return scorer


@pytest.fixture(scope="module")
def by_torch() -> Scorer:
    return load_scorer(device="cpu", runtime="torch")


@pytest.fixture(scope="module")
def samples() -> list[Path]:
    return sorted(SAMPLES.glob("*.jpg"))[:4]


def check_equal(one: Scores, other: Scores, within: float = 1e-5) -> None:
    for a, b in zip(one, other, strict=True):
        for name in COLUMNS:
            found, expected = getattr(a, name), getattr(b, name)
            if name in NUMBERS:
                np.testing.assert_allclose(found, expected, rtol=0, atol=within, err_msg=name)
            else:
                assert found == expected, name


def test_every_column_is_that_of_torch(by_onnx: OnnxScorer, by_torch: Scorer, samples: list[Path]) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 260, 3), dtype=np.uint8)
    smooth = np.broadcast_to(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 640, 3)).copy()
    images = [*samples, noise, smooth, noise[:100], np.zeros((224, 224, 3), np.uint8)]
    found, expected = by_onnx.score(images), by_torch.score(images)
    check_equal(found, expected)
    assert len({score.quality for score in found}) == len(images)
    assert {len(score.warnings) for score in found} >= {0, 1}  # with and without
    assert len(NUMBERS) == 9


@pytest.mark.skipif("IQA_DATA_ROOT" not in os.environ, reason="needs IQA_DATA_ROOT with LIVE In the Wild")
def test_every_column_is_that_of_torch_on_photographs(by_onnx: OnnxScorer, by_torch: Scorer) -> None:
    from defnet import DataRoots

    table = DataRoots(os.environ["IQA_DATA_ROOT"]).load("live-challenge", 1)
    paths = [table.root / name for name in table.records["image_path"].sort_values().iloc[::230]]
    assert len(paths) >= 5
    check_equal(by_onnx.score(paths), by_torch.score(paths))


@pytest.mark.parametrize("crops", [1, 4])
def test_every_column_with_another_number_of_crops(samples: list[Path], crops: int) -> None:
    """Of one crop there is no deviation over crops, which the distance to the training images is told."""
    found, expected = (load_scorer(device="cpu", crops=crops, runtime=runtime) for runtime in ("onnx", "torch"))
    check_equal(found.score(samples[:2]), expected.score(samples[:2]))
    assert found.score(samples[0])[0].crops == crops


def test_an_image_has_one_score_alone_and_in_company(by_onnx: OnnxScorer, samples: list[Path]) -> None:
    """Alone all threads compute it, in company one."""
    together = by_onnx.score(samples)
    for path, expected in zip(samples, together, strict=True):
        check_equal(by_onnx.score(path), Scores([expected]), within=1e-6)
    assert [score.path for score in together] == [str(path) for path in samples]


def test_failures_keep_their_place(by_onnx: OnnxScorer, samples: list[Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(samples[0].read_bytes()[:500])
    results = list(by_onnx.stream([samples[0], damaged, samples[1]], batch_size=1))
    assert [isinstance(result, Failure) for result in results] == [False, True, False]
    [failure] = list(by_onnx.stream([damaged]))
    assert isinstance(failure, Failure)
    assert str(damaged) in failure.path


def test_no_more_is_read_ahead_than_two_batches(by_onnx: OnnxScorer) -> None:
    taken = 0

    def images() -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(30):
            taken += 1
            yield np.zeros((224, 224, 3), np.uint8)

    stream = by_onnx.stream(images(), batch_size=2)
    next(stream)
    assert taken <= 5
    stream.close()


NO_TORCH = """
import sys
{do}
heavy = ("torch", "pandas", "scipy", "matplotlib", "open_clip", "torchmetrics", "onnx")
print("imported:", [name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    "do",
    [
        """
from defnet.cli import app
sys.argv = ["defnet", "score", sys.argv[1], "--format", "csv"]
try:
    app()
except SystemExit as end:
    assert not end.code, end.code""",
        "import defnet\nprint('quality', defnet.load_scorer().score(sys.argv[1])[0].quality)",
        "import defnet\nprint('quality', len(list(defnet.load_scorer().stream(sys.argv[1:] * 3))))",
    ],
    ids=["command", "score", "stream"],
)
def test_torch_is_not_imported(samples: list[Path], do: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TORCH.format(do=do), str(samples[0])],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "quality" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


FORK = """
import os, sys, time
import defnet
scorer = defnet.load_scorer(device="cpu", threads=2)
scorer.score(sys.argv[1])  # alone, and so with threads beside this one
before = scorer.score(sys.argv[1:])
child = os.fork()
if not child:
    assert abs(scorer.score(sys.argv[1])[0].quality - before[0].quality) < 1e-6
    assert list(scorer.score(sys.argv[1:])) == list(before)
    for _ in range(200):  # a thread that has been joined may still be on its way out
        threads = len(os.listdir("/proc/self/task"))
        if threads == 2:
            break
        time.sleep(0.01)
    print("scored by", threads, flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert list(scorer.score(sys.argv[1:])) == list(before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads as Linux shows them")
def test_a_forked_process_scores(samples: list[Path]) -> None:
    """The runtime's threads do not survive a fork, so that the process opens the file again to have its own."""
    command = [sys.executable, "-c", FORK, *map(str, samples[:2])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "scored by 2\n"


def test_it_survives_pickling(by_onnx: OnnxScorer, samples: list[Path]) -> None:
    again = pickle.loads(pickle.dumps(by_onnx))
    assert again.provenance == by_onnx.provenance
    assert list(again.score(samples[:2])) == list(by_onnx.score(samples[:2]))
    assert again.info == by_onnx.info


def test_rows_of_both_go_into_one_table(by_onnx: OnnxScorer, by_torch: Scorer) -> None:
    """They are equal to the digits that matter, so that a run on another machine may go on with a table."""
    assert by_onnx.provenance == by_torch.provenance
    model = WEIGHTS / f"{DEFAULT_MODEL}.safetensors"
    assert by_onnx.provenance["weights"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_all_else_is_that_of_torch(by_torch: Scorer, samples: list[Path]) -> None:
    scorer = load_scorer(device="cpu", crops=2)
    pixels = torch.rand(1, 3, 240, 250, requires_grad=True)
    scorer.quality(pixels).sum().backward()
    assert pixels.grad.abs().sum() > 0
    with torch.no_grad():
        expected = load_scorer(device="cpu", crops=2, runtime="torch")(pixels)
    torch.testing.assert_close(scorer(pixels), expected)
    assert (scorer.info, scorer.device) == (by_torch.info, torch.device("cpu"))
    assert torch.equal(scorer.reliability.scores, by_torch.reliability.scores)
    [(_, prediction)] = scorer.predict(samples[:1])
    assert abs(prediction.quality.item() - scorer.score(samples[0])[0].quality) < 1e-5
    assert scorer.as_metric().scorer.plan == scorer.plan


def test_what_is_done_to_the_network_shows(samples: list[Path]) -> None:
    scorer = load_scorer(device="cpu", crops=2)
    [before] = scorer.score(samples[0])
    with torch.no_grad():
        for heads in (scorer.model.heads, scorer.model.global_heads):
            heads["quality"].linear.bias[0] += 0.5
    assert abs(scorer.score(samples[0])[0].quality - before.quality - 0.5) < 1e-4


def test_an_exported_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    model, exported = tmp_path / "model.safetensors", tmp_path / "model.onnx"
    shutil.copy(WEIGHTS / "lite2-session1.safetensors", model)
    shutil.copy(EXPORTED, exported)
    for runtime in (None, "onnx"):
        with pytest.raises(CheckpointError, match=r"was made of other weights than those of model.safetensors"):
            load_scorer(tmp_path, device="cpu", runtime=runtime)
    assert isinstance(load_scorer(tmp_path, device="cpu", runtime="torch"), Scorer)
    shutil.copy(WEIGHTS / f"{DEFAULT_MODEL}.safetensors", model)
    assert isinstance(load_scorer(tmp_path, device="cpu"), OnnxScorer)


def test_the_file_alone_scores(samples: list[Path], by_onnx: OnnxScorer, tmp_path: Path) -> None:
    path = tmp_path / "moved.onnx"
    shutil.copy(EXPORTED, path)
    scorer = load_scorer(path)
    assert list(scorer.score(samples[:2])) == list(by_onnx.score(samples[:2]))
    with pytest.raises(DEFNetError, match=r"moved.onnx: an exported file scores images and nothing else"):
        scorer.model  # noqa: B018
    with pytest.raises(DEFNetError, match="torch needs the model file"):
        load_scorer(path, runtime="torch")


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(DEFNetError, match="runtime must be 'torch' or 'onnx', got 'jax'"):
        load_scorer(runtime="jax")
    with pytest.raises(DEFNetError, match=r"lite: has no exported file .*lite.onnx; defnet export lite --out"):
        load_scorer("lite", runtime="onnx")
    with pytest.raises(DEFNetError, match="device 'cuda' cannot be used here: onnxruntime computes on the CPU"):
        load_scorer(device="cuda", runtime="onnx")
    with pytest.raises(DEFNetError, match="threads must be at least 1, got 0"):
        load_scorer(threads=0)
    with pytest.raises(DEFNetError, match="crops must be at least 1, got 0"):
        load_scorer(crops=0, device="cpu")
    with pytest.raises(DEFNetError, match="decoders must be at least 1, got 0"):
        next(load_scorer(device="cpu").stream([], decoders=0))


@pytest.mark.parametrize("cut", [0, 1, 100, 5_000_000])
def test_a_damaged_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(EXPORTED.read_bytes()[:cut])
    with pytest.raises(CheckpointError, match=r"cut.onnx: "):
        load_scorer(path)
    path.write_bytes(b"\x08\x07" * 100)  # numbers without end, and nothing of ours
    with pytest.raises(CheckpointError, match="does not say which model it is"):
        load_scorer(path)


def test_a_file_with_damage_inside_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    content = bytearray(EXPORTED.read_bytes())
    content[100:4_000] = bytes(3_900)
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    scorer = load_scorer(path)
    with pytest.raises(CheckpointError, match=r"damaged.onnx: cannot be read as an ONNX file"):
        scorer.score(np.zeros((224, 224, 3), np.uint8))


def test_a_gpu_uses_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(True) or True)
    monkeypatch.setattr(defnet.scoring.loading, "_by_torch", lambda *arguments: arguments)
    loaded = load_scorer()
    assert loaded[1:] == (DEFAULT_MODEL, None, None)
    assert asked
    assert isinstance(load_scorer(device="cpu"), OnnxScorer)
    assert isinstance(load_scorer(runtime="onnx"), OnnxScorer)


def test_threads_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (
        ("3", 3),
        ("1,2", 1),
        ("", len(os.sched_getaffinity(0))),
        ("no", len(os.sched_getaffinity(0))),
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        assert usual_threads() == expected


def test_the_shipped_file(by_torch: Scorer) -> None:
    """It is small, of the weights beside it, and says nothing of the machine that made it."""
    assert EXPORTED.stat().st_size < 9_500_000
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 40_000_000
    metadata = read_metadata(EXPORTED)
    assert list(metadata) == [KEY]
    info = OnnxModel(EXPORTED).info
    assert info.name == DEFAULT_MODEL
    assert info.crops == {"kind": "grid", "count": 15, "size": 224, "seed": by_torch.plan.seed}
    content = EXPORTED.read_bytes()
    for word in (b"/home/", b"/work", b"/tmp", b"/usr/", b"site-packages", b".py", b"pickle"):
        assert word not in content, word
