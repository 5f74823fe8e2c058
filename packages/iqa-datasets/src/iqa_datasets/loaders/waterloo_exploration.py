"""Waterloo Exploration Database: thousands of pristine images and distortions of them, without scores."""

import re
from pathlib import Path
from typing import Final

import pandas as pd

from iqa_datasets.cards import DatasetCard
from iqa_datasets.folders import list_folders, list_images, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records

CARD: Final = DatasetCard(
    name="waterloo-exploration",
    title="Waterloo Exploration Database",
    year=2017,
    size=99624,
    kind="synthetic",
    scale=None,
    subjects=None,
    licence="Not stated with the files; see the home page.",
    citation=(
        "K. Ma, Z. Duanmu, Q. Wu, Z. Wang, H. Yong, H. Li and L. Zhang, Waterloo Exploration Database: New Challenges "
        "for Image Quality Assessment Models, IEEE Transactions on Image Processing 26(2), 2017"
    ),
    home_page="https://ece.uwaterloo.ca/~k29ma/exploration/",
    folder="exploration_database_and_code",
    files=("pristine_images/*.bmp", "distorted_images/*/*.png"),
    references=4744,
    distortion_types=4,
    notes=(
        (
            "There are no scores. What is there is read: the 4,744 pristine images, which are rows too, without a "
            "reference, and those of the 94,880 distorted ones that the code in the archive has made."
        ),
        (
            "Distorted images are named 00001_T_L: type 1 GBLUR, 2 AWGN, 3 JPEG, 4 JP2K, and level 1 to 5, in "
            "distorted_images/ or in a folder for each type there."
        ),
    ),
)

TYPES: Final = {
    "1": ("GBLUR", "blur"),
    "2": ("AWGN", "noise"),
    "3": ("JPEG", "JPEG compression"),
    "4": ("JP2K", "JPEG2000 compression"),
}
_PRISTINE, _DISTORTED = "pristine_images", "distorted_images"
_REFERENCE: Final = re.compile(r"(\d{5})\.(?:bmp|png)", re.IGNORECASE)
_NAME: Final = re.compile(r"(\d{5})_([1-4])_([1-5])\.(?:bmp|jpg|jp2|png)", re.IGNORECASE)


def _read(root: Path) -> Reading:
    files: list[str] = []
    references, types, levels = [], [], []
    # What is named otherwise is no image of the data set, and left over.
    numbers = dict.fromkeys(found[1] for name in list_images(root, _PRISTINE) if (found := _REFERENCE.fullmatch(name)))
    files += [f"{_PRISTINE}/{number}.bmp" for number in numbers]
    if not files:
        raise FileNotFoundError(f"{root / _PRISTINE} holds no images named like 00001.bmp; unpack the data set again")
    pristine = len(files)
    for folder in (_DISTORTED, *(f"{_DISTORTED}/{inner}" for inner in list_folders(root, _DISTORTED))):
        for name in list_images(root, folder):
            if (found := _NAME.fullmatch(name)) is None:
                continue
            files.append(f"{folder}/{name}")
            references.append(f"{_PRISTINE}/{found[1]}.bmp")
            types.append(TYPES[found[2]])
            levels.append(int(found[3]))
    images = resolve_images(root, [*files, *references], root)
    none = [pd.NA] * pristine
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        root,
        reference_path=[*none, *images.paths[len(files) :]],
        distortion=[*none, *(distortion for _, distortion in types)],
        distortion_name=[*none, *(name for name, _ in types)],
        level=[*none, *levels],
        content=[*(file.casefold() for file in files[:pristine]), *references],
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
