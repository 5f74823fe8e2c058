"""A made-up CSIQ folder: an Excel workbook with the scores by image, and a folder for each distortion."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.csiq import CARD, TYPES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on
from iqa_datasets.testing.workbooks import write_xlsx
from iqa_datasets.vocabulary import distortion_class

_IMAGES: Final = ("1600", "aerial_city", "boston", "bridge", "butter_flower", "cactus", "child_swimming", "couple")
_TITLES: Final = ("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")
_NUMBERS: Final = {kind: number for number, kind in enumerate(TYPES, start=1)}


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for cell in plan_grid(images, rng, references=len(_IMAGES), distortions=len(TYPES), levels=5):
        kind = list(TYPES)[cell.distortion]
        folder, word, liqe = TYPES[kind]
        image = _IMAGES[cell.reference]
        planned.append(
            FakeImage(
                file=f"dst_imgs/{folder}/{image}.{word}.{cell.level}.png",
                reference=f"src_imgs/{image}.png",
                score=score_on(CARD.scale, cell.quality, 6),
                std=round(float(rng.uniform(0.01, 0.3)), 6),
                ratings=None,
                distortion=kind,
                level=cell.level,
                damage=distortion_class(liqe),
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    # As in the original, the table begins in row 4 and column D, and 1600 is a number.
    rows: list[list[object]] = [["all by image"], [], [], [None, None, None, *_TITLES]]
    for image in images:
        name = str(image.reference).split("/")[1].removesuffix(".png")
        kind = str(image.distortion)
        rows.append(
            [
                *(None, None, None),
                int(name) if name.isdigit() else name,
                _NUMBERS[kind],
                kind,
                image.level,
                image.std,
                image.score,
            ]
        )
    write_xlsx(root / "csiq.DMOS.xlsx", {"all_by_image": rows, "all_by_distortion": [["not read"]]})


LAYOUT: Final = Layout(_plan, _write_labels)
