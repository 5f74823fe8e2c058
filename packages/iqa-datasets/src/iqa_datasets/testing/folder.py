"""A made-up folder of one's own: photographs, their originals, a CSV file, and the declaration of its columns."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.cards import QualityScale
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_grid, score_on, write_text
from iqa_datasets.vocabulary import PARTS

_SCALE: Final = QualityScale(1, 5)
# Names of distortions as a person might write them -> what the declaration says they stand for.
_OWN_NAMES: Final = {"soft": "gaussian blur", "grainy": "noise"}
# The class of each; the last two are words that need no declaration: a name of LIQE's and a class.
_CLASSES: Final = {"soft": "blur", "grainy": "noise", "jpeg compression": "JPEG compression", "contrast": "contrast"}
_DRAWN_AS: Final = {"night": "night scene"}
_DECLARATION: Final = (
    'title = "Made-up photographs"',
    'licence = "None: drawn by iqa_datasets.testing."',
    'labels = "labels.csv"',
    'images = "photos"',
    'references = "originals"',
    'scene_separator = ";"',
    "",
    "[columns]",
    'image = "file"',
    'score = "mos"',
    'std = "sd"',
    'ratings = "votes"',
    'reference = "original"',
    'distortion = "fault"',
    'level = "step"',
    'scenes = "scene"',
    'part = "split"',
    "",
    "[score]",
    f"low = {_SCALE.low}",
    f"high = {_SCALE.high}",
    'better = "higher"',
    "",
    "[distortions]",
    *(f'"{own}" = "{known}"' for own, known in _OWN_NAMES.items()),
)


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    names = list(_CLASSES)
    return [
        FakeImage(
            file=f"photos/{cell.reference + 1:02}-{names[cell.distortion].split()[0]}-{cell.level}.png",
            reference=f"originals/{cell.reference + 1:02}.png",
            score=score_on(_SCALE, cell.quality, 2),
            std=round(float(rng.uniform(0.4, 1.1)), 2),
            ratings=int(rng.integers(12, 30)),
            distortion=names[cell.distortion],
            level=cell.level,
            damage=_CLASSES[names[cell.distortion]],
            severity=cell.severity,
            scene=cell.scene,
            part=PARTS[min(cell.reference, 2)],
        )
        for cell in plan_grid(images, rng, references=40, distortions=len(names), levels=3)
    ]


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    write_text(root / "iqa-dataset.toml", _DECLARATION)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("file", "mos", "sd", "votes", "original", "fault", "step", "scene", "split"))
    for image in images:
        scene = _DRAWN_AS.get(image.scene, image.scene)
        name, original = (path and path.split("/")[1] for path in (image.file, image.reference))
        writer.writerow(
            (name, image.score, image.std, image.ratings, original, image.distortion, image.level, scene, image.part)
        )
    write_text(root / "labels.csv", table.getvalue().splitlines())


LAYOUT: Final = Layout(_plan, _write_labels)
