"""Weights of the tasks by the relative descending rate of their losses (DEFNet, Eq. 13)."""

import math
import sys
from collections.abc import Mapping, Sequence

from defnet.config.fields import Task


class DynamicWeightAverage:
    """Dynamic weight average (Liu, Johns & Davison, CVPR 2019, Eq. 7), by epochs.

    w_k(t) = L_k(t−1) / L_k(t−2) and λ_k(t) = K softmax_k(w_k(t) / T), where K is the number of tasks; the first two
    epochs have λ = 1. A loss that has reached zero keeps its last ratio.

    Args:
        tasks: names of the active tasks.
        temperature: T; larger makes the weights more even.

    Example:
        >>> weights = DynamicWeightAverage(["quality", "scene"])
        >>> weights.end_epoch({"quality": 0.4, "scene": 0.2})
        >>> weights.end_epoch({"quality": 0.2, "scene": 0.2})
        >>> {k: round(v, 3) for k, v in weights.weights.items()}
        {'quality': 0.876, 'scene': 1.124}
    """

    def __init__(self, tasks: Sequence[Task], temperature: float = 2.0) -> None:
        self.tasks = tuple(tasks)
        self.temperature = temperature
        self._previous: dict[Task, float] | None = None
        self._ratios = dict.fromkeys(self.tasks, 1.0)
        self.weights: dict[Task, float] = dict.fromkeys(self.tasks, 1.0)

    def end_epoch(self, losses: Mapping[str, float]) -> None:
        """Take an epoch's mean losses and set the weights of the next.

        Raises:
            ValueError: a task's loss is missing, negative or not finite.
        """
        current: dict[Task, float] = {}
        for task in self.tasks:
            value = losses.get(task, math.nan)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"the epoch's loss of task {task!r} must be finite and not negative, got {value}")
            current[task] = float(value)
        if self._previous is not None:
            for task in self.tasks:
                if self._previous[task] > 0 and current[task] > 0:
                    # Of a loss next to zero the ratio may overflow, and infinity less infinity is no weight.
                    self._ratios[task] = min(current[task] / self._previous[task], sys.float_info.max)
            largest = max(self._ratios.values())
            terms = {t: math.exp((self._ratios[t] - largest) / self.temperature) for t in self.tasks}
            total = sum(terms.values())
            self.weights = {t: len(self.tasks) * terms[t] / total for t in self.tasks}
        self._previous = current

    def state_dict(self) -> dict[str, dict[Task, float] | None]:
        """Everything that the next weights depend on, as plain numbers."""
        return {"previous": self._previous, "ratios": dict(self._ratios), "weights": dict(self.weights)}

    def load_state_dict(self, state: Mapping[str, dict[Task, float] | None]) -> None:
        """Restore what `state_dict` gave."""
        ratios, weights = state["ratios"], state["weights"]
        if ratios is None or weights is None or set(ratios) != set(self.tasks):
            raise ValueError(f"the state is of tasks {sorted(ratios or {})}, not of {sorted(self.tasks)}")
        previous = state["previous"]
        self._previous = dict(previous) if previous is not None else None
        self._ratios, self.weights = dict(ratios), dict(weights)
