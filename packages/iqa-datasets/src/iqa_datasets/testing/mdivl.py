"""A made-up MDIVL folder: an Excel sheet of images and scores, and strengths of distortions in the file names."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.mdivl import CARD, DISTORTION_NAMES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on
from iqa_datasets.testing.workbooks import write_xlsx

_REFERENCES: Final = ("baby", "bus", "candies", "chianti", "dancers1", "home", "manikin", "metro", "mountain", "snow")
_BLURS: Final = ("0.001", "0.66", "1.33", "2", "2.66", "3.33", "4")
_NOISES: Final = ("1", "2", "3", "4", "5", "6", "8", "10", "12", "14")
_KINDS: Final = (
    *(("blur", strength, quality) for strength, quality in product(_BLURS, (100, 50, 30, 20, 10))),
    *(("noise", strength, quality) for strength, quality in product(_NOISES, (100, 50, 30, 10))),
)


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    planned = []
    # Far apart in the list of kinds, so that a few images have both pairs of distortions.
    for cell in plan_grid(images, rng, references=len(_REFERENCES), distortions=len(_KINDS), levels=1):
        kind, strength, quality = _KINDS[cell.distortion * 31 % len(_KINDS)]
        severity = 1 - quality / 101
        planned.append(
            FakeImage(
                file=f"Data_{kind.capitalize()}_JPEG/{_REFERENCES[cell.reference]}_{kind}_{strength}_jpg_{quality}.jpg",
                reference=f"MD_IVLreference/OCEreferenceMD/{_REFERENCES[cell.reference]}.png",
                score=score_on(CARD.scale, 4.6 - 3.3 * severity, 4),
                std=None,
                ratings=None,
                distortion=DISTORTION_NAMES[kind],
                level=None,
                damage="others",
                severity=severity,
                scene=cell.scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    rows = [("image", "mos"), *((image.file.split("/")[1], image.score) for image in images)]
    write_xlsx(root / "MDIVL.xlsx", {"MOS": rows})


LAYOUT: Final = Layout(_plan, _write_labels)
