"""What scoring costs in threads and in processes: memory and processor time, for those who put it behind a server.

    python serving.py [--model lite] [--images 6] [--width 4000] [--height 3000]

Each row is a fresh process that loads the model and, where it says so, starts threads or processes of its own, each
of which scores the same photograph a few times. Memory is the peak of the sum over its processes, pages that several
share counted once (PSS; Linux only). Processor time and not the clock, so that other work on the machine weighs little.
"""

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import torch
from scoring import MEGA, write_photograph

_scorer: Any = None


def load(model: str) -> None:
    """Load the model once in a process, to compute on one thread."""
    global _scorer
    import defnet

    torch.set_num_threads(1)
    _scorer = defnet.load_scorer(model, device="cpu", runtime="torch")


def score_some(image: str, count: int) -> None:
    """Score one photograph some times, as requests that come one after the other."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(count):
            _scorer.score(image)


def shared_memory_once(pids: list[int]) -> int:
    """Bytes of memory of processes, shared pages counted once."""
    total = 0
    for pid in pids:
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) * 1024
    return total


class Peak:
    """Watches the memory of this process and its children."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            children = [process.pid for process in multiprocessing.active_children() if process.pid]
            self.bytes = max(self.bytes, shared_memory_once([multiprocessing.current_process().pid or 0, *children]))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def measure(way: str, workers: int, model: str, image: str, count: int) -> None:
    """In a fresh process: one way of working, and its memory and processor seconds an image as JSON."""
    with Peak() as peak:
        if way == "threads":
            load(model)
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda _: score_some(image, count), range(workers)))
        else:
            if way == "fork":
                load(model)
                score_some(image, 1)
            context = multiprocessing.get_context(way)
            prepare = None if way == "fork" else load
            with context.Pool(workers, prepare, (model,) if prepare else ()) as pool:
                pool.starmap(score_some, [(image, count)] * workers, chunksize=1)
                pool.close()
                pool.join()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(json.dumps({"bytes": peak.bytes, "seconds": seconds}))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lite", help="lite, a model file or the folder of a run")
    parser.add_argument("--images", type=int, default=6, help="images for each thread or process")
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        way, workers, image = arguments.measure
        measure(way, int(workers), arguments.model, image, arguments.images)
        return
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "photograph.jpg"
        write_photograph(image, arguments.width, arguments.height, 0)
        print(
            f"torch {torch.__version__}; a {arguments.width} x {arguments.height} JPEG file at a time in each worker\n"
        )
        print("| way | workers | memory, MiB | processor seconds in all | seconds on the clock |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for way, workers in (
            ("threads", 1), ("threads", 2), ("threads", 4), ("threads", 8),
            ("fork", 2), ("fork", 4), ("spawn", 2), ("spawn", 4),
        ):  # fmt: skip
            command = [sys.executable, __file__, "--model", arguments.model, "--images", str(arguments.images)]
            start = time.perf_counter()
            done = subprocess.run(
                [*command, "--measure", way, str(workers), str(image)], check=True, capture_output=True, text=True
            )
            clock = time.perf_counter() - start
            found = json.loads(done.stdout)
            print(
                f"| {way} | {workers} | {found['bytes'] / MEGA:.0f} | {found['seconds']:.1f} | {clock:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
