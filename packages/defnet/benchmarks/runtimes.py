"""Scoring by onnxruntime beside scoring by torch: how equal, how fast, how large.

    python runtimes.py speed FOLDER [--images 60] [--repeats 3] [--busy 0]
    python runtimes.py agreement FOLDER [--images N]

FOLDER holds photographs. `speed` takes, in turns, so that what else the machine does falls on all alike: one photograph
from command to score (`defnet score`, a process each time), and the photographs in one process with the model loaded,
decoding included; each by torch and by onnxruntime, on one thread and on as many as there are processors. It prints
medians, peak memory of the process, and ratios. `--busy N` has N loops that do nothing take processors meanwhile.
`agreement` scores every photograph both ways, and prints the largest difference in each column.
"""

import argparse
import json
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAYS = [(runtime, threads) for threads in (1, os.cpu_count() or 1) for runtime in ("torch", "onnx")]

MANY = """
import resource, sys, time
import defnet
runtime, threads, paths = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
scorer = defnet.load_scorer(device="cpu", runtime=runtime, threads=threads)
list(scorer.stream(paths[:2]))
start = time.perf_counter()
assert len(list(scorer.stream(paths))) == len(paths)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def photographs(folder: Path, count: int | None) -> list[str]:
    """Photographs of a folder, evenly spread over it."""
    from iqa_datasets.image_paths import find_images

    paths = sorted(find_images([str(folder)]).paths)
    return paths if count is None or len(paths) <= count else paths[:: len(paths) // count][:count]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Loops that take processors."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def one_command(runtime: str, threads: int, path: str) -> tuple[float, float]:
    """Seconds from command to score, and peak memory in MiB."""
    command = [sys.executable, "-m", "defnet", "score", path, "--format", "csv", "--device", "cpu"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--runtime", runtime, "--threads", str(threads)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (runtime, threads)
    process.returncode = 0
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def many(runtime: str, threads: int, paths: list[str]) -> tuple[float, float]:
    """Images a second, and peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MANY, runtime, str(threads), *paths], check=True, capture_output=True, text=True
    )
    seconds, memory = map(float, done.stdout.split())
    return len(paths) / seconds, memory


def speed(paths: list[str], repeats: int, loops: int) -> None:
    """Print how fast each way is."""
    one: dict[tuple[str, int], list[tuple[float, float]]] = {way: [] for way in WAYS}
    rate: dict[tuple[str, int], list[tuple[float, float]]] = {way: [] for way in WAYS}
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; busy loops: {loops}")
    with busy(loops):
        for _ in range(repeats):
            for way in WAYS:
                one[way].append(one_command(*way, paths[0]))
                rate[way].append(many(*way, paths))
    for way in WAYS:
        seconds, memory = statistics.median(s for s, _ in one[way]), max(m for _, m in one[way])
        images, most = statistics.median(r for r, _ in rate[way]), max(m for _, m in rate[way])
        print(
            f"{way[0]:5} {way[1]} threads: command to score {seconds:.2f} s (fastest {min(one[way])[0]:.2f}), "
            f"{memory:.0f} MiB; {images:.1f} images/s (best {max(rate[way])[0]:.1f}), {most:.0f} MiB"
        )
    for threads in sorted({threads for _, threads in WAYS}):
        ratios = [a[0] / b[0] for a, b in zip(one["torch", threads], one["onnx", threads], strict=True)]
        rates = [b[0] / a[0] for a, b in zip(rate["torch", threads], rate["onnx", threads], strict=True)]
        print(
            f"{threads} threads, onnx against torch: command {statistics.median(ratios):.1f} times as fast, "
            f"photographs {statistics.median(rates):.1f} times"
        )
    print(f"load after: {os.getloadavg()[0]:.1f}")


def agreement(paths: list[str]) -> None:
    """Print how far the two are apart."""
    import defnet
    from defnet.scoring.scores import COLUMNS, Score

    # In any order, so that what is printed on the way is of a fair sample.
    paths = random.Random(0).sample(paths, len(paths))
    scorers = [defnet.load_scorer(device="cpu", runtime=runtime) for runtime in ("torch", "onnx")]
    streams = [scorer.stream(paths) for scorer in scorers]
    worst: dict[str, float] = {}
    differing: dict[str, int] = {}
    count = 0
    for one, other in zip(*streams, strict=True):
        assert isinstance(one, Score), one
        assert isinstance(other, Score), other
        count += 1
        for name in COLUMNS:
            a, b = getattr(one, name), getattr(other, name)
            if isinstance(a, float):
                worst[name] = max(worst.get(name, 0.0), math.inf if math.isnan(a) != math.isnan(b) else abs(a - b))
            elif a != b:
                differing[name] = differing.get(name, 0) + 1
        if count % 50 == 0:
            print(f"{count} of {len(paths)}: {max(worst.values()):.1e}, {worst}, {differing}", file=sys.stderr)
    print(json.dumps({"images": count, "largest_difference": worst, "other_columns_differing": differing}, indent=2))
    print(f"peak memory of both together: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "agreement"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", type=int, default=0)
    options = parser.parse_args()
    if options.what == "agreement":
        agreement(photographs(options.folder, options.images))
    else:
        speed(photographs(options.folder, options.images or 60), options.repeats, options.busy)


if __name__ == "__main__":
    main()
