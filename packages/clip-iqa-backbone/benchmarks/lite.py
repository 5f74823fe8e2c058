"""Views a second through the trunk of `lite`, with and without its batch normalisations folded in."""

import argparse
import time

import torch

from clip_iqa_backbone import LiteConfig, LiteImageTower


def views_per_second(tower: LiteImageTower, views: torch.Tensor, repeats: int) -> float:
    """The best of some runs, so that other work on the machine weighs less."""
    best = float("inf")
    with torch.inference_mode():
        tower.trunk(views)
        for _ in range(repeats):
            start = time.perf_counter()
            tower.trunk(views)
            best = min(best, time.perf_counter() - start)
    return len(views) / best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few views, few repeats")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    views = torch.rand(2 if arguments.quick else 16, 3, 224, 224) * 2 - 1
    repeats = 2 if arguments.quick else 10
    print(f"{len(views)} views at once, {arguments.threads} threads, torch {torch.__version__}")
    for stages in (tuple(range(9)), tuple(range(8)), tuple(range(6))):
        tower = LiteImageTower(LiteConfig(stages=stages)).eval()
        plain = views_per_second(tower, views, repeats)
        tower.fuse_for_inference()
        fused = views_per_second(tower, views, repeats)
        print(f"stages 0 to {stages[-1]}: {plain:6.1f} views/s, fused {fused:6.1f} views/s ({fused / plain:.2f}x)")


if __name__ == "__main__":
    main()
