"""Everything that the next training step depends on, in one file."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from defnet.errors import CheckpointError, DataError
from defnet.losses.weighting import DynamicWeightAverage
from defnet.model.network import DEFNet
from iqa_datasets.atomic_files import replacing

STATE_FILE = "state.safetensors"

_KEY = "training"


@dataclass
class Progress:
    """Everything about a run that is not a tensor.

    Attributes:
        step: steps done.
        best_epoch: the epoch, counted from 1, whose weights are the best so far; 0 before the first has ended.
        best_figure: its figure by which epochs are compared.
        best_validation: all its figures.
        sums: sums of every logged value over the steps of the epoch that is under way.
        counts: the number of steps in each sum: a step without any label of a task has none of its terms.
        best_by_dataset: the best epoch's figures of each data set.
        weighting: state of the tasks' weights.
    """

    step: int = 0
    best_epoch: int = 0
    best_figure: float = -float("inf")
    best_validation: dict[str, float] = field(default_factory=dict)
    best_by_dataset: dict[str, dict[str, float]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    weighting: dict[str, Any] = field(default_factory=dict)

    def add(self, row: Mapping[str, float]) -> None:
        """Add a step's values to the epoch's sums."""
        for name, value in row.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def count_sums(self, steps_per_epoch: int) -> None:
        """Count the steps in the sums of a state that was written before they were counted."""
        if self.sums and not self.counts:
            self.counts = dict.fromkeys(self.sums, self.step % steps_per_epoch)

    def take_means(self) -> dict[str, float]:
        """The epoch's mean of each value, over the steps that have it; the next epoch starts from nothing."""
        means = {name: value / self.counts[name] for name, value in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


@dataclass
class TrainingState:
    """A run between two steps.

    Attributes:
        model: the network as it is.
        optimizer: its optimiser.
        weighting: weights of the tasks.
        progress: what is not a tensor.
        best: the best epoch's weights, on the CPU.
    """

    model: DEFNet
    optimizer: torch.optim.Optimizer
    weighting: DynamicWeightAverage
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path, kept: int = 1) -> None:
        """Write everything that the next step depends on, atomically.

        Args:
            path: the file.
            kept: how many states the folder shall hold: the earlier ones stay beside it, `state-STEP.safetensors`.

        Raises:
            DataError: a weight is not finite; the file that is there is left as it is.
        """
        for name, value in self.model.state_dict().items():
            if not torch.isfinite(value).all():
                step = self.progress.step - 1
                raise DataError(f"after step {step} the weight {name!r} is not finite; the state before it is kept")
        self.progress.weighting = self.weighting.state_dict()
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value)
        with replacing(path) as part:
            contiguous = {name: value.detach().contiguous() for name, value in tensors.items()}
            save_file(contiguous, part, {_KEY: json.dumps(vars(self.progress))})
            if kept > 1:
                _set_aside(path, self.progress.step)
        # A run that was taken back leaves states of a future that will not be.
        before = [file for file in earlier_states(path) if _step_of(file) < self.progress.step]
        for file in earlier_states(path):
            if file not in before[: kept - 1]:
                file.unlink(missing_ok=True)

    def restore(self, path: Path) -> None:
        """Go back to what `save` wrote.

        Raises:
            CheckpointError: the file is damaged, or of another model.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self.progress = Progress(**json.loads(metadata[_KEY]))
            groups: dict[str, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                kind, _, rest = name.partition("/")
                groups.setdefault(kind, {})[rest] = tensor
            self.model.load_state_dict(groups["model"])
            self.best = groups.get("best", {})
            states: dict[str, dict[str, Tensor]] = {}
            for name, tensor in groups.get("optimizer", {}).items():
                key, _, parameter = name.partition("/")
                states.setdefault(parameter, {})[key] = tensor
            for name, weight in self.model.named_parameters():
                if name in states:
                    self.optimizer.state[weight] = {
                        key: value if key == "step" else value.to(weight.device) for key, value in states[name].items()
                    }
            self.weighting.load_state_dict(self.progress.weighting)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            earlier = earlier_states(path)
            hint = f"; an earlier state can be put in its place: {earlier[0]}" if earlier else ""
            raise CheckpointError(f"{path}: cannot be resumed from: {error}{hint}") from error


def earlier_states(path: Path) -> list[Path]:
    """The states that were kept beside the last one, the latest first."""
    found = [file for file in path.parent.glob(f"{path.stem}-*{path.suffix}") if file.stem[-9:].isdigit()]
    return sorted(found, key=_step_of, reverse=True)


def _step_of(aside: Path) -> int:
    return int(aside.stem[-9:])


def _set_aside(path: Path, step: int) -> None:
    """Give the present state a second name, that of its step, before a later one takes its place."""
    try:
        with safe_open(path, framework="pt") as file:
            found = json.loads((file.metadata() or {})[_KEY])["step"]
    except (OSError, SafetensorError, KeyError, ValueError):
        return  # there is none, or none worth keeping
    if found == step:
        return
    aside = path.with_name(f"{path.stem}-{found:09d}{path.suffix}")
    try:
        aside.unlink(missing_ok=True)
        os.link(path, aside)
    except OSError:  # a file system without links
        with replacing(aside) as part:
            shutil.copyfile(path, part)
