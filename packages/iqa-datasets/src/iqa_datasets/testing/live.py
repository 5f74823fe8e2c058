"""A made-up LIVE Release 2 folder: MATLAB vectors joined by position, over five folders with copies of references."""

from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile
from typing import Final

import numpy as np

from iqa_datasets.loaders.live import _CLASSES, CARD, FOLDERS
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_mat, write_text

_REFERENCES: Final = ("bikes.bmp", "caps.bmp", "monarch.bmp", "ocean.bmp", "plane.bmp", "rapids.bmp", "womanhat.bmp")


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    cells = plan_grid(images, rng, references=len(_REFERENCES), distortions=len(FOLDERS), levels=5)
    planned = []
    for number, kind in enumerate(FOLDERS):
        for position, cell in enumerate((cell for cell in cells if cell.distortion == number), start=1):
            planned.append(
                FakeImage(
                    # The first image of each folder is a copy of a reference.
                    file=f"{kind}/img{position + 1}.bmp",
                    reference=f"refimgs/{_REFERENCES[cell.reference]}",
                    score=score_on(CARD.scale, cell.quality, 9),
                    std=round(float(rng.uniform(1.1, 5.3)), 9),
                    ratings=None,
                    distortion=kind,
                    level=None,
                    damage=_CLASSES[kind],
                    severity=cell.severity,
                    scene=cell.scene,
                )
            )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    references: list[object] = []
    scores: list[object] = []
    deviations: list[object] = []
    pristine: list[object] = []
    for kind in FOLDERS:
        rows = [image for image in images if image.distortion == kind]
        first = str((rows or images)[0].reference).split("/")[1]
        references += [first, *(str(image.reference).split("/")[1] for image in rows)]
        scores += [0.0, *(image.score for image in rows)]
        deviations += [0.0, *(image.std for image in rows)]
        pristine += [1.0, *(0.0 for _ in rows)]
        if not (root / kind / "info.txt").exists():
            # Part of the pictures, not of the scores: it stays when tests damage those.
            names = [f"{first} img1.bmp 0"]
            names += [f"{str(image.reference).split('/')[1]} {image.file.split('/')[1]} 1" for image in rows]
            write_text(root / kind / "info.txt", names)
    write_mat(root / "refnames_all.mat", refnames_all=references)
    write_mat(root / "dmos_realigned.mat", dmos_new=scores, dmos_std=deviations, orgs=pristine)


def _write_more(root: Path, images: Sequence[FakeImage], _: np.random.Generator) -> None:
    for kind in FOLDERS:
        rows = [image for image in images if image.distortion == kind]
        (root / kind).mkdir(exist_ok=True)
        copyfile(root / str((rows or images)[0].reference), root / kind / "img1.bmp")


LAYOUT: Final = Layout(_plan, _write_labels, _write_more)
