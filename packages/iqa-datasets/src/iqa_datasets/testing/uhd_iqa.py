"""A made-up UHD-IQA folder: a CSV file of scores, sets and popularity, and photographs in a folder for each set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.uhd_iqa import CARD, FOLDERS, LABELS, POPULARITY
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on, write_text


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng)):
        part = ("train", "train", "train", "val", "test")[row % 5]
        planned.append(
            FakeImage(
                file=f"{FOLDERS[part]}/{row + 1}.jpg",
                reference=None,
                score=score_on(CARD.scale, quality, 6),
                std=None,
                ratings=20,
                distortion=None,
                level=None,
                damage=fault,
                severity=severity,
                scene=scene,
                part=part,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    lines = [f"image_name,quality_mos,set,subset,orig_width,orig_height,{','.join(POPULARITY)}"]
    for image in images:
        folder, name = image.file.split("/")
        subset = "" if image.part == "train" else "exclusive"
        popular = ",".join(str(1000 + len(lines) * number) for number in range(len(POPULARITY)))
        lines.append(f"{name},{image.score},{folder},{subset},3840,2160,{popular}")
    write_text(root / LABELS, lines)


LAYOUT: Final = Layout(_plan, _write_labels)
