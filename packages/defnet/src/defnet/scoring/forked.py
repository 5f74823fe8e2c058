"""Processes forked after torch has computed: its threads are gone there, and waiting for them never ends.

A fork copies the process with the one thread that forked. Torch's pool of threads (OpenMP) does not know that its other
threads are gone, and the first computation that is shared out among them waits for ever. On one thread nothing is
shared out, which is what torch's own `DataLoader` does in its workers.
"""

import os
import warnings

import torch

from defnet.errors import DEFNetError

_in_child = False


def _after_fork() -> None:
    global _in_child
    _in_child = True


if hasattr(os, "register_at_fork"):  # Windows cannot fork
    os.register_at_fork(after_in_child=_after_fork)


def compute_safely_after_fork(device: torch.device) -> None:
    """Call before each computation. In a process forked since the import of this module, torch gets one thread.

    A warning says so, once, where there were more.

    Args:
        device: where the computation will happen.

    Raises:
        DEFNetError: the device is a CUDA one, which the process that forked already used; CUDA cannot be had again.
    """
    global _in_child
    if not _in_child:
        return
    if device.type == "cuda":
        raise DEFNetError(
            "this process was forked from one that used CUDA, which CUDA does not survive; start processes with "
            "multiprocessing's 'spawn' or 'forkserver', or load the model after the fork"
        )
    _in_child = False
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
        warnings.warn(
            f"this process was forked after torch had been loaded; torch computes on 1 thread here instead of "
            f"{threads}, because its threads do not survive a fork. Start processes with multiprocessing's 'spawn' or "
            "'forkserver' to have them",
            stacklevel=2,
        )
