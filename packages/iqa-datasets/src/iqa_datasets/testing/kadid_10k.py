"""A made-up KADID-10k folder: one CSV file, pictures and references in one folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.kadid_10k import CARD, TYPES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_text
from iqa_datasets.vocabulary import distortion_class


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for cell in plan_grid(images, rng, references=81, distortions=len(TYPES), levels=5):
        name, liqe = TYPES[cell.distortion]
        reference = f"I{cell.reference + 1:02d}"
        planned.append(
            FakeImage(
                file=f"images/{reference}_{cell.distortion + 1:02d}_{cell.level:02d}.png",
                reference=f"images/{reference}.png",
                score=score_on(CARD.scale, cell.quality, 2),
                std=round(float(rng.uniform(0.1, 1.1)), 3),
                ratings=None,
                distortion=name,
                level=cell.level,
                damage=distortion_class(liqe),
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    lines = ["dist_img,ref_img,dmos,var"]
    for image in images:
        name, reference = image.file.split("/")[1], str(image.reference).split("/")[1]
        # The column of the standard deviation is called var.
        lines.append(f"{name},{reference},{image.score},{image.std}")
    write_text(root / "dmos.csv", lines)


LAYOUT: Final = Layout(_plan, _write_labels)
