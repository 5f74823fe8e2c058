"""FLIVE, the LIVE-FB Large-Scale Social Picture Quality Database of PaQ-2-PiQ: photographs from social media."""

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_labels, folders_there, is_pyiqa, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_text

LABELS: Final = "labels_image.csv"
TEST: Final = "labels640.csv"
TRAINING: Final = "labels=640_padded.csv"

CARD: Final = DatasetCard(
    name="flive",
    title="LIVE-FB Large-Scale Social Picture Quality Database (FLIVE, PaQ-2-PiQ)",
    year=2020,
    size=39810,
    kind="authentic",
    scale=QualityScale(0, 100),
    subjects=None,
    licence=(
        "Not stated for the scores; the photographs are from AVA, VOC 2012, EMOTIC and a blur detection set, each "
        "under its own terms."
    ),
    citation=(
        "Z. Ying, H. Niu, P. Gupta, D. Mahajan, D. Ghadiyaram and A. C. Bovik, From Patches to Pictures (PaQ-2-PiQ): "
        "Mapping the Perceptual Space of Picture Quality, IEEE/CVF Conference on Computer Vision and Pattern "
        "Recognition (CVPR), 2020"
    ),
    home_page="https://github.com/niu-haoran/FLIVE_Database",
    folder="FLIVE_Database",
    files=(
        LABELS,
        TEST,
        TRAINING,
        "database/blur_dataset/*.jpg",
        "database/EE371R/*.jpg",
        "database/voc_emotic_ava/*.jpg",
    ),
    official_session=True,
    notes=(
        (
            "The layout is that of the authors' repositories niu-haoran/FLIVE_Database and baidut/PaQ-2-PiQ: their "
            "database_prep.ipynb gathers the photographs from four other data sets into database/. The label files "
            "may also lie in database/, and root may be database/ itself."
        ),
        (
            f"The split is read as pyiqa's scripts/process_flive.py does: {TEST} lists the test images (those larger "
            f"than 640 pixels), and the column is_valid of {TRAINING} the validation images; the others are for "
            "training. Without them there is no official session."
        ),
        "The patches and their scores are not read.",
        "Neither the standard deviation of the ratings nor their number is in the files.",
        (
            "The notebook keeps every photograph of VOC 2012 under two names, JPEGImages__ and VOC2012__: both have "
            "one content here."
        ),
        (
            f"Without {LABELS}, the labels are read from meta_info_FLIVEDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it."
        ),
    ),
)

_VOC: Final = re.compile(r"(?:JPEGImages|VOC2012)__")
_PYIQA_PARTS: Final = {"0": "train", "1": "val", "2": "test"}


def _read(root: Path) -> Reading:
    source = find_labels(root, LABELS, f"database/{LABELS}", pyiqa="FLIVE")
    table = read_text(source)
    column = table.first_of("name", "img_name/patch_name")
    rows = [row for row, name in enumerate(table.texts(column)) if not name.startswith("patches/")]
    names = [table.texts(column)[row] for row in rows]
    if is_pyiqa(source):
        listed = _parts_of_pyiqa(table)
        parts: list[str] | None = [listed[row] for row in rows]
    else:
        parts = _parts(root, names)
    inside = "database/" if folders_there(root, "database") else ""
    images = resolve_images(root, [inside + name for name in names], source)
    columns: dict[str, Any] = {} if parts is None else {"session_part": parts}
    records = make_records(
        [f"database/{name}" for name in names],
        images.paths,
        CARD.scale,
        source,
        mos=table.numbers("mos")[np.array(rows, dtype=np.intp)],
        content=[_VOC.sub("VOC__", name) for name in names],
        **columns,
    )
    return Reading(records, images)


def _parts(root: Path, names: list[str]) -> list[str] | None:
    try:
        test, training = (read_text(find_file(root, file, f"database/{file}")) for file in (TEST, TRAINING))
    except FileNotFoundError:
        return None
    parts = dict.fromkeys(test.texts("name_image"), "test")
    for row, (name, valid) in enumerate(zip(training.texts("name_image"), training.texts("is_valid"), strict=True)):
        if valid.lower() not in ("true", "false"):
            raise DatasetError(f"{training.where(row)}: is_valid must be True or False, got {valid!r}")
        parts.setdefault(name, "val" if valid.lower() == "true" else "train")
    return [parts.get(name, "train") for name in names]


def _parts_of_pyiqa(table: LabelTable) -> list[str]:
    parts = []
    for row, number in enumerate(table.texts("split")):
        if number not in _PYIQA_PARTS:
            raise DatasetError(f"{table.where(row)}: split must be 0, 1 or 2, got {number!r}")
        parts.append(_PYIQA_PARTS[number])
    return parts


LOADER: Final = Loader(CARD, _read, also=("voc_emotic_ava",))
