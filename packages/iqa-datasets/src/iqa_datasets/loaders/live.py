"""LIVE Image Quality Assessment Database, Release 2: five distortions, rated as differences (DMOS)."""

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import LiqeFiles, Loader, Reading
from iqa_datasets.matlab import read_strings, read_vector
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text
from iqa_datasets.vocabulary import distortion_class

CARD: Final = DatasetCard(
    name="live",
    title="LIVE Image Quality Assessment Database Release 2",
    year=2006,
    size=779,
    kind="synthetic",
    scale=QualityScale(-3, 112, higher_is_better=False),
    subjects=None,
    licence=(
        "Use, copying, modification and distribution are free for any purpose, provided that the copyright notice of "
        "the University of Texas at Austin is kept whole in all copies and publications acknowledge the source."
    ),
    citation=(
        "H. R. Sheikh, M. F. Sabir and A. C. Bovik, A Statistical Evaluation of Recent Full Reference Image Quality "
        "Assessment Algorithms, IEEE Transactions on Image Processing 15(11), 2006; Z. Wang, A. C. Bovik, H. R. Sheikh "
        "and E. P. Simoncelli, Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE "
        "Transactions on Image Processing 13(4), 2004; and H. R. Sheikh, Z. Wang, L. Cormack and A. C. Bovik, LIVE "
        "Image Quality Assessment Database Release 2"
    ),
    home_page="https://live.ece.utexas.edu/research/Quality/subjective.htm",
    folder="databaserelease2",
    files=(
        "refnames_all.mat",
        "dmos_realigned.mat",
        "jp2k/img*.bmp",
        "jpeg/img*.bmp",
        "wn/img*.bmp",
        "gblur/img*.bmp",
        "fastfading/img*.bmp",
        "refimgs/*.bmp",
    ),
    references=29,
    distortion_types=5,
    liqe_labels=True,
    notes=(
        (
            "Scores are the realigned DMOS of dmos_realigned.mat, lower = better. They run from -2.64 to 111.77 and so "
            "leave the nominal range of 0 to 100; the scale here holds all of them."
        ),
        (
            "Without dmos_realigned.mat, a file of its own on the home page, the scores of dmos.mat are read and a "
            "warning is given: they are not comparable across distortions, and no standard deviation goes with them."
        ),
        "mos_std is that of the DMOS (1 to 5), not of single ratings.",
        (
            "File names repeat across the folders of the distortions, and the rows of the label files are known only "
            "by their position: 227 jp2k, 233 jpeg, 174 wn, 174 gblur, 174 fastfading."
        ),
        "203 of the 982 images in these folders are copies of references; they are no rows here.",
        "LIQE's files call the fast-fading images white noise; here they are what their folder says.",
    ),
)

# Folders in the order of the label files, and how many images each holds.
FOLDERS: Final = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
_CLASSES: Final = {
    "jp2k": distortion_class("jpeg2000 compression"),
    "jpeg": distortion_class("jpeg compression"),
    "wn": distortion_class("white noise"),
    "gblur": distortion_class("gaussian blur"),
    "fastfading": distortion_class("fastfading"),
}
# LIQE subtracts the realigned DMOS from the highest one that a distorted image has.
HIGHEST_DMOS: Final = 111.7746935263145


def _read(root: Path) -> Reading:
    source = find_file(root, "dmos_realigned.mat", "dmos.mat")
    names_file = find_file(root, "refnames_all.mat")
    references = read_strings(names_file, "refnames_all")
    if realigned := source.name.casefold() == "dmos_realigned.mat":
        dmos, deviation = read_vector(source, "dmos_new"), read_vector(source, "dmos_std")
    else:
        warnings.warn(
            f"{root} holds no dmos_realigned.mat; the scores of {source.name} are not comparable across distortions",
            stacklevel=2,
        )
        dmos = read_vector(source, "dmos")
        deviation = np.full(len(dmos), np.nan)
    pristine = read_vector(source, "orgs")
    files = _files(root, len(dmos), source)
    for variable, length in (("dmos_std", len(deviation)), ("orgs", len(pristine))):
        if length != len(dmos):
            raise DatasetError(f"{source}: {variable} has {length} entries, but there are {len(dmos)} scores")
    if len(references) != len(dmos):
        raise DatasetError(
            f"{names_file} has {len(references)} entries, but {source.name} has {len(dmos)}; they are joined by "
            "position"
        )
    if (wrong := np.flatnonzero(~np.isin(pristine, (0, 1)))).size:
        raise DatasetError(
            f"{source}: entry {wrong[0] + 1} of orgs must be 1 for a copy of a reference, else 0, got "
            f"{pristine[wrong[0]]:g}"
        )
    distorted = pristine == 0
    for row in np.flatnonzero(distorted):
        if not np.isfinite(dmos[row]) or (realigned and not deviation[row] >= 0):
            raise DatasetError(
                f"{source}: entry {row + 1} ({files[row]}) must be a number, got DMOS {dmos[row]:g} with standard "
                f"deviation {deviation[row]:g}"
            )
    reference_files = [f"refimgs/{name}" for name in references]
    images = resolve_images(root, [*files, *reference_files], source)
    rows = [int(row) for row in np.flatnonzero(distorted)]
    kinds = [files[row].split("/")[0] for row in rows]
    records = make_records(
        [files[row] for row in rows],
        [images.paths[row] for row in rows],
        CARD.scale,
        source,
        mos=dmos[distorted],
        mos_std=deviation[distorted],
        reference_path=[images.paths[len(files) + row] for row in rows],
        distortion=[_CLASSES[kind] for kind in kinds],
        distortion_name=kinds,
        content=[reference_files[row] for row in rows],
    )
    return Reading(records, images)


def _files(root: Path, rows: int, source: Path) -> list[str]:
    counts = FOLDERS
    if rows != sum(FOLDERS.values()):
        # A part of the data set, such as a made-up one: info.txt in each folder lists its images.
        counts = {}
        for kind in FOLDERS:
            listed = read_text(find_file(root, f"{kind}/info.txt"), separator=None, columns=("reference", "image", ""))
            counts[kind] = len(listed)
        if rows != sum(counts.values()):
            raise DatasetError(
                f"{source} has {rows} entries, but the whole data set has {sum(FOLDERS.values())} images, and the "
                f"info.txt of {', '.join(FOLDERS)} list {sum(counts.values())}"
            )
    return [f"{kind}/img{number}.bmp" for kind, count in counts.items() for number in range(1, count + 1)]


def _liqe_score(dmos: NDArray[np.float64]) -> NDArray[np.float64]:
    return HIGHEST_DMOS - dmos


LOADER: Final = Loader(
    CARD,
    _read,
    LiqeFiles(
        "databaserelease2",
        "live",
        _liqe_score,
        {
            "jp2k": "jpeg2000 compression",
            "jpeg": "jpeg compression",
            "wn": "white noise",
            "gblur": "gaussian blur",
            "fastfading": "white noise",
        },
    ),
)
