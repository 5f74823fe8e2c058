"""A made-up CID:IQ folder: a MATLAB vector of scores for each distance, joined by position to images on a grid."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.cidiq import CARD_50, DISTORTION_TYPES, LEVELS
from iqa_datasets.testing.layouts import FakeImage, Layout, score_on, write_mat
from iqa_datasets.testing.photographs import DRAWINGS

_REFERENCES: Final = 3


def plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    """Plan the first so many images in the official order, of three references or, if these do not suffice, more."""
    assert CARD_50.scale is not None  # noqa: S101 - for the type checker
    references = max(_REFERENCES, -(-images // (len(DISTORTION_TYPES) * len(LEVELS))))
    cells = (
        (number, folder, reference, level)
        for number, folder in enumerate(DISTORTION_TYPES, start=1)
        for reference in range(1, references + 1)
        for level in LEVELS
    )
    planned = []
    for number, folder, reference, level in islice(cells, images):
        severity = level / len(LEVELS)
        quality = 4.6 - 3.3 * severity + float(rng.uniform(-0.1, 0.1))
        planned.append(
            FakeImage(
                file=f"Images/Reproduction/{folder}/final{reference:02}_d{number}_l{level}.bmp",
                reference=f"Images/Original/final{reference:02}.bmp",
                score=score_on(CARD_50.scale, quality, 2),
                std=None,
                ratings=None,
                distortion=DISTORTION_TYPES[folder][0],
                level=level,
                damage=DISTORTION_TYPES[folder][1],
                severity=severity,
                scene=list(DRAWINGS)[reference % len(DRAWINGS)],
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    write_mat(root / "MOS50.mat", MOS50=[image.score for image in images])


LAYOUT: Final = Layout(plan, _write_labels)
