"""Cases run one after the other in processes that are watched: one that crashes or hangs is noticed and named."""

import multiprocessing
import os
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

MEMORY = 6 * 2**30
"""Bytes of address space that a process may take: a file of a few kilobytes that wants more is a bomb."""


@dataclass
class Outcomes:
    """What has come of the cases.

    Attributes:
        counts: how often each outcome came, by its name.
        faults: the cases that went wrong, with what was seen.
    """

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[int, str]] = field(default_factory=list)


class FaultError(Exception):
    """What a case did is wrong."""


def run_cases(judge: Callable[[int], str], cases: Iterable[int], *, seconds: float = 60) -> Outcomes:
    """Run cases, in order.

    Args:
        judge: does a case, by its number, and names what came of it. Whatever it raises is a fault.
        cases: their numbers.
        seconds: how long a case may take.
    """
    outcomes = Outcomes()
    context = multiprocessing.get_context("fork")  # what the caller has loaded is there at once
    worker: _Worker | None = None
    for case in cases:
        worker = worker or _Worker(context, judge)
        outcome, fault = worker.run(case, seconds)
        if fault:
            outcomes.faults.append((case, fault))
        else:
            outcomes.counts[outcome] += 1
        if not worker.alive:
            worker = None
    if worker is not None:
        worker.stop()
    return outcomes


class _Worker:
    def __init__(self, context: Any, judge: Callable[[int], str]) -> None:
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, judge), daemon=True)
        self._process.start()
        theirs.close()
        self.alive = True

    def run(self, case: int, seconds: float) -> tuple[str, str]:
        """What came of a case, or what is wrong with it; one of the two is empty."""
        self._ours.send(case)
        if not self._ours.poll(seconds):
            self.stop()
            return "", f"hangs: not done after {seconds:g} s"
        try:
            outcome, fault = self._ours.recv()
        except EOFError:
            self._process.join()
            self.alive = False
            return "", f"crashes: the process ended with {self._process.exitcode}"
        return outcome, fault

    def stop(self) -> None:
        self._process.kill()
        self._process.join()
        self.alive = False


def _work(pipe: Connection, judge: Callable[[int], str]) -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # What a case says below Python lands in a file: to say anything past the caller is a fault.
    aside = tempfile.TemporaryFile()  # noqa: SIM115 - for as long as the process lives
    os.dup2(aside.fileno(), 2)
    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        try:
            said = judge(case), ""
        except FaultError as fault:
            said = "", str(fault)
        except BaseException as error:  # noqa: BLE001 - all else is a fault
            last = traceback.extract_tb(error.__traceback__)[-1]
            said = "", f"raises {type(error).__name__}: {error} ({last.filename.rpartition('/')[2]}:{last.lineno})"
        sys.stderr.flush()
        if aside.seek(0, os.SEEK_END) and not said[1]:
            aside.seek(0)
            said = "", f"writes to standard error: {aside.read(200).decode('utf-8', 'replace').strip()!r}"
        aside.truncate(0)
        pipe.send(said)
