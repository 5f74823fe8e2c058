"""What all figures over batches have in common: sums and rows that are taken in, merged and forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, distributed

Result = TypeVar("Result")


class StreamingMetric(ABC, Generic[Result]):
    """A figure over batches. The classes below say what `update` takes; the rest is alike.

    What is held is on the device of the first batch, in double precision, without gradients.
    """

    _sums: dict[str, Tensor]  # of shape (2, ...): a sum, and what rounding has taken from it so far
    _rows: dict[str, list[Tensor]]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every batch."""
        self._sums, self._rows = {}, {}

    @abstractmethod
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch in."""

    @abstractmethod
    def compute(self) -> Result:
        """The figure of all batches so far.

        Raises:
            ValueError: If there was none.
        """

    @property
    def n(self) -> int:
        """How many targets there were."""
        return int(self._sum("n").item()) if "n" in self._sums else 0

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        """Take a batch in, and return the figure of it alone."""
        batch = self._empty()
        batch.update(*args, **kwargs)
        self.merge_state(batch)
        return batch.compute()

    def merge_state(self, incoming: StreamingMetric[Result] | Mapping[str, Any]) -> None:
        """Take in what another metric of the same class and options has seen, or a `state_dict` of one.

        Raises:
            TypeError: If it is neither.
            ValueError: If class or options differ.
        """
        state = incoming.state_dict() if isinstance(incoming, StreamingMetric) else incoming
        if not isinstance(state, Mapping):
            raise TypeError(f"incoming must be a metric or its state_dict, got {type(incoming).__name__}")
        if state.get("metric") != repr(self):
            raise ValueError(f"incoming must be the state of {self!r}, but is of {state.get('metric')}")
        # All of it before any is taken in.
        for name, pair in state["sums"].items():
            for part in pair:
                self._add(name, part)
        for name, rows in state["rows"].items():
            self._keep(name, rows)

    def state_dict(self) -> dict[str, Any]:
        """All that is held, as tensors; `torch.load(..., weights_only=True)` reads it."""
        rows = {name: torch.cat(parts) for name, parts in self._rows.items()}
        return {"metric": repr(self), "sums": dict(self._sums), "rows": rows}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what a `state_dict` holds, and nothing else.

        Raises:
            ValueError: If it is of another class or has other options.
        """
        fresh = self._empty()
        fresh.merge_state(state)
        self._sums, self._rows = fresh._sums, fresh._rows

    def synced(self, group: distributed.ProcessGroup | None = None) -> Self:
        """A metric that has seen what those of all processes of a group have; this one stays as it is.

        Every process of the group must call it, and each gets the same. Without an initialised process group it is a
        copy.
        """
        together = self._empty()
        if not (distributed.is_available() and distributed.is_initialized()):
            together.merge_state(self)
            return together
        states: list[Any] = [None] * distributed.get_world_size(group)
        own = self.state_dict()
        for kind in ("sums", "rows"):
            own[kind] = {name: value.cpu() for name, value in own[kind].items()}
        distributed.all_gather_object(states, own, group=group)
        for state in states:
            together.merge_state(state)
        return together

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({options})"

    def _options(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {}

    def _empty(self) -> Self:
        return type(self)(**self._options())

    def _add(self, name: str, value: Tensor) -> None:
        """Add to a sum, and keep what rounding takes from it, so that the order of batches does not matter."""
        value = value.detach().double()
        total, lost = self._sums.get(name, value.new_zeros((2, *value.shape))).unbind(0)
        value = value.to(total.device)
        result = total + value
        back = result - total
        error = (total - (result - back)) + (value - back)
        self._sums[name] = torch.stack((result, lost + torch.where(result.isfinite(), error, 0)))

    def _sum(self, name: str) -> Tensor:
        return self._sums[name].sum(0)

    def _mean(self, name: str) -> Tensor:
        self._check_seen()
        return self._sum(name) / self._sum("n")

    def _keep(self, name: str, rows: Tensor) -> None:
        parts = self._rows.setdefault(name, [])
        parts.append(rows.detach().double().flatten().to(parts[0].device if parts else rows.device))

    def _kept(self, name: str) -> Tensor:
        self._check_seen()
        self._rows[name] = [torch.cat(self._rows[name])]
        return self._rows[name][0]

    def _count(self, target: Tensor) -> None:
        self._add("n", torch.tensor(target.numel(), dtype=torch.float64, device=target.device))

    def _check_seen(self) -> None:
        if not self.n:
            raise ValueError(f"{self!r} has seen no target; call update before compute")
