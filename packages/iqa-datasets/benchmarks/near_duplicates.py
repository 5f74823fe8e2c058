"""How well perceptual hashes and the search for crops tell the same picture from another, on LIVE In the Wild.

    python near_duplicates.py [FOLDER] [--quick]

FOLDER is ChallengeDB_release/; if it is not given, that below IQA_DATA_ROOT, and else a made-up one, whose figures
stand for nothing. Prints the seconds that the comparison of 25,000 hashes takes; for copies of its images after a
change, how many are found at the thresholds of the package (64 of 255 bits; correlation 0.7), and how near pairs of
different images come; and the seconds a pair.
"""

import argparse
import io
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from iqa_datasets import load, open_image
from iqa_datasets.fingerprints import BITS, NEAR, hash_files, near_duplicates, perceptual_hash
from iqa_datasets.shared_pictures import CROP_SIMILARITY, _crop_similarities
from iqa_datasets.testing import make_fake


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after a turn through JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Return a part of the image, given in shares of its sides."""
    w, h = image.size
    return image.crop((round(left * w), round(top * h), round(right * w), round(bottom * h)))


def noisy(image: Image.Image) -> Image.Image:
    """Return the image with white noise."""
    noise = np.random.default_rng(0).normal(0, 30, (image.height, image.width, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 10": lambda image: jpeg(image, 10),
    "half the size": lambda image: image.reduce(2),
    "Gaussian blur, radius 3": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "white noise, deviation 30": noisy,
    "half the contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.5),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored": ImageOps.mirror,
    "brighter by half, clipped": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "turned by 2 degrees": lambda image: image.rotate(2),
    "cut to 96 % of each side": lambda image: cut(image, 0.02, 0.02, 0.98, 0.98),
    "cut to 90 % of each side": lambda image: cut(image, 0.05, 0.05, 0.95, 0.95),
}
CROPS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "middle, 2/3 x 3/4": lambda image: cut(image, 1 / 6, 1 / 8, 5 / 6, 7 / 8),
    "corner, 2/3 x 3/4": lambda image: cut(image, 0, 0, 2 / 3, 3 / 4),
    "60 % of the width, all of the height, halved": lambda image: cut(image, 0.2, 0, 0.8, 1).reduce(2),
    "middle, 2/3 x 3/4, JPEG of quality 20": lambda image: jpeg(cut(image, 1 / 6, 1 / 8, 5 / 6, 7 / 8), 20),
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images")
    arguments = parser.parse_args()
    compare_many(2_500 if arguments.quick else 25_000)
    with TemporaryDirectory() as made_up:
        folder = arguments.folder or Path(os.environ.get("IQA_DATA_ROOT", "")) / "ChallengeDB_release"
        step = 10 if arguments.quick else 1
        if arguments.folder is None and not folder.is_dir():
            print("no ChallengeDB_release/ is given: a made-up one is taken, whose figures stand for nothing")
            folder, step = make_fake("live-challenge", made_up, images=40).root, 1
        measure(load("live-challenge", folder).records["image_path"].tolist()[::step])


def compare_many(count: int) -> None:
    """Print how long all pairs of random hashes take, of which every tenth is another's with 20 bits turned."""
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (count, 2, 32), dtype=np.uint8)
    copies = count // 10
    turned = np.zeros((copies, BITS + 1), dtype=np.uint8)
    turned[:, :20] = 1
    hashes[:copies, 0] = hashes[copies : 2 * copies, 0] ^ np.packbits(rng.permuted(turned, axis=1), axis=1)
    start = time.perf_counter()
    pairs = near_duplicates(hashes)
    seconds = time.perf_counter() - start
    print(f"{count:,} hashes: {count * (count - 1) // 2:,} pairs in {seconds:.1f} s, {len(pairs)} of {copies} found\n")


def measure(paths: list[str]) -> None:
    """Print both tables for some images."""
    start = time.perf_counter()
    hashes = hash_files(paths, workers=1)
    print(f"{len(paths)} images hashed by one process: {len(paths) / (time.perf_counter() - start):.0f} images/s")
    print(f"\ndiffering bits of {BITS} (found up to {NEAR})     median    99 %     most    found")
    for name, change in COPIES.items():
        distances = []
        for path, original in zip(paths, hashes, strict=True):
            copy = perceptual_hash(change(open_image(path)))
            distances.append(min(int(np.unpackbits(original[0] ^ copy[side]).sum()) for side in (0, 1)))
        found = np.mean(np.array(distances) <= NEAR)
        median, most_of_them = np.quantile(distances, (0.5, 0.99))
        print(f"{name:40s} {median:8.0f} {most_of_them:7.0f} {max(distances):8d} {found:8.1%}")
    pairs = near_duplicates(hashes, near=88)
    print(f"nearest of {len(paths) * (len(paths) - 1) // 2:,} pairs of different files:")
    for pair in pairs[:16]:
        names = f"{Path(paths[pair.first]).name} {Path(paths[pair.second]).name}"
        print(f"  {pair.distance:3d} bits  {names}{' mirrored' if pair.mirrored else ''}")

    step = 6
    ones, others = paths[::step], paths[step // 2 :: step]
    start = time.perf_counter()
    apart = _crop_similarities(ones, others)
    seconds = time.perf_counter() - start
    print(f"\ncorrelation of the middle of one with a place in the other (found from {CROP_SIMILARITY})")
    print(
        f"{apart.size:,} pairs of different images: most {apart.max():.2f}, {1e3 * seconds / apart.size:.2f} ms a pair"
    )
    with TemporaryDirectory() as folder:
        for name, change in CROPS.items():
            copies = []
            for number, path in enumerate(ones):
                copies.append(str(Path(folder) / f"{number}.png"))
                change(open_image(path)).save(copies[-1], compress_level=1)
            similarity = _crop_similarities(copies, ones)
            own = similarity.diagonal()
            wrong = [
                f"{Path(ones[i]).name} in {Path(ones[j]).name} {similarity[i, j]:.2f}"
                for i, j in np.argwhere(similarity >= CROP_SIMILARITY)
                if i != j
            ]
            print(f"{name:46s} found {np.mean(own >= CROP_SIMILARITY):6.1%}; others {', '.join(wrong) or 'none'}")


if __name__ == "__main__":
    main()
