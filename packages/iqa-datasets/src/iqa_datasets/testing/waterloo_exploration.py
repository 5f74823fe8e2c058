"""A made-up Waterloo Exploration folder: pristine and distorted pictures, and no label files at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.waterloo_exploration import TYPES
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    # Each reference is a row, too, beside its 4 × 5 distortions.
    references = max(3, -(-images // 21))
    cells = plan_grid(images - references, rng, references=references, distortions=len(TYPES), levels=5)
    scenes = {f"pristine_images/{cell.reference + 1:05d}.bmp": cell.scene for cell in cells}
    planned = [
        FakeImage(
            file=file,
            reference=None,
            score=None,
            std=None,
            ratings=None,
            distortion=None,
            level=None,
            damage="others",
            severity=0.0,
            scene=scene,
        )
        for file, scene in sorted(scenes.items())
    ]
    for cell in cells:
        name, distortion = TYPES[str(cell.distortion + 1)]
        number = f"{cell.reference + 1:05d}"
        planned.append(
            FakeImage(
                file=f"distorted_images/{name}/{number}_{cell.distortion + 1}_{cell.level}.png",
                reference=f"pristine_images/{number}.bmp",
                score=None,
                std=None,
                ratings=None,
                distortion=name,
                level=cell.level,
                damage=distortion,
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    # The loader lists files as they are named.
    return sorted(planned, key=lambda image: (image.reference is not None, image.file))


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    """Write nothing: the data set has no label files."""


LAYOUT: Final = Layout(_plan, _write_labels)
