"""How large and how fast a model is (Table 8): parameters, floating-point operations, time for an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from defnet.config.training import TrainConfig
from defnet.devices import device_name
from defnet.experiments.paper import TABLE_8
from defnet.experiments.table import Cell, Table
from defnet.model.initial_model import build_model
from defnet.model.network import DEFNet
from defnet.training.optimizer import freeze

CROPS = (1, 15)
"""Numbers of sub-images that an image is looked at with."""


@dataclass(frozen=True)
class Part:
    """A part of a network.

    Attributes:
        name: what it is.
        parameters: number of its parameters.
        learnt: how many of them training changes.
        buffers: number of values that it holds beside them, such as the text features of a model for scoring.
    """

    name: str
    parameters: int
    learnt: int
    buffers: int


@dataclass(frozen=True)
class Cost:
    """What an image costs.

    Attributes:
        crops: number of sub-images; the whole image is looked at besides, where there is evidence.
        flops: floating-point operations, a multiplication and an addition being two.
        seconds: median time.
        spread: its interquartile range.
    """

    crops: int
    flops: int
    seconds: float
    spread: float


@dataclass(frozen=True)
class Complexity:
    """How large and how fast a model is.

    Attributes:
        parts: what it consists of.
        costs: of an image, by number of sub-images.
        device: where the time was measured.
        threads: torch's threads there.
    """

    parts: tuple[Part, ...]
    costs: tuple[Cost, ...]
    device: str
    threads: int


def model_of(config: TrainConfig, device: torch.device | str = "cpu") -> DEFNet:
    """The network of a configuration with random weights: none are fetched, and none are needed to count.

    Raises:
        ConfigError: there is no such backbone.
    """
    import warnings

    backbone = config.backbone.model_copy(update={"pretrained": None})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*random.*")  # that is what is wanted here
        return build_model(config.model_copy(update={"backbone": backbone}), device)


def parts_of(model: DEFNet, config: TrainConfig) -> tuple[Part, ...]:
    """The parts of a network, and how much of each training changes.

    Args:
        model: the network; what the configuration freezes is taken out of training in it.
        config: how it is trained.
    """
    freeze(model, config)
    backbone = model.backbone
    named: list[tuple[str, nn.Module | nn.Parameter | None]] = [
        ("image tower", backbone.image),
        ("text tower", backbone.text),
        ("temperature", backbone.logit_scale),
        ("heads of the sub-images", model.heads),
        ("heads of the whole image", model.global_heads),
        ("frozen tower of the whole image", model.global_tower),
        ("projection of the whole image", model.global_projection),
    ]
    found = []
    for name, part in named:
        if part is None:
            continue
        parameters = [part] if isinstance(part, nn.Parameter) else list(part.parameters())
        buffers = [] if isinstance(part, nn.Parameter) else list(part.buffers())
        if parameters or buffers:
            found.append(
                Part(
                    name,
                    sum(p.numel() for p in parameters),
                    sum(p.numel() for p in parameters if p.requires_grad),
                    sum(b.numel() for b in buffers),
                )
            )
    return tuple(found)


def measure(
    model: DEFNet, config: TrainConfig, *, crops: Sequence[int] = CROPS, min_seconds: float = 1.0
) -> Complexity:
    """Count a network's parameters and operations, and measure its time for an image.

    The text features are computed before, as in scoring: they are the same for all images. Reading and cutting the
    image are not in the time.

    Args:
        model: the network; it is left in evaluation mode.
        config: how it was, or is to be, trained.
        crops: numbers of sub-images.
        min_seconds: how long each time is measured at least.
    """
    model.eval()
    device = next(model.parameters()).device
    costs = []
    for count in crops:
        local, whole = _views(model, count, device)
        with torch.inference_mode():
            model(local, whole)  # computes the text features
            with FlopCounterMode(display=False) as counter:
                model(local, whole)
            timer = Timer(
                "model(local, whole)",
                globals={"model": model, "local": local, "whole": whole},
                num_threads=torch.get_num_threads(),
            )
            times = timer.blocked_autorange(min_run_time=min_seconds)
        costs.append(Cost(count, counter.get_total_flops(), times.median, times.iqr))
    return Complexity(parts_of(model, config), tuple(costs), device_name(device), torch.get_num_threads())


def _views(model: DEFNet, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    size = model.backbone.image.input_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (1, count + 1, 3, size, size), dtype=torch.uint8, generator=generator).to(device)
    return pixels[:, :count], pixels[:, count]


def complexity_table(models: Sequence[tuple[str, Complexity]]) -> Table:
    """Table 8, beside the paper's figures.

    Args:
        models: each with what it is called.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, found in models:
        parts = found.parts
        total = Part(
            "all",
            sum(part.parameters for part in parts),
            sum(part.learnt for part in parts),
            sum(part.buffers for part in parts),
        )
        flops: list[Cell] = [cost.flops / 1e9 for cost in found.costs]
        times: list[Cell] = [cost.seconds * 1e3 for cost in found.costs]
        rows.append((name, "all", *_counts(total), *flops, *times))
        rows += [(name, part.name, *_counts(part), *([None] * (2 * len(found.costs)))) for part in parts]
    counts = [cost.crops for cost in models[0][1].costs] if models else list(CROPS)
    rows += [
        (f"{name} (paper)", "all", round(printed * 1e6), None, None, *([None] * (2 * len(counts))))
        for name, printed in TABLE_8.items()
    ]
    where = dict.fromkeys(f"{found.device}, {found.threads} threads of torch" for _, found in models)
    return Table(
        "table8",
        "Parameters, operations and time (Table 8)",
        (
            *("model", "part", "parameters", "learnt", "buffers"),
            *(f"GFLOP ({count} crops)" for count in counts),
            *(f"ms ({count} crops)" for count in counts),
        ),
        tuple(rows),
        (
            f"{_NOTE} Time on {'; '.join(where) or 'no machine'}.",
            "CLIP ViT-B/32 has 151.3 million parameters in its two towers; the paper does not say which it counts.",
        ),
    )


_NOTE = (
    "Buffers are values that are no parameters, such as the features in place of the text tower in a model for "
    "scoring. A "
    "multiplication and an addition are two operations; they and the median time are those of one image, its crops "
    "and the whole, from pixels to evidence, with the text features at hand."
)


def _counts(part: Part) -> tuple[Cell, ...]:
    return part.parameters, part.learnt, part.buffers
