"""A made-up training part of PIPAL: a text file of scores for each reference, pictures over several folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.pipal import CARD
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_text


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for cell in plan_grid(images, rng, references=200, distortions=7, levels=24):
        reference = f"A{cell.reference + 1:04d}"
        planned.append(
            FakeImage(
                # As in the original, references are shared out among the folders in order.
                file=f"Distortion_{1 + cell.reference % 4}/{reference}_{cell.distortion:02d}_{cell.level - 1:02d}.bmp",
                reference=f"Train_Ref/{reference}.bmp",
                score=score_on(CARD.scale, cell.quality, 4),
                std=None,
                ratings=None,
                distortion=f"{cell.distortion:02d}",
                level=None,
                damage="others",
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    lines: dict[str, list[str]] = {}
    for image in images:
        name = image.file.split("/")[1]
        lines.setdefault(name[:5], []).append(f"{name},{image.score}")
    for reference, own in lines.items():
        write_text(root / "Train_Label" / f"{reference}.txt", own)


LAYOUT: Final = Layout(_plan, _write_labels)
