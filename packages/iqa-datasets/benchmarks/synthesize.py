"""Do the levels of `synthesize` rise in severity, and how fast is it?

    python synthesize.py PHOTOGRAPHS [--quick] [--out severity.csv]

PHOTOGRAPHS is a folder of 20 pristine photographs or more, which are brought to 512 x 384. For each type and level the
mean over the photographs of VSI, MS-SSIM and GMSD (piq) and of CIEDE2000 is taken; VSI and MS-SSIM must fall, GMSD and
CIEDE2000 rise with every step of severity. Types that change colour or tone are held to CIEDE2000, which sees
them: VSI and MS-SSIM normalise luminance and contrast away, and GMSD knows no colour. Needs torch and piq.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import piq
import torch
from PIL import Image, ImageOps
from skimage.color import deltaE_ciede2000, rgb2lab

from iqa_datasets.images import read_image
from iqa_datasets.synthesis import DISTORTION_TYPES, LEVELS, Distortion, synthesize

# What these change is colour or tone, and not structure.
BY_COLOUR = {"04", "05", "07", "08", "16", "17", "18", "25", "c3", "c4"}
DIRECTIONS = {"VSI": -1, "MS-SSIM": -1, "GMSD": 1, "CIEDE2000": 1}


def measures(reference: np.ndarray, distorted: np.ndarray) -> dict[str, float]:
    """Return the four measures of one pair of 8-bit images."""
    x, y = (torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255 for image in (reference, distorted))
    return {
        "VSI": piq.vsi(y, x).item(),
        "MS-SSIM": piq.multi_scale_ssim(y, x).item(),
        "GMSD": piq.gmsd(y, x).item(),
        "CIEDE2000": float(deltaE_ciede2000(rgb2lab(reference), rgb2lab(distorted)).mean()),
    }


def severity_table(photographs: list[np.ndarray]) -> pd.DataFrame:
    """Return the means, one row a type and level."""
    rows = []
    for distortion in DISTORTION_TYPES:
        for level in LEVELS:
            found = [
                measures(image, distortion.apply(image, level, np.random.default_rng([number, level])))
                for number, image in enumerate(photographs)
            ]
            mean = pd.DataFrame(found).mean()
            severity = distortion.severity[level - 1]
            rows.append(
                {"code": distortion.code, "type": distortion.name, "level": level, "severity": severity, **mean}
            )
    return pd.DataFrame(rows)


def monotone(distortion: Distortion, table: pd.DataFrame) -> dict[str, bool]:
    """Return for each measure whether it moves the right way with every step of severity (levels of one pooled)."""
    means = table[table["code"] == distortion.code].groupby("severity")[list(DIRECTIONS)].mean()
    return {name: bool((np.diff(means[name]) * way > 0).all()) for name, way in DIRECTIONS.items()}


def main() -> None:
    """Print both tables; exit with an error if a type is not monotone by the measures it is held to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--quick", action="store_true", help="four photographs")
    parser.add_argument("--out", type=Path, help="write the means to this CSV file")
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.photographs.iterdir() if path.is_file())[: 4 if arguments.quick else None]
    images = [np.asarray(ImageOps.fit(read_image(path), (512, 384), Image.Resampling.LANCZOS)) for path in files]
    print(f"{len(images)} photographs, 512 x 384, means over them")
    table = severity_table(images)
    if arguments.out is not None:
        table.round(5).to_csv(arguments.out, index=False)
    wrong = []
    for distortion in DISTORTION_TYPES:
        right = monotone(distortion, table)
        held = {"CIEDE2000"} if distortion.code in BY_COLOUR else {"VSI", "MS-SSIM", "GMSD"}
        verdict = ", ".join(
            f"{name}{'' if right[name] else ' NOT'}{'*' if name in held else ''}" for name in DIRECTIONS
        )
        print(f"{distortion.code} {distortion.title:30s} {verdict}")
        wrong += [f"{distortion.code} {name}" for name in held if not right[name]]
    print("monotone by each measure; * those that the type is held to")

    seconds = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            synthesize(arguments.photographs, Path(folder) / "out", size=(512, 384), workers=workers)
            seconds[workers] = time.perf_counter() - start
        print(f"synthesize, all types and levels, {workers} process(es): {seconds[workers]:.1f} s")
    print(f"two against one: {seconds[1] / seconds[2]:.2f}")
    if wrong:
        raise SystemExit(f"not monotone: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
