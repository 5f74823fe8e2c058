"""A made-up TID2008 folder: text files of scores and names, and of deviations, joined by position."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.tid2008 import CARD, DISTORTION_TYPES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_text


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    deviations = rng.spawn(1)[0]
    return [
        FakeImage(
            # As in the original, some names start with a capital.
            file=f"distorted_images/{'Ii'[cell.level % 2]}{cell.reference + 1:02}_{cell.distortion + 1:02}_{cell.level}.bmp",
            reference=f"reference_images/I{cell.reference + 1:02}.BMP",
            score=score_on(CARD.scale, cell.quality, 4),
            std=round(float(deviations.uniform(0.05, 0.25)), 4),
            ratings=None,
            distortion=DISTORTION_TYPES[cell.distortion + 1][0],
            level=cell.level,
            damage=DISTORTION_TYPES[cell.distortion + 1][1],
            severity=cell.severity,
            scene=cell.scene,
        )
        for cell in plan_grid(images, rng, references=25, distortions=len(DISTORTION_TYPES), levels=4)
    ]


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    # Between blanks, a score that a test leaves empty would not be there at all.
    write_text(
        root / "mos_with_names.txt",
        (f"{'-' if image.score == '' else image.score} {image.file.split('/')[1]}" for image in images),
    )
    write_text(root / "mos_std.txt", (str(image.std) for image in images))


LAYOUT: Final = Layout(_plan, _write_labels)
