"""Do the levels of `synthesize` rise in severity, and how fast is it?

    python synthesize.py [PHOTOGRAPHS] [--quick] [--part severity|speed] [--out severity.csv]

PHOTOGRAPHS is a folder of 20 pristine photographs or more, which are brought to 512 x 384; without one, the three
photographs of scikit-image are taken, too few for a claim. For each type and level the mean over the photographs of
VSI, MS-SSIM and GMSD (piq) and of CIEDE2000 is taken; with every step of severity VSI and MS-SSIM must fall, and GMSD
and CIEDE2000 rise. Two types that change colours are not held to a measure that hardly sees that: color shift not to
GMSD, which knows no colour, and color saturation 1 not to VSI, to which complementary colours are no worse than grey.
Needs torch and piq.

severity.csv beside this file is made of the 20 photographs that `--list` names: the folder nature/ of Debian's package
mate-backgrounds 1.26.0-1, the first five photographs of lomiri-wallpapers-16.04 20.04.0-2, and scikit-image's three.
"""

import argparse
import shutil
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import piq
import torch
from PIL import Image, ImageOps
from skimage.color import deltaE_ciede2000, rgb2lab

from iqa_datasets import open_image
from iqa_datasets.image_paths import images_in
from iqa_datasets.synthesis import DISTORTION_TYPES, LEVELS, Distortion, synthesize
from iqa_datasets.workers import ordered_map

PHOTOGRAPHS = {
    "mate-backgrounds": (
        "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings Wood YellowFlower"
    ),
    "lomiri-wallpapers-16.04": (
        "Bridge_by_Sander_Klootwijk Dragonfly_by_Bolly Picture_0B_by_freespace Picture_1A_by_freespace "
        "Wine_by_Jakkub_Mede"
    ),
    "scikit-image": "astronaut coffee rocket",
}

NOT_HELD_TO = {"05": {"GMSD"}, "07": {"VSI"}}
DIRECTIONS = {"VSI": -1, "MS-SSIM": -1, "GMSD": 1, "CIEDE2000": 1}


def measures(reference: np.ndarray, distorted: np.ndarray) -> dict[str, float]:
    """Return the four measures of one pair of 8-bit images; colours are compared at every second row and column."""
    x, y = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255 for image in (reference, distorted))
    return {
        "VSI": piq.vsi(y, x).item(),
        "MS-SSIM": piq.multi_scale_ssim(y, x).item(),
        "GMSD": piq.gmsd(y, x).item(),
        "CIEDE2000": float(deltaE_ciede2000(*(rgb2lab(image[::2, ::2]) for image in (reference, distorted))).mean()),
    }


def measures_of(numbered: tuple[int, Path]) -> list[dict[str, float]]:
    """Return the measures of one photograph at every type and level."""
    torch.set_num_threads(1)
    number, path = numbered
    image = np.asarray(ImageOps.fit(open_image(path), (512, 384), Image.Resampling.LANCZOS))
    return [
        measures(image, distortion.apply(image, level, np.random.default_rng([number, level])))
        for distortion in DISTORTION_TYPES
        for level in LEVELS
    ]


def severity_table(photographs: list[Path]) -> pd.DataFrame:
    """Return the means over photographs, one row a type and level."""
    found = list(ordered_map(measures_of, enumerate(photographs)))
    rows = []
    for number, (distortion, level) in enumerate(product(DISTORTION_TYPES, LEVELS)):
        mean = pd.DataFrame([of_one[number] for of_one in found]).mean()
        severity = distortion.severity[level - 1]
        rows.append({"code": distortion.code, "type": distortion.name, "level": level, "severity": severity, **mean})
    return pd.DataFrame(rows)


def monotone(distortion: Distortion, table: pd.DataFrame) -> dict[str, bool]:
    """Return for each measure whether it moves the right way with every step of severity (levels of one pooled)."""
    means = table[table["code"] == distortion.code].groupby("severity")[list(DIRECTIONS)].mean()
    return {name: bool((np.diff(means[name]) * way > 0).all()) for name, way in DIRECTIONS.items()}


def main() -> None:
    """Answer both questions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="one photograph")
    parser.add_argument("--part", choices=("severity", "speed"), help="only one of the two questions")
    parser.add_argument("--out", type=Path, help="write the means to this CSV file")
    parser.add_argument("--list", action="store_true", help="name the photographs that severity.csv is made of")
    arguments = parser.parse_args()
    if arguments.list:
        for package, names in PHOTOGRAPHS.items():
            print(f"{package}: {', '.join(names.split())}")
        return
    with tempfile.TemporaryDirectory() as folder:
        photographs = arguments.photographs or bundled_photographs(Path(folder))
        files = images_in(photographs)[: 1 if arguments.quick else None]
        if arguments.part != "speed":
            severity(files, arguments.out)
        if arguments.part != "severity":
            speed(files)


def bundled_photographs(folder: Path) -> Path:
    """Copy scikit-image's photographs to a folder, and return it."""
    import skimage.data

    for name in PHOTOGRAPHS["scikit-image"].split():
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    return folder


def severity(files: list[Path], out: Path | None) -> None:
    """Print by which measures each type is monotone; exit with an error if it is not by one that it is held to."""
    print(f"{len(files)} photographs, 512 x 384, means over them", flush=True)
    table = severity_table(files)
    if out is not None:
        table.round(5).to_csv(out, index=False)
    wrong = []
    for distortion in DISTORTION_TYPES:
        right = monotone(distortion, table)
        held = DIRECTIONS.keys() - NOT_HELD_TO.get(distortion.code, set())
        verdict = ", ".join(
            f"{name}{'' if right[name] else ' NOT'}{'*' if name in held else ''}" for name in DIRECTIONS
        )
        print(f"{distortion.code} {distortion.title:30s} {verdict}")
        wrong += [f"{distortion.code} {name}" for name in held if not right[name]]
    print("monotone by each measure; * those that the type is held to")
    if wrong and len(files) >= 20:
        raise SystemExit(f"not monotone: {', '.join(wrong)}")


def speed(files: list[Path]) -> None:
    """Print how long all types take at three levels on one and on two processes."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        for path in files:
            shutil.copy(path, photographs)
        for workers in (1, 2):
            start = time.perf_counter()
            out = Path(folder) / str(workers)
            made = synthesize(photographs, out, levels=(1, 3, 5), size=(512, 384), workers=workers)
            seconds[workers] = time.perf_counter() - start
            rate = f"{seconds[workers]:.1f} s, {made.made / seconds[workers]:.1f} images/s"
            print(f"synthesize, {made.made} images, {workers} process(es): {rate}", flush=True)
    print(f"two against one: {seconds[1] / seconds[2]:.2f}")


if __name__ == "__main__":
    main()
