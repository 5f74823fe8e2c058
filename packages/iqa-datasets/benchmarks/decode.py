"""Images decoded a second: `open_image`, whole and coarse, beside Pillow alone and other decoders.

    python decode.py [FOLDER] [--quick]

FOLDER is ChallengeDB_release/; if it is not given, that below IQA_DATA_ROOT, and else a made-up one, whose figures
stand for nothing. All of it runs in one session on the same files, which are read once before, so that no disk is
measured; each figure is the median of five rounds, and the ratio is to Pillow alone on the same files. Besides
the data set's own photographs, twelve are enlarged to 12 megapixels as a phone takes them. Decoders that are not
installed are left out.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from iqa_datasets import load, open_image, verify
from iqa_datasets.testing import make_fake


def pillow(path: str) -> None:
    """Decode as most code does."""
    with Image.open(path) as image:
        image.convert("RGB")


def decoders() -> dict[str, Callable[[str], object]]:
    """Return what is installed of the decoders to compare."""
    found: dict[str, Callable[[str], object]] = {
        "Pillow alone": pillow,
        "open_image": open_image,
        "open_image, at_least=224": lambda path: open_image(path, at_least=224),
    }
    try:
        import cv2

        found["OpenCV"] = lambda path: cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    except ImportError:
        pass
    try:
        import simplejpeg

        def with_simplejpeg(path: str) -> object:
            return simplejpeg.decode_jpeg(Path(path).read_bytes())

        found["simplejpeg (JPEG only)"] = with_simplejpeg
    except ImportError:
        pass
    return found


def seconds_of(run: Callable[[str], object], arguments: list[str]) -> float:
    """Return how long a call with each of the arguments takes; no result is kept."""
    start = time.perf_counter()
    for argument in arguments:
        run(argument)
    return time.perf_counter() - start


def compare(title: str, paths: list[str], rounds: int) -> None:
    """Print the table of one set of files; the decoders take turns within each round."""
    for path in paths:
        Path(path).read_bytes()
    only_jpeg = all(path.lower().endswith((".jpg", ".jpeg")) for path in paths)
    compared = {name: decode for name, decode in decoders().items() if only_jpeg or "JPEG only" not in name}
    seconds: dict[str, list[float]] = {name: [] for name in compared}
    for decode in compared.values():
        decode(paths[0])  # what is imported and set up once
    for _ in range(rounds):
        for name, decode in compared.items():
            seconds[name].append(seconds_of(decode, paths))
    print(f"\n{title}: {len(paths)} files; ratio to Pillow alone, median (lowest to highest)")
    for name, taken in seconds.items():
        ratios = [base / own for base, own in zip(seconds["Pillow alone"], taken, strict=True)]
        speed = len(paths) / statistics.median(taken)
        spread = f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"  {name:28s} {speed:8.0f} images/s   {spread}")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="a tenth of the files, one round")
    arguments = parser.parse_args()
    rounds, step = (1, 10) if arguments.quick else (5, 1)
    with TemporaryDirectory() as made_up:
        folder = arguments.folder or Path(os.environ.get("IQA_DATA_ROOT", "")) / "ChallengeDB_release"
        if arguments.folder is None and not folder.is_dir():
            print("no ChallengeDB_release/ is given: a made-up one is taken, whose figures stand for nothing")
            folder, step = make_fake("live-challenge", made_up, images=40).root, 1
        measure(folder, rounds, step)


def measure(root: Path, rounds: int, step: int) -> None:
    """Print all tables of one folder."""
    paths = load("live-challenge", root).records["image_path"].tolist()
    jpegs = [path for path in paths if path.lower().endswith(".jpg")]
    compare("JPEG, 500x500 mostly", jpegs[::step], rounds)
    compare("BMP, 500x500 mostly", [path for path in paths if path.endswith(".bmp")][::step], rounds)
    with TemporaryDirectory() as folder:
        large = []
        for path in jpegs[:12]:
            large.append(str(Path(folder) / Path(path).name))
            with Image.open(path) as image:
                image.convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC).save(large[-1], quality=92)
        compare("JPEG, 4000x3000 (enlarged)", large, rounds)

    print("\nverify, the whole data set")
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, times in taken.items():
            times.append(seconds_of(partial(verify, "live-challenge", workers=workers), [str(root)]))
    for workers, times in taken.items():
        middle = statistics.median(times)
        print(f"  {workers} thread{'s' if workers > 1 else ' '} {middle:6.2f} s, {len(paths) / middle:6.0f} images/s")
    ratios = [one / two for one, two in zip(taken[1], taken[2], strict=True)]
    print(f"  two against one: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
