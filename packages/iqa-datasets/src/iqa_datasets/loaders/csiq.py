"""CSIQ, the Categorical Subjective Image Quality database: six distortions, rated as differences (DMOS)."""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_labels, is_pyiqa, resolve_images
from iqa_datasets.loaders import LiqeFiles, Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_sheet, read_text
from iqa_datasets.vocabulary import distortion_class, suggestion

CARD: Final = DatasetCard(
    name="csiq",
    title="CSIQ (Categorical Subjective Image Quality) Database",
    year=2010,
    size=866,
    kind="synthetic",
    scale=QualityScale(0, 1, higher_is_better=False),
    subjects=35,
    licence="Not stated; given out for download without a form.",
    citation=(
        "E. C. Larson and D. M. Chandler, Most Apparent Distortion: Full-Reference Image Quality Assessment and the "
        "Role of Strategy, Journal of Electronic Imaging 19(1), 2010"
    ),
    home_page="https://s2.smu.edu/~eclarson/csiq.html",
    folder="CSIQ",
    files=(
        "csiq.DMOS.xlsx",
        "dst_imgs/awgn/*.png",
        "dst_imgs/blur/*.png",
        "dst_imgs/contrast/*.png",
        "dst_imgs/fnoise/*.png",
        "dst_imgs/jpeg/*.png",
        "dst_imgs/jpeg2000/*.png",
        "src_imgs/*.png",
    ),
    references=30,
    distortion_types=6,
    image_sizes=((512, 512),),
    liqe_labels=True,
    notes=(
        (
            "Without csiq.DMOS.xlsx, the labels are read from meta_info_CSIQDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it; it has no standard deviations."
        ),
        "Scores are DMOS from 0 to 1, lower = better; LIQE's files hold 1 - DMOS.",
        (
            "Read from the sheet all_by_image of csiq.DMOS.xlsx, whose names differ from the files': noise is AWGN "
            "there, jpeg 2000 is jpeg2000."
        ),
        (
            "Changes of contrast have three to five levels, the others five. Pictures of dst_imgs/contrast/ without "
            "a row in the workbook were not rated and are passed over."
        ),
    ),
)

# From the workbook's name of a distortion to the folder, the part of the file name, and LIQE's name.
TYPES: Final = {
    "noise": ("awgn", "AWGN", "white noise"),
    "jpeg": ("jpeg", "JPEG", "jpeg compression"),
    "jpeg 2000": ("jpeg2000", "jpeg2000", "jpeg2000 compression"),
    "fnoise": ("fnoise", "fnoise", "fnoise"),
    "blur": ("blur", "BLUR", "gaussian blur"),
    "contrast": ("contrast", "contrast", "contrast"),
}
_UNRATED: Final = re.compile(r"dst_imgs/contrast/\w+\.contrast\.[1-5]\.png", re.IGNORECASE)


def _read(root: Path) -> Reading:
    source = find_labels(root, "csiq.DMOS.xlsx", pyiqa="CSIQ")
    if is_pyiqa(source):
        table = read_text(source)
        contents, types, levels = _parse(table)
        deviations = np.full(len(table), np.nan)
    else:
        table = read_sheet(source, ("image", "dst_type", "dst_lev", "dmos_std", "dmos"), sheet="all_by_image")
        contents, types, levels = table.texts("image"), table.texts("dst_type"), table.numbers("dst_lev")
        deviations = table.numbers("dmos_std")
    files = []
    for row, (image, kind, level) in enumerate(zip(contents, types, levels, strict=True)):
        if kind not in TYPES:
            raise DatasetError(f"{table.where(row)}: unknown dst_type {kind!r}{suggestion(kind, TYPES)}")
        if not (level.is_integer() and 1 <= level <= 5):
            raise DatasetError(f"{table.where(row)}: dst_lev must be 1 to 5, got {level:g}")
        folder, word, _ = TYPES[kind]
        files.append(f"dst_imgs/{folder}/{image}.{word}.{level:.0f}.png")
    references = [f"src_imgs/{image}.png" for image in contents]
    images = resolve_images(root, [*files, *references], source, unrated=_UNRATED)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        mos=table.numbers("dmos"),
        mos_std=deviations,
        reference_path=images.paths[len(files) :],
        distortion=[distortion_class(TYPES[kind][2]) for kind in types],
        distortion_name=types,
        level=levels.astype(np.int64).tolist(),
        content=references,
    )
    return Reading(records, images)


def _parse(table: LabelTable) -> tuple[list[str], list[str], NDArray[np.float64]]:
    """Return the reference, the type in the workbook's words and the level of each image that pyiqa's table names."""
    kind_of = {word.casefold(): kind for kind, (_, word, _) in TYPES.items()}
    contents, types, levels = [], [], []
    for row, name in enumerate(table.texts("dist_name")):
        content, word, level, *_ = [*name.rsplit(".", 3), "", "", ""]
        if word.casefold() not in kind_of or not level.isdecimal():
            raise DatasetError(f"{table.where(row)}: dist_name must be named like 1600.AWGN.1.png, got {name!r}")
        contents.append(content)
        types.append(kind_of[word.casefold()])
        levels.append(float(level))
    return contents, types, np.array(levels)


def _liqe_score(dmos: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - dmos


LOADER: Final = Loader(
    CARD, _read, LiqeFiles("CSIQ", "csiq", _liqe_score, {kind: liqe for kind, (_, _, liqe) in TYPES.items()})
)
