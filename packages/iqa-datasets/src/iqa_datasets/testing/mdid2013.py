"""A made-up MDID2013 folder: a MATLAB vector joined by position to numbered images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.mdid2013 import CARD, DISTORTION_NAME
from iqa_datasets.testing.layouts import FakeImage, Layout, score_on, write_mat
from iqa_datasets.testing.photographs import DRAWINGS

_REFERENCES: Final = 12


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    # As many for each of the twelve references.
    each = max(1, round(images / _REFERENCES))
    planned = []
    for row in range(_REFERENCES * each):
        reference = row // each + 1
        severity = float(rng.uniform(0.1, 1.0))
        planned.append(
            FakeImage(
                file=f"MDID2013/img{row + 1:03}.png",
                reference=f"MDID2013/org{reference:03}.png",
                score=score_on(CARD.scale, 4.6 - 3.3 * severity, 5),
                std=None,
                ratings=None,
                distortion=DISTORTION_NAME,
                level=None,
                damage="others",
                severity=severity,
                scene=list(DRAWINGS)[reference % len(DRAWINGS)],
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    write_mat(root / "MDID_dmos.mat", MDID_dmos=[image.score for image in images])


LAYOUT: Final = Layout(_plan, _write_labels)
