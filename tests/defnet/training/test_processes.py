"""A batch spread over processes, or over parts of one: the loss, its pairs and its weights are the whole batch's."""

import json
import multiprocessing
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from defnet import ConfigError, DataRoots, TrainConfig
from defnet.model.initial_model import build_model
from defnet.training import loop
from defnet.training.loop import Training
from defnet.training.processes import Processes, _buckets
from defnet.training.spread import check_spread
from iqa_datasets.testing import make_fake

MakeConfig = Callable[..., TrainConfig]


def start(processes: int, config: TrainConfig, places: DataRoots, folder: Path, change: str = "") -> list[Any]:
    """Train in so many processes; give each one's figure, or its error."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["defnet.training.loop", "accelerate", "torch._dynamo"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = context.SimpleQueue()
    arguments = (out, config.model_dump_json(), str(places.root), str(folder), change)
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        from spread_worker import work

        started = [
            context.Process(target=work, args=(processes, index, port, *arguments)) for index in range(processes)
        ]
        for process in started:
            process.start()
    finally:
        sys.path.pop(0)
    for process in started:
        process.join(timeout=300)
    assert [process.exitcode for process in started] == [0] * processes
    return [said for _, said in sorted(out.get() for _ in started)]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> DataRoots:
    """Images with labels of scenes, and images without."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("live-challenge", "tid2013"):
        make_fake(name, folder, images=24)
    return DataRoots(folder)


# Nine images over two processes: five and four. From the third epoch on the tasks have weights of their own. A learning
# rate at which weights move: 20 steps of 1e-3 each.
SPREAD: dict[str, Any] = {
    "data": [
        {"name": "live-challenge", "session": 1, "batch_size": 5},
        {"name": "tid2013", "session": "seeded-1", "batch_size": 4},
    ],
    "epochs": 4,
    "steps_per_epoch": 5,
    "checkpoint_every": 7,
    "precision": "fp32",
    "optimizer": {"learning_rate": 1e-3, "max_grad_norm": 1.0},
}


