"""A made-up KonIQ-10k folder: two CSV files, of scores and of the split, and photographs of one size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.koniq_10k import SCORES, SETS
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, write_text

_SETS: Final = {"train": "training", "val": "validation", "test": "test"}


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng)):
        total = int(rng.integers(40, 120))
        # Ratings fall on the two marks around the quality, so that their mean follows from whole counts.
        counts = _counts(quality, total)
        mean, deviation = _moments(counts)
        planned.append(
            FakeImage(
                file=f"1024x768/{10004473376 + 7919 * row}.jpg",
                reference=None,
                score=mean,
                std=deviation,
                ratings=total,
                distortion=None,
                level=None,
                damage=fault,
                severity=severity,
                scene=scene,
                part=("train", "train", "train", "val", "test")[row % 5],
            )
        )
    return planned


def _counts(quality: float, total: int) -> list[int]:
    below = min(int(quality), 4)
    above = round((quality - below) * total)
    counts = [0] * 5
    counts[below - 1], counts[below] = total - above, above
    return counts


def _moments(counts: Sequence[int]) -> tuple[float, float]:
    total = sum(counts)
    mean = sum(mark * count for mark, count in enumerate(counts, start=1)) / total
    spread = sum(count * (mark - mean) ** 2 for mark, count in enumerate(counts, start=1))
    return mean, float(np.sqrt(spread / (total - 1)))


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    scores = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore"]
    sets = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"]
    for image in images:
        name, total = image.file.split("/")[1], image.ratings or 0
        known = isinstance(image.score, float) and 1 <= image.score <= 5
        counts = _counts(float(image.score), total) if known and image.score is not None else [0, 0, total, 0, 0]
        given = ",".join([name, *map(str, counts), str(total)])
        # In the file of the split, and as a z-score, the mean is on another scale.
        rescaled = 1 + 99 * (_moments(counts)[0] - 1) / 4
        scores.append(f"{given},{image.score},{image.std},{rescaled}")
        sets.append(f"{given},{rescaled},{image.std},{_SETS[str(image.part)]}")
    write_text(root / SCORES, scores)
    write_text(root / SETS, sets)


LAYOUT: Final = Layout(_plan, _write_labels)
