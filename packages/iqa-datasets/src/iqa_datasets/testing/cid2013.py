"""A made-up CID2013 folder: an Excel workbook of scores, and photographs of two scenes in two sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.cid2013 import CARD, LABELS, SHEET, WITHIN_SET
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on
from iqa_datasets.testing.workbooks import write_xlsx

_SETS: Final = (("IS1", "I"), ("IS2", "II"))


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng)):
        folder, roman = _SETS[row * 2 // images]
        cluster, device = row % 2 + 1, row // 2 + 1
        planned.append(
            FakeImage(
                file=f"{folder}/co{cluster}/IS_{roman}_C{cluster:02}_D{device:02}.jpg",
                reference=None,
                score=score_on(CARD.scale, quality, 4),
                std=None,
                ratings=None,
                distortion=None,
                level=None,
                damage=fault,
                severity=severity,
                scene=scene,
            )
        )
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    rows: list[list[object]] = [["Source_ID", WITHIN_SET, "Realigned MOS", "Sharpness"]]
    rows += [[Path(image.file).stem, 50 + len(image.scene), image.score, 40] for image in images]
    write_xlsx(root / LABELS, {"Read me": [["Not read."]], SHEET: rows})


LAYOUT: Final = Layout(_plan, _write_labels)
