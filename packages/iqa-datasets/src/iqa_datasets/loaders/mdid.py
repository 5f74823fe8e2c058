"""MDID: 20 references, 80 images of each with several distortions at random, rated by sorting with comparisons."""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, list_images, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text

CARD: Final = DatasetCard(
    name="mdid",
    title="Multiply Distorted Image Database (MDID)",
    year=2017,
    size=1600,
    kind="synthetic",
    scale=QualityScale(0, 8),
    subjects=192,
    licence="Not stated.",
    citation=(
        "W. Sun, F. Zhou, Q. Liao, MDID: A multiply distorted image database for image quality assessment, Pattern "
        "Recognition 61, 2017"
    ),
    home_page="https://doi.org/10.1016/j.patcog.2016.07.033",
    folder="MDID",
    files=("mos.txt", "mos_std.txt", "distortion_images/*.bmp", "reference_images/*.bmp"),
    references=20,
    distortion_types=5,
    notes=(
        (
            "Gaussian noise, Gaussian blur, contrast change, JPEG and JPEG2000, each at a random one of its levels or "
            "not at all. Which of them an image has is not read: all are of the class others, without a level."
        ),
        (
            "mos.txt and mos_std.txt hold no names: they run over img01_01.bmp to img01_80.bmp, then img02_01.bmp and "
            "so on."
        ),
        "The range of the scores, 0 to 8, is what the published values (0.08 to 7.92) fit; it is not in a file.",
    ),
)
DISTORTION_NAME: Final = "multiple"
_NUMBER: Final = re.compile(r"img(\d\d)(_\d\d)?\.bmp", re.IGNORECASE)


def _column(root: Path, name: str) -> tuple[Path, NDArray[np.float64]]:
    source = find_file(root, f"{name}.txt")
    return source, read_text(source, separator=None, columns=(name,)).numbers(name)


def _read(root: Path) -> Reading:
    source, mos = _column(root, "mos")
    deviations_file, deviations = _column(root, "mos_std")
    if len(deviations) != len(mos):
        raise DatasetError(
            f"{deviations_file} has {len(deviations)} entries, but {source.name} has {len(mos)}; they are joined by "
            "position"
        )
    there = (file for folder in ("distortion_images", "reference_images") for file in list_images(root, folder))
    references = max((int(name[1]) for file in there if (name := _NUMBER.fullmatch(file))), default=0)
    if not references or len(mos) % references:
        raise DatasetError(
            f"{source} has {len(mos)} entries, which cannot be as many for each of the {references} references in "
            f"{root}; they are joined by position"
        )
    each = len(mos) // references
    shown = [f"reference_images/img{row // each + 1:02}.bmp" for row in range(len(mos))]
    files = [f"distortion_images/img{row // each + 1:02}_{row % each + 1:02}.bmp" for row in range(len(mos))]
    images = resolve_images(root, [*files, *shown], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        reference_path=images.paths[len(files) :],
        mos=mos,
        mos_std=deviations,
        distortion=["others"] * len(files),
        distortion_name=[DISTORTION_NAME] * len(files),
        content=shown,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
