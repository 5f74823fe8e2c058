"""A made-up VCL@FER folder: an Excel sheet of images and scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.vcl_fer import CARD, DISTORTION_TYPES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on
from iqa_datasets.testing.workbooks import write_xlsx


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    types = list(DISTORTION_TYPES.items())
    planned = []
    for cell in plan_grid(images, rng, references=23, distortions=len(types), levels=6):
        letters, (published, damage, suffix) = types[cell.distortion]
        planned.append(
            FakeImage(
                file=f"vcl_fer/IMG_{cell.reference + 1:02}_{letters}_{cell.level}{suffix}",
                reference=f"vcl_fer/IMG_{cell.reference + 1:02}.bmp",
                score=score_on(CARD.scale, cell.quality, 4),
                std=None,
                ratings=None,
                distortion=published,
                level=cell.level,
                damage=damage,
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    rows = [("image", "mos"), *((image.file.split("/")[1].split(".")[0], image.score) for image in images)]
    write_xlsx(root / "results.xlsx", {"MOS": rows})


LAYOUT: Final = Layout(_plan, _write_labels)
