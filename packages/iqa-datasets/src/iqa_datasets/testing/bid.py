"""A made-up BID folder: an Excel workbook of grades, and numbered photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.bid import CARD
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on
from iqa_datasets.testing.workbooks import write_xlsx


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return [
        FakeImage(
            file=f"ImageDatabase/DatabaseImage{2 * row + 1:04d}.JPG",
            reference=None,
            score=score_on(CARD.scale, quality, 6),
            std=None,
            ratings=None,
            distortion=None,
            level=None,
            damage=fault,
            severity=severity,
            scene=scene,
        )
        for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng))
    ]


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    rows: list[list[object]] = [["Image Number", "Average Subjective Grade"]]
    rows += [[int(image.file[-8:-4]), image.score] for image in images]
    write_xlsx(root / "DatabaseGrades.xlsx", {"Plan1": rows})


LAYOUT: Final = Layout(_plan, _write_labels)
