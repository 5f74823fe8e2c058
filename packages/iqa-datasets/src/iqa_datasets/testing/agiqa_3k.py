"""A made-up AGIQA-3K folder: a CSV file of texts and scores, and pictures by two models."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.agiqa_3k import CARD, LABELS
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on, write_text

_MODELS: Final = ("AttnGAN", "sd1.5")
_STYLES: Final = ("", "anime style", "baroque style")


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return [
        FakeImage(
            file=f"images/{_MODELS[row % 2]}_normal_{row // 2:03}.jpg",
            reference=None,
            score=score_on(CARD.scale, quality, 9),
            std=round(float(rng.uniform(0.2, 1.0)), 9),
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
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align", "std_align"))
    for image in images:
        name = image.file.removeprefix("images/")
        number = int(name[-7:-4])
        style = _STYLES[number % len(_STYLES)]
        prompt = f"picture number {number}" + (f", {style}" if style else "")
        writer.writerow((name, prompt, "", "", style, image.score, image.std, round(5 - 4 * image.severity, 9), 0.5))
    write_text(root / LABELS, table.getvalue().splitlines())


LAYOUT: Final = Layout(_plan, _write_labels)
