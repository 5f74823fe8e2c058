"""SPAQ, Smartphone Photography Attribute and Quality: photographs from telephones, with scenes."""

from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_labels, is_pyiqa, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_sheet, read_table
from iqa_datasets.vocabulary import SCENES

SCORES_FILE: Final = "Annotations/MOS and Image attribute scores.xlsx"
SCENES_FILE: Final = "Annotations/Scene category labels.xlsx"

ATTRIBUTES: Final = ("brightness", "colorfulness", "contrast", "noisiness", "sharpness")

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
    columns=tuple((name, f"{name} as people rated it, 0 to 100") for name in ATTRIBUTES),
    notes=(
        f"Scenes are read from {SCENES_FILE}, if it is there; an image may have more than three.",
        "Photographs reach 20 megapixels and carry EXIF orientation: decode them with it, as `open_image` does.",
        (
            "Without the workbook of scores, the labels are read from meta_info_SPAQDataset.csv of the package pyiqa, "
            "in the folder or in meta_info/ there or beside it; it holds the scenes too."
        ),
    ),
)


def _read(root: Path) -> Reading:
    source = find_labels(root, SCORES_FILE, pyiqa="SPAQ")
    table = read_table(source, ("Image name", "MOS"))
    names = table.texts("Image name")
    files = [f"TestImage/{name}" for name in names]
    columns: dict[str, list[tuple[str, ...]]] = {}
    if is_pyiqa(source):
        columns["scenes"] = _scenes(table, names)
    else:
        with suppress(FileNotFoundError):  # the scores alone are given out, too
            columns["scenes"] = _scenes(read_sheet(find_file(root, SCENES_FILE), ("Image name",)), names)
    more = {name: table.numbers(name) for name in ATTRIBUTES if table.has(name)}
    images = resolve_images(root, files, source)
    records = make_records(files, images.paths, CARD.scale, source, more=more, mos=table.numbers("MOS"), **columns)
    return Reading(records, images)


def _scenes(table: LabelTable, names: list[str]) -> list[tuple[str, ...]]:
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
            raise DatasetError(f"{table.path} has no row for {name}")
    return [by_name[name] for name in names]


LOADER: Final = Loader(CARD, _read)
