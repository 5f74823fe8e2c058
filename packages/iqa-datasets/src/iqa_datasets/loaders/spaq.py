"""SPAQ, Smartphone Photography Attribute and Quality: photographs from telephones, with scenes."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_images
from iqa_datasets.loaders import Loader
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_sheet
from iqa_datasets.vocabulary import SCENES

SCORES_FILE: Final = "Annotations/MOS and Image attribute scores.xlsx"
SCENES_FILE: Final = "Annotations/Scene category labels.xlsx"

CARD: Final = DatasetCard(
    name="spaq",
    title="SPAQ: Smartphone Photography Attribute and Quality database",
    year=2020,
    size=11125,
    kind="authentic",
    scale=QualityScale(0, 100),
    subjects=600,
    licence=(
        "Use, copying and modification are free for education and research only, provided that the copyright notice "
        "and the authors' names appear on all copies; no part of a commercial product without their permission."
    ),
    citation=(
        "Y. Fang, H. Zhu, Y. Zeng, K. Ma and Z. Wang, Perceptual Quality Assessment of Smartphone Photography, "
        "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR), 2020"
    ),
    home_page="https://github.com/h4nwei/SPAQ",
    folder="SPAQ",
    files=(SCORES_FILE, SCENES_FILE, "TestImage/*.jpg"),
    notes=(
        f"Scenes are read from {SCENES_FILE}, if it is there; an image may have more than three.",
        "Photographs reach 20 megapixels and carry EXIF orientation: decode them with it, as `open_image` does.",
        "Brightness, colourfulness, contrast, noisiness and sharpness, rated too, are not read.",
    ),
)


def _read(root: Path) -> pd.DataFrame:
    source = find_file(root, SCORES_FILE)
    table = read_sheet(source, ("Image name", "MOS"))
    names = table.texts("Image name")
    files = [f"TestImage/{name}" for name in names]
    columns: dict[str, list[tuple[str, ...]]] = {}
    with suppress(FileNotFoundError):  # the scores alone are given out, too
        columns["scenes"] = _scenes(find_file(root, SCENES_FILE), names)
    return make_records(
        files, find_images(root, files, source), CARD.scale, source, mos=table.numbers("MOS"), **columns
    )


def _scenes(path: Path, names: list[str]) -> list[tuple[str, ...]]:
    table = read_sheet(path, ("Image name",))
    # The categories are the nine scenes of the vocabulary, which LIQE and DEFNet took from here.
    shown = np.stack([table.numbers(scene) for scene in SCENES]) > 0
    tuples = [tuple(scene for scene, there in zip(SCENES, column, strict=True) if there) for column in shown.T.tolist()]
    by_name: dict[str, tuple[str, ...]] = {}
    for row, (name, scenes) in enumerate(zip(table.texts("Image name"), tuples, strict=True)):
        if name in by_name:
            raise DatasetError(f"{table.where(row)}: {name} stands more than once")
        by_name[name] = scenes
    for name in names:
        if name not in by_name:
            raise DatasetError(f"{path} has no row for {name}")
    return [by_name[name] for name in names]


LOADER: Final = Loader(CARD, _read)
