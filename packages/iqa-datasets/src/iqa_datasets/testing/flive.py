"""A made-up FLIVE folder: CSV files of scores and of the split, and photographs in three folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.flive import CARD, LABELS, TEST, TRAINING
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on, write_text

_NAMES: Final = (
    "voc_emotic_ava/AVA__{}.jpg",
    "voc_emotic_ava/EMOTIC__{}.jpg",
    "blur_dataset/motion{}.jpg",
    "EE371R/rq{}.jpg",
)


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return [
        FakeImage(
            file="database/" + _NAMES[row % len(_NAMES)].format(1000 + row),
            reference=None,
            score=score_on(CARD.scale, quality, 6),
            std=None,
            ratings=None,
            distortion=None,
            level=None,
            damage=fault,
            severity=severity,
            scene=scene,
            part=("train", "train", "train", "val", "test")[row % 5],
        )
        for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng))
    ]


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    names = [image.file.removeprefix("database/") for image in images]
    write_text(
        root / LABELS, ["name,mos", *(f"{name},{image.score}" for name, image in zip(names, images, strict=True))]
    )
    test, training = ["mos_image,name_image"], ["mos_image,name_image,is_valid"]
    for name, image in zip(names, images, strict=True):
        if image.part == "test":
            test.append(f"{image.score},{name}")
        else:
            training.append(f"{image.score},{name},{image.part == 'val'}")
    write_text(root / TEST, test)
    write_text(root / TRAINING, training)


LAYOUT: Final = Layout(_plan, _write_labels)
