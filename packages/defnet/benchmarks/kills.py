"""Kill a training at random moments, again and again: does it ever lose more than an interval, does it end the same?

    python kills.py [--kills 100] [--seed 0] [--quick]

A small training on made-up images is started, killed (SIGKILL) at a random moment between its start and its end, and
started again by the same call, until it ends; then the next one, until there have been so many kills. The end of each
training, its weights and its log, must be to the bit what a training comes to that nobody disturbs. After each kill the
steps are counted that were done and are not in the state on disk: no more than `checkpoint_every` may be lost.

It ends with 1 where a training was lost, or more than an interval of one.
"""

import argparse
import json
import multiprocessing
import random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from defnet import DataRoots, TrainConfig, train
from iqa_datasets.testing import make_fake

INTERVAL = 5
STAGES = ("starting", "cutting views", "training", "writing a state", "validating", "calibrating")


def configuration(quick: bool) -> TrainConfig:
    """A training in which every part of the state matters: dropout, weights of the tasks, Adam's moments, the best."""
    return TrainConfig.model_validate(
        {
            "data": [{"name": "live-challenge", "session": 1, "batch_size": 4}],
            "backbone": {
                "lite": {"stages": [0, 1], "embed_dim": 16, "word_dim": 8, "text_hidden": 16, "dropout": 0.2},
                "freeze_trunk": True,
            },
            "model": {"train_crops": 2},
            "crops": {"train_source": "pool", "pool_size": 4, "test_count": 3},
            "optimizer": {"learning_rate": 1e-3},
            "epochs": 3 if quick else 6,
            "steps_per_epoch": 10 if quick else 20,
            "checkpoint_every": INTERVAL,
            "checkpoints_kept": 2,
            "precision": "fp32",
        }
    )


class Shared:
    """Hears how a training goes on, in memory that outlives its process.

    Args:
        stage: number of the stage in `STAGES`.
        step: steps done.
    """

    def __init__(self, stage: Any, step: Any) -> None:
        self._stage, self._step = stage, step
        self._begun = False

    def begin(self, what: str, _: int) -> None:
        """Note the stage."""
        # "training views" are cut, and no training.
        stages = {"views": 1, "statistics": 1, "training": 2, "calibrating": 5}
        self._stage.value = 4 if what.startswith("validating") else stages[what.rpartition(" ")[2]]
        self._begun = True

    def advance(self, units: int) -> None:
        """Count the steps; what is said first are those that were done before."""
        if self._stage.value == 2:
            self._step.value = units if self._begun else self._step.value + units
            self._begun = False

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""


def life(config: TrainConfig, root: Path, folder: Path, stage: Any, step: Any) -> None:
    """What a process does until it is killed."""
    torch.set_num_threads(1)
    train(config, DataRoots(root), folder, device="cpu", reporter=Shared(stage, step))


@dataclass(frozen=True)
class Kill:
    """One kill: in which stage, and how many steps of training it lost."""

    stage: str
    lost: int


def saved_step(folder: Path) -> int:
    """The step that the state on disk would go on from."""
    try:
        with safe_open(folder / "state.safetensors", framework="pt") as file:
            return int(json.loads(file.metadata()["training"])["step"])
    except FileNotFoundError:
        return 0


def live_and_die(context: Any, config: TrainConfig, root: Path, folder: Path, seconds: float) -> Kill | None:
    """Start or go on with a training and kill it after so many seconds; None where it had ended by then."""
    stage, step = context.Value("i", 0, lock=False), context.Value("i", 0, lock=False)
    before, unfinished = saved_step(folder), set(folder.glob(".state*.part*"))
    process = context.Process(target=life, args=(config, root, folder, stage, step))
    process.start()
    process.join(timeout=seconds)
    process.kill()
    process.join()
    if process.exitcode == 0:
        return None
    if process.exitcode != -9:
        raise SystemExit(f"the training ended by itself with {process.exitcode} after step {before}: it is lost")
    writing = set(folder.glob(".state*.part*")) - unfinished
    return Kill(STAGES[3 if writing else stage.value], max(0, step.value - saved_step(folder)))


def same_end(folder: Path, expected: Path) -> bool:
    """Whether two trainings came to the same, to the bit."""
    return all(
        (folder / name).read_bytes() == (expected / name).read_bytes()
        for name in ("model.safetensors", "log.jsonl", "steps.csv", "epochs.csv")
    )


def main() -> None:
    """Kill, go on, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=None, help="100, or 5 with --quick")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="five kills of a shorter training")
    arguments = parser.parse_args()
    wanted = arguments.kills if arguments.kills is not None else 5 if arguments.quick else 100
    config, moments = configuration(arguments.quick), random.Random(arguments.seed)
    # A process that imports once and never computes; its children are real processes that can be killed.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["defnet.training.loop", "torch._dynamo"])
    kills: list[Kill] = []
    trainings = differing = 0
    with tempfile.TemporaryDirectory() as place:
        root, expected = Path(place) / "data", Path(place) / "undisturbed"
        make_fake("live-challenge", root, images=24)
        for repeat in range(2):  # the first also starts the server
            began = time.monotonic()
            if live_and_die(context, config, root, expected.with_name(f"undisturbed{repeat}"), 3600) is not None:
                raise SystemExit("the undisturbed training took more than an hour")
            whole = time.monotonic() - began
        expected = expected.with_name("undisturbed1")
        print(
            f"a training of {config.epochs * config.steps_per_epoch} steps takes {whole:.1f} s undisturbed", flush=True
        )
        while len(kills) < wanted:
            folder = Path(place) / f"training{trainings}"
            while True:
                seconds = moments.uniform(0, whole) if len(kills) < wanted else 3600
                kill = live_and_die(context, config, root, folder, seconds)
                if kill is None:
                    break
                kills.append(kill)
                print(f"kill {len(kills):>3}: {kill.stage}, {kill.lost} steps lost", flush=True)
            trainings += 1
            differing += not same_end(folder, expected)
    print(f"\n{'killed while':<18}{'kills':>6}{'steps lost, mean':>18}{'most':>6}")
    for stage in STAGES:
        lost = [kill.lost for kill in kills if kill.stage == stage]
        if lost:
            print(f"{stage:<18}{len(lost):>6}{sum(lost) / len(lost):>18.2f}{max(lost):>6}")
    most = max((kill.lost for kill in kills), default=0)
    print(
        f"\n{len(kills)} kills over {trainings} trainings: {differing} ended otherwise than undisturbed; "
        f"{most} steps lost at most, an interval is {INTERVAL}"
    )
    raise SystemExit(differing > 0 or most > INTERVAL)


if __name__ == "__main__":
    main()
