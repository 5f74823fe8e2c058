"""Choosing crops first, against unfolding all of them and keeping 15: time and peak memory on one photograph.

Each way runs in a process of its own; the memory is that process's peak less the same process without the work.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from PIL import Image

from clip_iqa_backbone import CropPlan, make_views


def photograph(width: int, height: int) -> Image.Image:
    """Smooth noise in memory: what decoding costs is not the subject."""
    small = np.random.default_rng(0).integers(0, 256, (height // 50, width // 50, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def choose_first(image: Image.Image) -> torch.Tensor:
    """Crops as the package cuts them."""
    return make_views(image, CropPlan()).local


def unfold(image: Image.Image) -> torch.Tensor:
    """All crops at stride 32 as floats, of which 15 are kept: how the reference implementations do it."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    crops = pixels.unfold(1, 224, 32).unfold(2, 224, 32).permute(1, 2, 0, 3, 4).reshape(-1, 3, 224, 224)
    return crops[torch.arange(15) * (len(crops) // 15)].clone()


WAYS = {"nothing": None, "choose first": choose_first, "unfold": unfold}


def measure(way: str, width: int, height: int) -> None:
    """Run one way in this process and print what it took."""
    image = photograph(width, height)
    work = WAYS[way]
    start = time.perf_counter()
    if work is not None:
        work(image)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def main() -> None:
    """Run the ways one after the other and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small photograph")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    width, height = arguments.size or ((1500, 1000) if arguments.quick else (4000, 3000))
    if arguments.way:
        measure(arguments.way, width, height)
        return
    results = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way, "--size", str(width), str(height)]
        results[way] = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    print(f"15 crops of 224x224 from {width}x{height}")
    for way in ("choose first", "unfold"):
        extra = results[way]["peak"] - results["nothing"]["peak"]
        print(f"{way:>14}: {results[way]['seconds'] * 1e3:9.1f} ms, {extra:8.1f} MiB above the decoded image")


if __name__ == "__main__":
    main()
