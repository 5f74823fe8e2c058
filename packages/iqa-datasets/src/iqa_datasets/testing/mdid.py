"""A made-up MDID folder: two text files, a number a line, joined by position to numbered images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.mdid import CARD, DISTORTION_NAME
from iqa_datasets.testing.layouts import FakeImage, Layout, score_on, write_text
from iqa_datasets.testing.photographs import DRAWINGS


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    # Every reference has as many images: the first number of references from three on that divides them.
    references = next((number for number in range(3, 21) if images % number == 0), 3)
    each = images // references
    planned = []
    for row in range(references * each):
        reference, number = row // each + 1, row % each + 1
        severity = float(rng.uniform(0.1, 1.0))
        planned.append(
            FakeImage(
                file=f"distortion_images/img{reference:02}_{number:02}.bmp",
                reference=f"reference_images/img{reference:02}.bmp",
                score=score_on(CARD.scale, 4.6 - 3.3 * severity, 4),
                std=round(float(rng.uniform(0.3, 1.2)), 4),
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
    # An empty line, which a test may write, would not be an entry.
    write_text(root / "mos.txt", ("-" if image.score == "" else str(image.score) for image in images))
    write_text(root / "mos_std.txt", (str(image.std) for image in images))


LAYOUT: Final = Layout(_plan, _write_labels)
