"""How fast `defnet score` is and what it takes: images a second, start-up, and peak memory of a large photograph.

    python scoring.py [FOLDER] [--model lite] [--images 64] [--repeats 3] [--threads N] [--quick]

Without a folder, 500 x 500 JPEG files are made. Three tables: throughput (reading and cropping alone, the network
alone, and both as `Scorer.stream` overlaps them), start-up in fresh processes beside that of Python and torch, and the
peak resident memory of a fresh process above that of its imports. Times are the best of some runs, so that other work
on the machine weighs less.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from defnet import Scorer, load_scorer
from defnet.scoring.seen import Failure, Seen, look
from iqa_datasets.image_paths import find_images

BATCH_SIZES = (1, 8, 16)
DECODERS = 2
MEGA = 1024**2


def write_photograph(path: Path, width: int, height: int, seed: int) -> None:
    """Shapes and grain, so that the JPEG file is about as large as a photograph's."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    pixels = pixels + rng.integers(-12, 13, (height, width, 1), dtype=np.int16)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The best of some runs."""
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def read_and_crop(scorer: Scorer, paths: Sequence[str]) -> list[Seen | Failure]:
    """What the decoding threads do, and nothing else."""
    with ThreadPoolExecutor(DECODERS) as threads:
        return list(threads.map(lambda path: look(path, scorer.plan, scorer.short_side), paths))


@torch.inference_mode()
def run_network(scorer: Scorer, views: Sequence[Seen], batch_size: int) -> None:
    """What happens between the views and the evidence, and nothing else."""
    device = next(scorer.model.parameters()).device
    for start in range(0, len(views), batch_size):
        batch = views[start : start + batch_size]
        local = torch.from_numpy(np.stack([view.local for view in batch])).to(device)
        scorer.model(local, torch.from_numpy(np.stack([view.global_view for view in batch])).to(device))
    if device.type == "cuda":
        torch.cuda.synchronize()


def score_all(scorer: Scorer, paths: Sequence[str], batch_size: int) -> None:
    """What `defnet score` does once the model is loaded, less the table."""
    for _ in scorer.stream(paths, batch_size=batch_size, decoders=DECODERS):
        pass


def throughput(scorer: Scorer, paths: Sequence[str], repeats: int) -> None:
    """Images a second of the two parts and of the whole."""
    views = read_and_crop(scorer, paths)
    run_network(scorer, views[:2], 1)  # first-time costs
    reading = seconds(lambda: read_and_crop(scorer, paths), repeats)
    print(f"\nImages a second, {len(paths)} images, {scorer.plan.count} crops and the whole image each\n")
    print("| batch size | read and crop | network | both, overlapped | time against the slower part | against both |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in BATCH_SIZES:
        network = seconds(partial(run_network, scorer, views, size), repeats)
        both = seconds(partial(score_all, scorer, paths, size), repeats)
        rates = " | ".join(f"{len(paths) / t:.1f}" for t in (reading, network, both))
        print(f"| {size} | {rates} | {both / max(reading, network):.2f} | {both / (reading + network):.2f} |")


def start_up(model: str, image: str, repeats: int) -> None:
    """Wall-clock seconds of fresh processes."""
    python = [sys.executable]
    command = [*python, "-m", "defnet.cli"]
    print("\nSeconds from start to end of a process\n\n| process | seconds | against `import torch` |")
    print("| --- | ---: | ---: |")
    runs = {
        "python -c pass": [*python, "-c", "pass"],
        "import torch": [*python, "-c", "import torch"],
        "defnet --help": [*command, "--help"],
        "defnet score, one image": [*command, "score", image, "--model", model],
    }
    found = {
        name: seconds(partial(subprocess.run, run, check=True, capture_output=True), repeats)
        for name, run in runs.items()
    }
    for name, value in found.items():
        print(f"| {name} | {value:.2f} | {value / found['import torch']:.2f} |")


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss also remembers the process that started this one, from before exec.
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_memory(model: str, image: str, batch: int) -> None:
    """Run in a fresh process: score, and say by how much the peak has grown since the imports."""
    imported = peak_bytes()
    scorer = load_scorer(model, runtime="torch")
    loaded = peak_bytes()
    scorer.score([image] * batch, batch_size=batch)
    print(imported, loaded - imported, peak_bytes() - imported)


def memory(model: str, image: str, batches: Sequence[int]) -> None:
    """Peak memory of fresh processes."""
    print("\nPeak resident memory, MiB, above that of the imports; one 4000 x 3000 JPEG file, alone and in a batch\n")
    print("| images | imports | model loaded | all | all, against one image's RGB pixels |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for batch in batches:
        command = [sys.executable, __file__, "--model", model, "--measure-memory", image, str(batch)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        imported, loaded, everything = (int(number) / MEGA for number in done.stdout.split())
        pixels = 4000 * 3000 * 3 / MEGA
        print(f"| {batch} | {imported:.0f} | {loaded:.0f} | {everything:.0f} | {everything / pixels:.1f} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="images to score instead of made-up ones")
    parser.add_argument("--model", default="lite", help="lite, a model file or the folder of a run")
    parser.add_argument("--images", type=int, default=64, help="largest number of images")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the network")
    parser.add_argument("--device", help="by default CUDA where there is one, else the CPU")
    parser.add_argument("--quick", action="store_true", help="few images, one repetition")
    parser.add_argument("--measure-memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_memory:
        image, batch = arguments.measure_memory
        measure_memory(arguments.model, image, int(batch))
        return
    if arguments.quick:
        arguments.images, arguments.repeats = 8, 1
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder
        if folder is None:
            folder = Path(temporary) / "images"
            folder.mkdir()
            for number in range(arguments.images):
                write_photograph(folder / f"{number:04d}.jpg", 500, 500, number)
        paths = find_images([folder]).paths[: arguments.images]
        if not paths:
            parser.error(f"{folder} holds no image file")
        large = Path(temporary) / "large.jpg"
        write_photograph(large, 4000, 3000, 0)
        scorer = load_scorer(arguments.model, device=arguments.device, runtime="torch")
        device = next(scorer.model.parameters()).device
        print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {DECODERS} decoding threads")
        throughput(scorer, paths, arguments.repeats)
        start_up(arguments.model, paths[0], arguments.repeats)
        memory(arguments.model, str(large), (1,) if arguments.quick else (1, 8))


if __name__ == "__main__":
    main()
