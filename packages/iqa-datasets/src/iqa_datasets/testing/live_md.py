"""A made-up LIVE Multiply Distorted folder: two parts, each with MATLAB lists of images and of scores."""

from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.live_md import CARD, CLASSES, PARTS
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_mat

_REFERENCES: Final = ("babygirl", "bikerace", "cows", "elephant", "iceroad", "lakebuilding", "lunch", "market")
# Blurred images lie in both parts of the original; here in the first, so that no two images are the same.
_KINDS: Final = (
    ("Part 1", ("blur",)),
    ("Part 1", ("blur", "jpeg")),
    ("Part 1", ("jpeg",)),
    ("Part 2", ("blur", "noise")),
    ("Part 2", ("noise",)),
)


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    assert CARD.scale is not None  # noqa: S101 - for the type checker
    planned = []
    for cell in plan_grid(images, rng, references=len(_REFERENCES), distortions=len(_KINDS), levels=3):
        part, applied = _KINDS[cell.distortion]
        reference = _REFERENCES[cell.reference]
        distortion = " + ".join(applied)
        half_range = round(float(rng.uniform(1, 10)), 3)
        planned.append(
            FakeImage(
                file=f"{part}/{PARTS[part]}/{'_'.join([reference, *(f'{kind}{cell.level}' for kind in applied)])}.bmp",
                reference=f"Part 1/{PARTS['Part 1']}/{reference}.bmp",
                score=score_on(CARD.scale, cell.quality, 4),
                # Of two ratings, half a range above and below the score.
                std=half_range * sqrt(2),
                ratings=2,
                distortion=distortion,
                level=cell.level if len(applied) == 1 else None,
                damage=CLASSES.get(distortion, "others"),
                severity=cell.severity,
                scene=cell.scene,
            )
        )
    return sorted(planned, key=lambda image: image.file.split("/")[0])


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    originals = sorted({image.reference.split("/")[-1] for image in images if image.reference is not None})
    for part in PARTS:
        rows = [image for image in images if image.file.startswith(part)]
        shown = [image.reference.split("/")[-1] for image in rows if image.reference is not None]
        write_mat(
            root / part / "Imagelists.mat",
            distimgs=[image.file.split("/")[-1] for image in rows],
            refimgs=originals,
            ref4dist=[originals.index(name) + 1 for name in shown],
        )
        scores = [image.score for image in rows]
        middles = np.array([score if isinstance(score, int | float) else 0.0 for score in scores], dtype=np.float64)
        half_ranges = np.array([image.std for image in rows], dtype=np.float64) / sqrt(2)
        write_mat(
            root / part / "Scores.mat",
            DMOSscores=scores,
            dist_diffscores=np.stack([middles - half_ranges, middles + half_ranges]),
        )


def _write_more(root: Path, images: Sequence[FakeImage], _: np.random.Generator) -> None:
    """Put the references, which are written in the first part, into the second too."""
    folder = root / "Part 2" / PARTS["Part 2"]
    folder.mkdir(parents=True, exist_ok=True)
    for reference in sorted({image.reference for image in images if image.reference is not None}):
        (folder / reference.split("/")[-1]).write_bytes((root / reference).read_bytes())


LAYOUT: Final = Layout(_plan, _write_labels, _write_more)
