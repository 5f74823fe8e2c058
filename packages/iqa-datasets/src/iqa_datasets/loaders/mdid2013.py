"""MDID2013: 12 references, 27 images of each, all of them blurred, compressed by JPEG and noisy."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, folders_there, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.matlab import read_finite
from iqa_datasets.records import make_records

CARD: Final = DatasetCard(
    name="mdid2013",
    title="Multiply Distorted Image Database 2013 (MDID2013)",
    year=2014,
    size=324,
    kind="synthetic",
    scale=QualityScale(0, 1, higher_is_better=False),
    subjects=None,
    licence="Not stated.",
    citation=(
        "K. Gu, G. Zhai, X. Yang, W. Zhang, Hybrid No-Reference Quality Metric for Singly and Multiply Distorted "
        "Images, IEEE Transactions on Broadcasting 60(3), 2014"
    ),
    home_page="https://ieeexplore.ieee.org/document/6879255",
    folder="MDID2013-database",
    files=("MDID_dmos.mat", "MDID2013/*.png"),
    references=12,
    distortion_types=3,
    notes=(
        (
            "The scores are DMOS, lower = better, from 0.32 to 0.55; the range 0 to 1 is that of their unit, so that "
            "quality lies in the middle of [1, 5]."
        ),
        (
            "Every image has all three distortions, of three levels each: all are of the class others, without a level."
            " In which order the 27 combinations stand is not published."
        ),
        "The vector holds no names: it runs over img001.png to img324.png, 27 for each of org001.png to org012.png.",
        "References are looked for beside the distorted images, and in Ref/ where there is such a folder.",
    ),
)
DISTORTION_NAME: Final = "blur + JPEG + noise"
_REFERENCES: Final = 12


def _read(root: Path) -> Reading:
    source = find_file(root, "MDID_dmos.mat", "dmos.mat")
    mos = read_finite(source, "MDID_dmos")
    if not len(mos) or len(mos) % _REFERENCES:
        raise DatasetError(
            f"{source} has {len(mos)} entries, which cannot be as many for each of the {_REFERENCES} references; they "
            "are joined by position"
        )
    each = len(mos) // _REFERENCES
    originals = [*folders_there(root, "Ref"), "MDID2013"][0]
    files = [f"MDID2013/img{row + 1:03}.png" for row in range(len(mos))]
    references = [f"{originals}/org{row // each + 1:03}.png" for row in range(len(mos))]
    images = resolve_images(root, [*files, *references], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        reference_path=images.paths[len(files) :],
        mos=mos,
        distortion=["others"] * len(files),
        distortion_name=[DISTORTION_NAME] * len(files),
        content=[reference.rpartition("/")[2] for reference in references],
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
