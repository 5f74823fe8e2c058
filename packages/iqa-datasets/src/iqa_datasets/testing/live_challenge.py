"""A made-up LIVE In the Wild folder with label files, as its authors and LIQE's distribute theirs."""

from pathlib import Path
from typing import Final

import numpy as np
import scipy.io
from PIL import Image

from iqa_datasets.liqe import SESSIONS
from iqa_datasets.loaders.live_challenge import CARD, SAME_CONTENT, TRAINING_IMAGES
from iqa_datasets.testing.photographs import DAMAGES, DRAWINGS, damage, draw
from iqa_datasets.vocabulary import PARTS

FOLDER: Final = CARD.folder
# (height, width); one is smaller than the 224 pixels that most models crop, as some photographs are.
_SIZES = ((256, 256), (240, 320), (320, 240), (224, 288), (160, 200), (300, 300), (288, 224))


def write(root: Path, labels: Path, images: int, seed: int) -> None:
    """Fill the official folder ``root`` (empty) and ``labels``, see `iqa_datasets.testing.make_fake`."""
    rng = np.random.default_rng(seed)
    # As in the original: numbers without order, BMP first, then JPG; two of them hold the same picture.
    twin, first = next(iter(SAME_CONTENT.items()))
    half = images // 2
    names = [f"{100 + number}.bmp" for number in range(half)] + [
        f"{600 + number}.JPG" for number in range(images - half)
    ]
    names[1], names[2] = first, twin
    kinds = [list(DAMAGES)[row % len(DAMAGES)] for row in range(images)]
    scenes = [list(DRAWINGS)[number % len(DRAWINGS)] for number in rng.permutation(images)]
    # Severities are spread evenly within each kind, so that none is only mild or only bad.
    severity = np.empty(images)
    for kind in DAMAGES:
        rows = [row for row in range(images) if kinds[row] == kind]
        severity[rows] = rng.permutation(np.linspace(0.08, 1.0, len(rows)))
    severity[[row for row in range(images) if kinds[row] == "other realistic"]] *= 0.15
    mos = (82.0 - 70.0 * severity + rng.normal(0, 2.0, images)).clip(3.0, 93.0)
    scenes[2], severity[2], mos[2] = scenes[1], severity[1], mos[1] - 0.9

    (root / "Images" / "trainingImages").mkdir(parents=True)
    for row, name in enumerate(names):
        height, width = _SIZES[row % len(_SIZES)]
        pixels = damage(draw(scenes[row], height, width, rng), kinds[row], float(severity[row]), rng)
        if name == twin:
            Image.open(root / "Images" / first).save(root / "Images" / twin)
        else:
            _save(pixels, root / "Images" / name)
    for name in TRAINING_IMAGES:
        _save(draw("landscape", 64, 64, rng), root / "Images" / "trainingImages" / name)

    everything = [*TRAINING_IMAGES, *names]
    cells = np.empty((len(everything), 1), dtype=object)
    cells[:, 0] = everything
    scores = np.concatenate([rng.uniform(20, 80, len(TRAINING_IMAGES)), mos])[None, :]
    deviations = rng.uniform(13, 23, (1, len(everything)))
    for stem, array in (("AllImages", cells), ("AllMOS", scores), ("AllStdDev", deviations)):
        _save_mat(root / "Data" / f"{stem}_release.mat", f"{stem}_release", array)
    (root / "README.txt").write_text(
        f"Not {CARD.title}: a made-up data set in its layout,\nwritten by iqa_datasets.testing.make_fake.\n",
        encoding="utf-8",
    )

    lines = []
    for row, name in enumerate(names):
        second = "plant" if scenes[row] == "landscape" else "invalid"
        fields = [f"Images/{name}", str(round(float(mos[row]), 6)), kinds[row], scenes[row], second, "invalid"]
        lines.append("\t".join(fields) + "\n")
    cuts = (round(0.7 * images), round(0.7 * images) + round(0.1 * images))
    for session in SESSIONS:
        order = rng.permutation(images)
        if session == 1:
            # The twins stand on both sides of the first session, as they do in the original.
            order = np.concatenate([[2], order[(order != 1) & (order != 2)], [1]])
        folder = labels / "IQA_Database" / FOLDER / "splits2" / str(session)
        folder.mkdir(parents=True)
        for part, members in zip(PARTS, np.split(order, cuts), strict=True):
            text = "".join(lines[row] for row in members)
            (folder / f"clive_{part}_clip.txt").write_text(text, encoding="utf-8", newline="\n")


def _save(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float64]], path: Path) -> None:
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(path, quality=95)


def _save_mat(path: Path, variable: str, array: object) -> None:
    path.parent.mkdir(exist_ok=True)
    scipy.io.savemat(path, {variable: array}, do_compression=True)
    with path.open("r+b") as file:
        # scipy writes the time into the text of the header; without it the same seed gives the same bytes.
        file.write(b"MATLAB 5.0 MAT-file, written by iqa_datasets.testing".ljust(116))
