"""defnet on a device: ViT-B/32 from random weights trains on made-up images; how fast, in how much memory.

    python tests/gpu/train_vit.py [--device cuda] [--steps 300] [--set KEY=VALUE ...]

The configuration is the preset `clip` with random weights, batches of 48 images (4 sub-images and the whole one of
each), and what `--set` says. Where `IQA_DATA_ROOT` has LIVE In the Wild, the shipped model `lite` is trained anew after
that, and must come to what its card says.
"""

import json
import os
import tempfile
import time
import warnings
from pathlib import Path

import torch
from measuring import arguments, begin_memory, gigabytes, peak_tflops, show, wait
from torch.utils.flop_counter import FlopCounterMode

from defnet import DataRoots, TrainConfig, train
from defnet.config.toml_files import load_train_config
from defnet.data.mixture import load_mixture
from defnet.losses.weighting import DynamicWeightAverage
from defnet.model.initial_model import build_model
from defnet.training.optimizer import freeze, make_optimizer
from defnet.training.precision import resolve_precision
from defnet.training.reporter import Silent
from defnet.training.state import TrainingState
from defnet.training.step import train_step
from defnet.training.views import RunViews
from iqa_datasets.testing import make_fake

SETTINGS = (
    "backbone.pretrained=null",
    "data.*.batch_size=48",
    "data.*.exclude=[]",
    "optimizer.learning_rate=1e-4",
    "epochs=1",
)


def train_fake(config: TrainConfig, root: Path, device: torch.device, steps: int) -> None:
    """Train without a folder, so that nothing but the steps is timed."""
    config = resolve_precision(config, device, None)
    table, _ = load_mixture(config, DataRoots(root))
    torch.manual_seed(0)
    model = build_model(config, device)
    freeze(model, config)
    state = TrainingState(model, make_optimizer(model, config), DynamicWeightAverage(config.model.tasks))
    batches = RunViews(config, model, root / "pools", Silent()).training_batches(table, standardize=True)
    # A few batches, cut once: how fast images are read is not what is measured.
    held = [batches[step] for step in range(4)]
    model.train()

    def step(number: int) -> dict[str, float]:
        return train_step(state, config, number, held[number % len(held)], batches.paths(number))

    warm_up = min(3, steps)
    rows = [step(number) for number in range(warm_up)]
    with FlopCounterMode(display=False) as counter:
        step(warm_up)
    work = counter.get_total_flops()
    begin_memory(device)
    wait(device)
    began = time.perf_counter()
    rows += [step(number) for number in range(warm_up + 1, warm_up + 1 + steps)]
    wait(device)
    took = (time.perf_counter() - began) / steps
    peak = peak_tflops(device)
    views = config.model.train_crops + 1
    show(
        f"{config.backbone.name}, {config.precision}: images a second, {views} views each",
        f"{config.batch_size / took:.1f}",
    )
    show("  seconds a step", f"{took:.4f}")
    show("  memory", gigabytes(device))
    show("  TFLOPs a step", f"{work / 1e12:.3f}")
    show("  TFLOP/s", f"{work / took / 1e12:.2f}")
    show("  share of the bf16 peak", f"{100 * work / took / peak / 1e12:.1f} %" if peak else "peak not known")
    first, last = (sum(row["total"] for row in part) / len(part) for part in (rows[: len(held)], rows[-len(held) :]))
    show("  loss at first and at last", f"{first:.4f}, {last:.4f}")
    if steps >= 100 and not last < first:
        raise SystemExit("the loss did not fall")


def train_lite(root: Path, device: torch.device, folder: Path) -> None:
    """The shipped model, again."""
    began = time.perf_counter()
    result = train(load_train_config("lite"), DataRoots(root), folder, device=str(device))
    show("lite on LIVE In the Wild: seconds", f"{time.perf_counter() - began:.0f}")
    show("  validation SRCC", f"{result.validation['srcc']:.4f}")
    steps = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    show("  steps", sum("step" in row for row in steps))
    if not result.validation["srcc"] > 0.7:
        raise SystemExit(f"lite came to a validation SRCC of {result.validation['srcc']:.3f} only")


def main() -> None:
    """Train and print."""
    parser = arguments(__doc__, steps=300)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*random weights")
    device = torch.device(options.device)
    total = options.steps + 8
    config = load_train_config("clip", [*SETTINGS, f"steps_per_epoch={total}", *options.settings])
    with tempfile.TemporaryDirectory() as place:
        make_fake("live-challenge", Path(place), images=max(72, 2 * config.batch_size))
        train_fake(config, Path(place), device, options.steps)
        root = os.environ.get("IQA_DATA_ROOT")
        if not root or not (Path(root) / "ChallengeDB_release").is_dir():
            show("lite on LIVE In the Wild", "skipped: IQA_DATA_ROOT has no ChallengeDB_release")
        else:
            train_lite(Path(root), device, Path(place) / "lite")


if __name__ == "__main__":
    main()
