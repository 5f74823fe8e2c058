"""Running one function over many items on all cores, in order and with bounded memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from iqa_datasets.errors import DatasetError

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_AHEAD = 4  # items handed out per worker before the first result is waited for


def worker_count(workers: int | None) -> int:
    """Return the number of processes: the one asked for, or the cores that this process may use.

    Raises:
        DatasetError: fewer than one is asked for.
    """
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise DatasetError(f"workers must be 1 or more, got {workers}")
    return workers


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes that are started in the block do linear algebra on one thread each.

    Otherwise each starts as many threads as there are cores, and they wait for one another: half of the time is lost.
    What the user has set stays.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update({name: "1" for name, value in before.items() if value is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | None = None,
    *,
    threads: bool = False,
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item in order, computed by several processes or threads.

    Only a few items per worker are taken ahead of the result that is waited for, so that neither the items nor the
    results need to fit in memory. An exception in a worker is raised here; what was not begun is dropped then.

    Args:
        function: for processes a module-level function, which can be sent to another one; likewise items and results.
        items: what to compute it for.
        workers: number of processes or threads, all cores if None. With 1, everything runs in the caller's.
        threads: threads in place of processes: they start at once and need no ``if __name__ == "__main__"`` in the
            caller's script, but share the cores only while they are in code that lets go of Python's lock, as decoding
            and hashing do.

    Raises:
        DatasetError: fewer than one worker is asked for, or a process ended before its work was done.
    """
    count = worker_count(workers)
    if count == 1:
        yield from map(function, items)
        return
    # Not forked: the caller may have threads (torch, a progress bar), and a fork copies their locks as they stand.
    executor: Executor = (
        ThreadPoolExecutor(count) if threads else ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    )
    with executor as pool:
        waiting: deque[Future[Result]] = deque()
        remaining = iter(items)
        try:
            with nullcontext() if threads else _one_thread_each():  # processes start as they get their first items
                waiting.extend(pool.submit(function, item) for item in islice(remaining, _AHEAD * count))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        except BrokenProcessPool as error:
            raise DatasetError(
                f"one of {count} processes ended before its work was done: it was killed, there was too little memory, "
                'or the script that started it lacks `if __name__ == "__main__":`; workers=1 starts no process'
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
