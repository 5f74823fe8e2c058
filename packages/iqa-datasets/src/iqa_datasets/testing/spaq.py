"""A made-up SPAQ folder: Excel workbooks of scores and of scenes, and photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.spaq import CARD, SCENES_FILE, SCORES_FILE
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on
from iqa_datasets.testing.workbooks import write_xlsx
from iqa_datasets.vocabulary import SCENES

_ATTRIBUTES: Final = ("Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness")


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return [
        FakeImage(
            file=f"TestImage/{row + 1:05d}.jpg",
            reference=None,
            score=score_on(CARD.scale, quality, 2),
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
    scores: list[list[object]] = [["Image name", "MOS", *_ATTRIBUTES]]
    scenes: list[list[object]] = [["Image name", *(scene.capitalize() for scene in SCENES)]]
    for image in images:
        name = image.file.split("/")[1]
        # Something of each attribute's own: they fall as the damage grows, each from another start.
        rated = [round(95.0 - 10 * number - 40 * image.severity, 2) for number in range(len(_ATTRIBUTES))]
        scores.append([name, image.score, *rated])
        scenes.append([name, *(int(scene.startswith(image.scene)) for scene in SCENES)])
    write_xlsx(root / SCORES_FILE, {"Sheet1": scores})
    write_xlsx(root / SCENES_FILE, {"Sheet1": scenes})


LAYOUT: Final = Layout(_plan, _write_labels)
