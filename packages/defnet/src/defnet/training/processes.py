"""The processes that train one model together: how many there are, which one this is, and what they tell each other.

`torchrun` or `accelerate launch` start them, on one machine or several; accelerate finds out how and connects them. A
process that was started by itself is the only one, and nothing here costs it anything.

Each process holds a whole copy of the model. Of a step's batch of B images process k of K has the images k, k + K,
k + 2K and so on. What the processes exchange is predictions, so that each knows those of the whole batch, and the sums
of the gradients. A wrapper that averages each process's own gradient, as data parallelism usually does, would not do:
the loss is of pairs of images, which may lie on two processes, and the shares need not be of one size.
"""

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, distributed, nn

from defnet.devices import choose_device
from defnet.errors import ConfigError, DEFNetError

T = TypeVar("T")

_TIMEOUT = timedelta(hours=1)
"""How long processes wait for each other. A stop of one is told at once; this is for what cannot be told."""

_BUCKET = 2**24
"""Numbers that are summed over the processes at once: enough for the network's full speed, 64 MiB in fp32."""

_TOLD = "all processes of the run stop for this"


class Processes:
    """The processes of a run, as one of them sees them.

    Args:
        device: where this one computes.
        count: how many there are.
        index: which one this is, from 0.
    """

    def __init__(self, device: torch.device, count: int = 1, index: int = 0) -> None:
        self.device, self.count, self.index = device, count, index

    @classmethod
    def started(cls, device: str | torch.device | None = None) -> Self:
        """Find the other processes of the run, and connect to them.

        Args:
            device: where to compute; by default CUDA where there is one, else the CPU. Of several processes on CUDA
                each takes the device of its number on its machine.

        Raises:
            ConfigError: they were started for a kind of training that is not done here, or for one device.
            DEFNetError: there is no such device.
        """
        chosen = choose_device(device)
        wanted = int(os.environ.get("WORLD_SIZE", "1"))
        if distributed.is_available() and distributed.is_initialized():
            if chosen.type == "cuda":
                chosen = torch.device("cuda", torch.cuda.current_device())
            return cls(chosen, distributed.get_world_size(), distributed.get_rank())
        if wanted == 1:
            return cls(chosen)
        for plan in ("DEEPSPEED", "FSDP", "MEGATRON_LM"):
            if os.environ.get(f"ACCELERATE_USE_{plan}", "false").lower() == "true":
                raise ConfigError(
                    f"accelerate was told to spread the model by {plan}; here each process holds a whole model, so "
                    "start it without (accelerate launch --multi_gpu, or torchrun)"
                )
        if chosen.type == "cuda" and chosen.index is not None:
            raise ConfigError(
                f"device {str(chosen)!r} is one device, and there are several processes; 'cuda' gives each its own"
            )
        from accelerate import PartialState  # only here: a second, and one process does not need it
        from accelerate.utils import InitProcessGroupKwargs

        state = PartialState(cpu=chosen.type == "cpu", **InitProcessGroupKwargs(timeout=_TIMEOUT).to_kwargs())
        if state.num_processes != wanted:
            raise ConfigError(f"WORLD_SIZE is {wanted}, and accelerate found {state.num_processes} process of the run")
        atexit.register(state.destroy_process_group)
        return cls(state.device, state.num_processes, state.process_index)

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.index == 0

    def rows(self, total: int) -> slice:
        """This process's share of `total` rows."""
        return slice(self.index, total, self.count)

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """An error of one process in this block is an error of all; no process may ask another anything within it."""
        if self.count == 1:
            yield
            return
        mine: Exception | None = None
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, in every process
            mine = error
        failed = torch.tensor(float(mine is not None), device=self.device)
        if not self.sum(failed):
            return
        said = self.gather(None if mine is None else str(mine))
        if mine is None:
            index = next(index for index, message in enumerate(said) if message is not None)
            mine = DEFNetError(f"process {index}: {said[index]}")
        mine.add_note(_TOLD)
        raise mine

    def gather(self, value: T) -> list[T]:
        """What each process has, in their order. Any value that can be pickled."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def from_main(self, value: T) -> T:
        """What the main process has."""
        if self.count == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def align(self, module: nn.Module) -> None:
        """Give every process the main one's weights and buffers."""
        if self.count > 1:
            with torch.no_grad():
                for tensor in module.state_dict().values():
                    whole = tensor.contiguous()
                    distributed.broadcast(whole, src=0)
                    tensor.copy_(whole)

    def whole_batch(self, share: Tensor, total: int) -> Tensor:
        """The rows of all processes, (total, D), from this one's, (n, D); without gradients.

        Args:
            share: the rows `rows(total)`, detached.
            total: number of rows of all.
        """
        if self.count == 1:
            return share
        largest = -(-total // self.count)
        padded = share.new_zeros(largest, share.shape[1])
        padded[: len(share)] = share
        shares = [torch.empty_like(padded) for _ in range(self.count)]
        distributed.all_gather(shares, padded)
        whole = share.new_empty(total, share.shape[1])
        for index, rows in enumerate(shares):
            place = whole[index :: self.count]
            place.copy_(rows[: len(place)])
        return whole

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor

    def sum_all(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, many at once."""
        if self.count == 1:
            return
        for bucket in _buckets(list(tensors)):
            flat = self.sum(torch.cat([tensor.reshape(-1) for tensor in bucket]))
            for tensor, values in zip(bucket, torch.split(flat, [tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(values.view_as(tensor))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if bucket and (size + tensor.numel() > _BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket


def is_told(error: BaseException) -> bool:
    """Whether every process of the run raises this error, so that one of them need say it."""
    return _TOLD in getattr(error, "__notes__", ())
