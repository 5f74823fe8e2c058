"""A made-up AVA folder: a text file of counts of ratings, the lists of a split, and photographs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.ava import CARD, LABELS, LISTS, MARKS
from iqa_datasets.testing.layouts import FakeImage, Layout, plan_shots, score_on, write_text


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    planned = []
    for row, (fault, scene, severity, quality) in enumerate(plan_shots(images, rng)):
        # Ratings fall on the two marks around the score, so that it follows from whole counts.
        wanted, total = score_on(CARD.scale, quality, 2), int(rng.integers(80, 300))
        counts = _counts(wanted, total)
        mean = sum(mark * count for mark, count in zip(MARKS, counts, strict=True)) / total
        spread = sum(count * (mark - mean) ** 2 for mark, count in zip(MARKS, counts, strict=True))
        planned.append(
            FakeImage(
                file=f"images/{953619 + 41 * row}.jpg",
                reference=None,
                score=mean,
                std=float(np.sqrt(spread / (total - 1))),
                ratings=total,
                distortion=None,
                level=None,
                damage=fault,
                severity=severity,
                scene=scene,
                part=("train", "train", "test", None)[row % 4],
            )
        )
    return planned


def _counts(score: float, total: int) -> list[int]:
    below = min(int(score), 9)
    above = round((score - below) * total)
    counts = [0] * 10
    counts[below - 1], counts[below] = total - above, above
    return counts


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    lines: list[str] = []
    lists: dict[str, list[str]] = {part: [] for part in LISTS}
    for row, image in enumerate(images, start=1):
        number = Path(image.file).stem
        known = isinstance(image.score, float) and 1 <= image.score <= 10
        # What is no score cannot follow from counts: it stands in the place of one.
        counts: list[object] = (
            list(_counts(float(image.score), image.ratings or 1))
            if known and image.score
            else [
                image.score if isinstance(image.score, str) or not np.isfinite(image.score or 0) else -1,
                *[1] * 9,
            ]
        )
        lines.append(" ".join(map(str, [row, number, *counts, row % 67, 0, 1396])))
        if image.part is not None:
            lists[image.part].append(number)
    write_text(root / LABELS, lines)
    for part, file in LISTS.items():
        write_text(root / file, lists[part])


LAYOUT: Final = Layout(_plan, _write_labels)
