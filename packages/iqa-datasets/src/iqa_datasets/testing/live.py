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
        copied = str((rows or images)[0].reference).split("/")[1]
        names: list[str] = []
        listed: list[FakeImage | None] = [*rows] or [None]
        for image in listed:
            # Numbers that no image has are those of copies of references.
            number = 2 if image is None else int(image.file.split("img")[1].removesuffix(".bmp"))
            while len(names) < number - 1:
                names.append(f"{copied} img{len(names) + 1}.bmp 0")
                references.append(copied)
                scores.append(0.0)
                deviations.append(0.0)
                pristine.append(1.0)
            if image is not None:
                reference = str(image.reference).split("/")[1]
                names.append(f"{reference} img{number}.bmp 1")
                references.append(reference)
                scores.append(image.score)
                deviations.append(image.std)
                pristine.append(0.0)
        if not (root / kind / "info.txt").exists():
            # It belongs to the pictures, and stays when tests damage the scores.
            write_text(root / kind / "info.txt", names)
    write_mat(root / "refnames_all.mat", refnames_all=references)
    write_mat(root / "dmos_realigned.mat", dmos_new=scores, dmos_std=deviations, orgs=pristine)


def _write_more(root: Path, images: Sequence[FakeImage], _: np.random.Generator) -> None:
    for kind in FOLDERS:
        rows = [image for image in images if image.distortion == kind]
        (root / kind).mkdir(exist_ok=True)
        copyfile(root / str((rows or images)[0].reference), root / kind / "img1.bmp")


LAYOUT: Final = Layout(_plan, _write_labels, _write_more)
