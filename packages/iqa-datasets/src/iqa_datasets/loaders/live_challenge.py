"""LIVE In the Wild Image Quality Challenge (LIVE-C): photographs from phones, distorted in capture."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_labels, is_pyiqa, resolve_images
from iqa_datasets.loaders import LiqeFiles, Loader, Reading
from iqa_datasets.matlab import read_strings, read_vector
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text

CARD: Final = DatasetCard(
    name="live-challenge",
    title="LIVE In the Wild Image Quality Challenge Database",
    year=2015,
    size=1162,
    kind="authentic",
    scale=QualityScale(0, 100),
    subjects=8100,
    licence=(
        "Use, copying, modification and distribution are free for any purpose, provided that the copyright notice of "
        "the University of Texas at Austin is kept whole in all copies and publications acknowledge the source."
    ),
    citation=(
        "D. Ghadiyaram and A. C. Bovik, Massive Online Crowdsourced Study of Subjective and Objective Picture Quality, "
        "IEEE Transactions on Image Processing 25(1), 2016; and LIVE In the Wild Image Quality Challenge Database, 2015"
    ),
    home_page="https://live.ece.utexas.edu/research/ChallengeDB/index.html",
    folder="ChallengeDB_release",
    files=(
        "Data/AllImages_release.mat",
        "Data/AllMOS_release.mat",
        "Data/AllStdDev_release.mat",
        "Images/*.bmp",
        "Images/*.JPG",
    ),
    liqe_labels=True,
    notes=(
        (
            "The .mat files hold 1,169 entries, of which the first seven, t1.bmp to t7.bmp, are the images that "
            "subjects were trained on; they are left out."
        ),
        (
            "246.bmp and 333.bmp have identical pixels but different scores (52.03 and 51.09). They share their "
            "content; LIQE's sessions 1, 2, 5, 6 and 9 have them in different parts."
        ),
        "672.JPG and 694.JPG, 824.JPG and 825.JPG, 896.JPG and 897.JPG show the same scene a moment apart.",
        (
            "Without Data/, the labels are read from meta_info_LIVEChallengeDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it."
        ),
        "mos_std is that of the ratings, about 175 an image; their number for each image is not in the files.",
    ),
)

# The first entries of all three files are the images on which subjects were trained, kept in Images/trainingImages/.
TRAINING_IMAGES: Final = tuple(f"t{number}.bmp" for number in range(1, 8))
# Two files with identical pixels, which were rated apart and have different scores.
SAME_CONTENT: Final = {"333.bmp": "246.bmp"}


def _read_official(root: Path) -> tuple[Path, list[str], dict[str, Any]]:
    source = find_file(root, "Data/AllImages_release.mat")
    names = read_strings(source, "AllImages_release")
    columns: dict[str, Any] = {}
    for column, stem in (("mos", "AllMOS_release"), ("mos_std", "AllStdDev_release")):
        file = find_file(root, f"Data/{stem}.mat")
        values = read_vector(file, stem)
        if len(values) != len(names):
            raise DatasetError(
                f"{file} has {len(values)} entries, but {source.name} has {len(names)}; they are joined by position"
            )
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
        if wrong.size:
            row = wrong[0]
            raise DatasetError(f"{file}: entry {row + 1} ({names[row]}) is {values[row]:g}, must be a number from 0 on")
        columns[column] = values[len(TRAINING_IMAGES) :]
    if tuple(names[: len(TRAINING_IMAGES)]) != TRAINING_IMAGES:
        raise DatasetError(
            f"{source}: the first seven entries must be the training images t1.bmp to t7.bmp, "
            f"got {', '.join(names[: len(TRAINING_IMAGES)])}"
        )
    return source, names[len(TRAINING_IMAGES) :], columns


def _read_pyiqa(source: Path) -> tuple[Path, list[str], dict[str, Any]]:
    table = read_text(source)
    names = table.texts("img_name")
    rated = [row for row, name in enumerate(names) if name not in TRAINING_IMAGES]
    columns = {"mos": table.numbers("mos")[rated], "mos_std": table.numbers("std")[rated]}
    return source, [names[row] for row in rated], columns


def _read(root: Path) -> Reading:
    found = find_labels(root, "Data/AllImages_release.mat", pyiqa="LIVEChallenge")
    source, names, columns = _read_pyiqa(found) if is_pyiqa(found) else _read_official(root)
    if len(set(names)) < len(names):
        again = next(name for row, name in enumerate(names) if name in names[:row])
        raise DatasetError(f"{source} lists {again} more than once")
    files = [f"Images/{name}" for name in names]
    images = resolve_images(root, files, source)
    records = make_records(
        files,
        images.paths,
        CARD.scale,
        source if is_pyiqa(found) else find_file(root, "Data/AllMOS_release.mat"),
        content=[f"Images/{SAME_CONTENT.get(name, name)}" for name in names],
        **columns,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read, LiqeFiles("ChallengeDB_release", "clive"))
