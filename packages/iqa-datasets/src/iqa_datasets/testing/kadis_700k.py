"""A made-up KADIS-700k folder: a table of references with the number of their distortion, and no scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.loaders.kadid_10k import TYPES
from iqa_datasets.loaders.kadis_700k import LEVELS
from iqa_datasets.testing.layouts import FakeImage, Layout, write_text
from iqa_datasets.testing.photographs import DRAWINGS
from iqa_datasets.vocabulary import distortion_class


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    # Every reference has all levels of one distortion.
    references = max(2, round(images / len(LEVELS)))
    # Without the types whose levels go both ways, which the drawn damage does not imitate.
    kinds = rng.permutation([1, 2, 6, 9, 10, 11, 13, 16, 17, 19, 25])
    planned = []
    for number in range(references):
        kind = int(kinds[number % len(kinds)])
        published, name = TYPES[kind - 1]
        planned += [
            FakeImage(
                file=f"dist_imgs/picture-{number + 1}_{kind:02}_{level:02}.bmp",
                reference=f"ref_imgs/picture-{number + 1}.png",
                score=None,
                std=None,
                ratings=None,
                distortion=published,
                level=level,
                damage=distortion_class(name),
                severity=level / len(LEVELS),
                scene=list(DRAWINGS)[number % len(DRAWINGS)],
            )
            for level in LEVELS
        ]
    return planned


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    rows = {}
    for image in images:
        name, kind, _ = image.file.rsplit("_", 2)
        rows[name] = f"{name.split('/')[1]}.png,{int(kind)},{int(kind) % 25 + 1}"
    write_text(root / "kadis700k_ref_imgs.csv", ["ref_im,dist_type_1,dist_type_2", *rows.values()])


LAYOUT: Final = Layout(_plan, _write_labels)