@pytest.fixture(scope="module", params=["lite", "weighed", pytest.param("clip", marks=pytest.mark.slow)])
def case(
    request: pytest.FixtureRequest,
    make_config: MakeConfig,
    write_clip: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainConfig:
    """A frozen trunk's features, the same with pairs of one content and weights, and a CLIP whose towers learn."""
    if request.param == "lite":
        return make_config(**SPREAD)
    if request.param == "weighed":
        first, second = SPREAD["data"]
        first = first | {"uncertain_ratings": True, "quality_evidence": 0.5}
        second = second | {"pairs": "content", "per_content": 2, "pair_weight": 0.5}
        return make_config(**{**SPREAD, "data": [first, second]})
    clip = write_clip(tmp_path_factory.mktemp("clip") / "clip")
    return make_config(
        **SPREAD,
        backbone={"name": f"local-dir:{clip}", "freeze_trunk": False, "lite": {}},
        crops={"train_source": "images"},
    )


@pytest.fixture(scope="module")
def alone(case: TrainConfig, places: DataRoots, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process, in double precision, in one part."""
    return run_in_double(case, places, tmp_path_factory.mktemp("alone"))


def run_in_double(config: TrainConfig, places: DataRoots, folder: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "build_model", lambda *arguments: build_model(*arguments).double())
        assert Training(config, places, folder, device="cpu").run() is not None
    return folder


def farthest(one: Path, other: Path) -> float:
    """The largest difference of any number in two runs: of weights, of the optimiser's state and in the logs."""
    states = [load_file(folder / "state.safetensors") for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    worst = max((states[0][name].double() - states[1][name].double()).abs().max().item() for name in states[0])
    logs = [[json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()] for folder in (one, other)]
    assert len(logs[0]) == len(logs[1]) == 24
    for a, b in zip(*logs, strict=True):
        assert a.keys() == b.keys()
        if "step" in a:
            worst = max([worst, *(abs(a[name] - b[name]) for name in a)])
    return worst


def test_the_weights_move(alone: Path, case: TrainConfig) -> None:
    """Else all runs were equal."""
    rows = [json.loads(line) for line in (alone / "log.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "step" in row]
    assert abs(steps[-1]["lambda_scene"] - 1) > 1e-4
    assert abs(steps[-1]["total"] - steps[0]["total"]) > 1e-3
    with torch.random.fork_rng(devices=[]):
        start_of = build_model(case).state_dict()
    state = load_file(alone / "state.safetensors")
    names = [name for name in start_of if name.startswith("backbone.text.")]
    assert names
    assert all((state[f"model/{name}"] - start_of[name]).abs().max() > 1e-3 for name in names)


def test_two_processes_come_to_what_one_does(case: TrainConfig, places: DataRoots, alone: Path, tmp_path: Path) -> None:
    first, second = start(2, case, places, tmp_path / "run")
    assert farthest(tmp_path / "run", alone) < 1e-9
    assert first == second
    assert isinstance(first, float)
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_with_pairs_of_its_own_images_alone_each_process_would_come_to_something_else(
    case: TrainConfig, places: DataRoots, alone: Path, tmp_path: Path
) -> None:
    """What the test above must notice."""
    start(2, case, places, tmp_path / "run", "own-pairs")
    assert farthest(tmp_path / "run", alone) > 1e-4


@pytest.mark.parametrize("parts", [2, pytest.param(9, marks=pytest.mark.slow)])
def test_parts_come_to_what_the_whole_batch_does(
    parts: int, case: TrainConfig, places: DataRoots, alone: Path, tmp_path: Path
) -> None:
    run_in_double(case.model_copy(update={"accumulate": parts}), places, tmp_path)
    assert farthest(tmp_path, alone) < 1e-9


def test_three_processes_with_two_parts_each(make_config: MakeConfig, places: DataRoots, tmp_path: Path) -> None:
    config = make_config(**SPREAD)
    run_in_double(config, places, tmp_path / "alone")
    start(3, config.model_copy(update={"accumulate": 2}), places, tmp_path / "run")
    assert farthest(tmp_path / "run", tmp_path / "alone") < 1e-9


def test_an_error_of_one_process_ends_all_of_them(make_config: MakeConfig, places: DataRoots, tmp_path: Path) -> None:
    said = start(2, make_config(**SPREAD), places, tmp_path / "run", "fail")
    assert said == ["process 1: photos/7.png: is damaged (told)", "photos/7.png: is damaged (told)"]


def test_more_processes_than_images_are_refused(make_config: MakeConfig) -> None:
    device = torch.device("cpu")
    check_spread(make_config(), Processes(device, 4, 3))
    with pytest.raises(ConfigError, match=r"the 4 images of a step cannot be shared by 5 processes: some would have"):
        check_spread(make_config(), Processes(device, 5, 0))
    with pytest.raises(ConfigError, match=r"by 2 processes, each taking them in 3 parts \(accumulate\): some would"):
        check_spread(make_config(accumulate=3), Processes(device, 2, 0))
    with pytest.raises(ValueError, match="a step's 4 images cannot go in accumulate = 5 parts"):
        make_config(accumulate=5)


def test_parts_are_refused_where_images_depend_on_each_other(
    make_config: MakeConfig, places: DataRoots, tmp_path: Path
) -> None:
    config = make_config(**SPREAD, accumulate=2, backbone={"freeze_trunk": False}, crops={"train_source": "images"})
    with pytest.raises(ConfigError, match="the trunk learns with batch normalisation"):
        Training(config, places, tmp_path).run()


@pytest.mark.parametrize("plan", ["DEEPSPEED", "FSDP"])
def test_a_model_spread_over_processes_is_refused(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv(f"ACCELERATE_USE_{plan}", "true")
    with pytest.raises(ConfigError, match=f"told to spread the model by {plan}"):
        Processes.started("cpu")


def test_tensors_are_summed_in_buckets_of_one_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("defnet.training.processes._BUCKET", 10)
    single, double = torch.float32, torch.float64
    sizes = [(4, single), (6, single), (1, single), (30, single), (2, double)]
    tensors = [torch.zeros(size, dtype=kind) for size, kind in sizes]
    buckets = list(_buckets(tensors))
    assert [[len(tensor) for tensor in bucket] for bucket in buckets] == [[4, 6], [1], [30], [2]]
    assert list(_buckets([])) == []
