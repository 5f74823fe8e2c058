"""Images decoded a second: `read_image`, whole and coarse, beside Pillow alone and other decoders.

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
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from iqa_datasets import load, verify
from iqa_datasets.images import read_image
from iqa_datasets.testing import make_fake


def pillow(path: str) -> None:
    """Decode as most code does."""
    with Image.open(path) as image:
        image.convert("RGB")


def decoders() -> dict[str, Callable[[str], object]]:
    """Return what is installed of the decoders to compare."""
    found: dict[str, Callable[[str], object]] = {
        "Pillow alone": pillow,
        "read_image": read_image,
        "read_image, at_least=224": lambda path: read_image(path, at_least=224),
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


def rate(decode: Callable[[str], object], paths: list[str], rounds: int) -> float:
    """Return the median number of images a second."""
    decode(paths[0])  # what is imported and set up once
    rates = []
    for _ in range(rounds):
        start = time.perf_counter()
        for path in paths:
            decode(path)
        rates.append(len(paths) / (time.perf_counter() - start))
    return statistics.median(rates)


def compare(title: str, paths: list[str], rounds: int) -> None:
    """Print the table of one set of files."""
    for path in paths:
        Path(path).read_bytes()
    print(f"\n{title}: {len(paths)} files")
    base = None
    for name, decode in decoders().items():
        if "JPEG only" in name and not all(path.lower().endswith((".jpg", ".jpeg")) for path in paths):
            continue
        speed = rate(decode, paths, rounds)
        base = base or speed
        print(f"  {name:28s} {speed:8.0f} images/s   {speed / base:5.2f}")


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
    seconds = {}
    for workers in (1, 2):
        taken = []
        for _ in range(rounds):
            start = time.perf_counter()
            verify("live-challenge", root, workers=workers)
            taken.append(time.perf_counter() - start)
        seconds[workers] = float(np.median(taken))
        speed = len(paths) / seconds[workers]
        print(f"  {workers} thread{'s' if workers > 1 else ' '} {seconds[workers]:6.2f} s, {speed:6.0f} images/s")
    print(f"  two against one: {seconds[1] / seconds[2]:.2f}")


if __name__ == "__main__":
    main()
