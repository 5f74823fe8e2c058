"""A made-up LIVE In the Wild folder: three MATLAB vectors joined by position, the training images first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.live_challenge import SAME_CONTENT, TRAINING_IMAGES
from iqa_datasets.testing.layouts import AUTHENTIC, FakeImage, Layout, write_mat
from iqa_datasets.testing.photographs import DRAWINGS, draw, save_picture

_TWIN, _FIRST = next((f"Images/{twin}", f"Images/{first}") for twin, first in SAME_CONTENT.items())


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    # As in the original: numbers without order, BMP first, then JPG; two of them hold the same picture.
    half = images // 2
    files = [f"Images/{100 + number}.bmp" for number in range(half)] + [
        f"Images/{600 + number}.JPG" for number in range(images - half)
    ]
    files[1], files[2] = _FIRST, _TWIN
    kinds = [list(AUTHENTIC)[row % len(AUTHENTIC)] for row in range(images)]
    scenes = [list(DRAWINGS)[number % len(DRAWINGS)] for number in rng.permutation(images)]
    # Severities are spread evenly within each kind, so that none is only mild or only bad.
    severity = np.empty(images)
    for kind in AUTHENTIC:
        rows = [row for row in range(images) if kinds[row] == kind]
        severity[rows] = rng.permutation(np.linspace(0.08, 1.0, len(rows)))
    severity[[row for row in range(images) if kinds[row] == "others"]] *= 0.15
    mos = (82.0 - 70.0 * severity + rng.normal(0, 2.0, images)).clip(3.0, 93.0)
    scenes[2], severity[2], mos[2] = scenes[1], severity[1], mos[1] - 0.9
    deviations = rng.spawn(1)[0].uniform(13, 23, images)
    return [
        FakeImage(
            file=files[row],
            reference=None,
            score=float(mos[row]),
            std=float(deviations[row]),
            ratings=None,
            distortion=None,
            level=None,
            damage=kinds[row],
            severity=float(severity[row]),
            scene=scenes[row],
        )
        for row in range(images)
    ]


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    names = [*TRAINING_IMAGES, *(image.file.split("/")[1] for image in images)]
    scores = [*(50.0 + number for number in range(len(TRAINING_IMAGES))), *(image.score for image in images)]
    deviations = [*(18.0 for _ in TRAINING_IMAGES), *(image.std for image in images)]
    for stem, values in (("AllImages", names), ("AllMOS", scores), ("AllStdDev", deviations)):
        write_mat(root / "Data" / f"{stem}_release.mat", **{f"{stem}_release": values})


def _write_more(root: Path, images: Sequence[FakeImage], rng: np.random.Generator) -> None:
    for name in TRAINING_IMAGES:
        save_picture(draw("landscape", 64, 64, rng), root / "Images" / "trainingImages" / name)
    # Sessions are drawn next. They stay those of earlier versions, which drew scores here, for whoever relies on them.
    rng.uniform(size=len(images) + 2 * len(TRAINING_IMAGES))


LAYOUT: Final = Layout(_plan, _write_labels, _write_more, twins=(_FIRST, _TWIN))
