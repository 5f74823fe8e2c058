"""A made-up PIQ23 folder: a CSV file of scores for one attribute, those of the splits, and images of a few scenes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.piq23 import CARD_OVERALL, DEVICE_SPLIT, SCENE_SPLIT
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on, write_text

_SCENES: Final = ("Indoor_Scene_0", "Lowlight_Scene_14", "Night_Scene_28", "Outdoor_Scene_35")
_TEST: Final = "Night_Scene_28"
_TITLES: Final = (
    "IMAGE PATH,JOD,JOD STD,CI LOW,CI HIGH,CI RANGE,QUALITY LEVEL,CLUSTER,TOTAL COMPARISONS,IMAGE,SCENE,ATTRIBUTE,"
    "SCENE IDX,CONDITION"
)


def _plan(images: int, rng: np.random.Generator, attribute: str) -> list[FakeImage]:
    planned = []
    for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng)):
        shown = _SCENES[row * len(_SCENES) // images]
        planned.append(
            FakeImage(
                file=f"{attribute}/{row}_{shown}.{'tiff' if row % 7 == 6 else 'jpg'}",
                reference=None,
                score=score_on(CARD_OVERALL.scale, quality, 9),
                std=round(float(rng.uniform(0.3, 0.9)), 9),
                ratings=None,
                distortion=None,
                level=None,
                damage=fault,
                severity=severity,
                scene=scene,
                part="test" if shown == _TEST else "train",
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage], attribute: str) -> None:
    scores = [_TITLES]
    devices = ["IMAGE,SPLIT"]
    for row, image in enumerate(images):
        name = image.file.split("/")[1]
        scene = name.split("_", 1)[1].rpartition(".")[0]
        scores.append(
            f"{attribute}\\{name},{image.score},{image.std},-1,1,2,0,-1.0,{100 + row}.0,{name},{scene},{attribute},"
            f"{scene.rpartition('_')[2]},{scene.split('_')[0]}"
        )
        devices.append(f"{name},{'Test' if row % 3 == 0 else 'Train'}")
    write_text(root / f"Scores_{attribute}.csv", scores)
    scenes = [f"{scene},{'Test' if scene == _TEST else 'Train'},{len(images)}" for scene in _SCENES]
    write_text(root / "Test split" / SCENE_SPLIT, ["SCENE,SPLIT,NB IMAGES", *scenes])
    write_text(root / "Test split" / DEVICE_SPLIT, devices)


def layout(attribute: str) -> Layout:
    """Return the layout of one of the three attributes."""
    return Layout(partial(_plan, attribute=attribute), partial(_write_labels, attribute=attribute))


LAYOUT: Final = layout("Overall")
