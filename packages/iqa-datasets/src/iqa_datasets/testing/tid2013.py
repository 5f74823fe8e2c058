"""A made-up TID2013 folder: text files joined by position, names in mixed case."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.cards import DatasetCard
from iqa_datasets.loaders.tampere import TYPES, TampereType
from iqa_datasets.loaders.tid2013 import CARD
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_text


def plan_tampere(
    card: DatasetCard, types: Sequence[TampereType], levels: int, images: int, rng: np.random.Generator
) -> list[FakeImage]:
    """Plan a made-up TID2008 or TID2013."""
    planned = []
    for cell in plan_grid(images, rng, references=25, distortions=len(types), levels=levels):
        kind = types[cell.distortion]
        planned.append(
            FakeImage(
                file=f"distorted_images/i{cell.reference + 1:02d}_{cell.distortion + 1:02d}_{cell.level}.bmp",
                reference=f"reference_images/I{cell.reference + 1:02d}.BMP",
                score=score_on(card.scale, cell.quality, 5),
                std=round(float(rng.uniform(0.05, 0.3)), 5),
                ratings=None,
                distortion=kind.name,
                level=cell.level,
                damage=kind.distortion,
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return planned


def write_tampere_labels(root: Path, images: Sequence[FakeImage]) -> None:
    """Write the label files of a made-up TID2008 or TID2013."""
    lines, deviations = [], []
    for image in images:
        name = image.file.split("/")[1]
        # As in the original, the case of some names is not that of the files.
        lines.append(f"{image.score} {name.upper() if image.level == 1 else name}")
        deviations.append(str(image.std))
    write_text(root / "mos_with_names.txt", lines)
    write_text(root / "mos_std.txt", deviations)


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return plan_tampere(CARD, TYPES, 5, images, rng)


LAYOUT: Final = Layout(_plan, write_tampere_labels)
