"""TID2013, the Tampere Image Database 2013: 24 distortions at 5 levels."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.loaders.tampere import TYPES, read_tampere

CARD: Final = DatasetCard(
    name="tid2013",
    title="TID2013: Tampere Image Database 2013",
    year=2013,
    size=3000,
    kind="synthetic",
    scale=QualityScale(0, 9),
    subjects=985,
    licence=(
        "Use, copying and modification are free for education and research only, provided that the copyright notice "
        "and the authors' names appear on all copies; changes to the database need the authors' permission."
    ),
    citation=(
        "N. Ponomarenko, L. Jin, O. Ieremeiev, V. Lukin, K. Egiazarian, J. Astola, B. Vozel, K. Chehdi, M. Carli, "
        "F. Battisti and C.-C. J. Kuo, Image Database TID2013: Peculiarities, Results and Perspectives, Signal "
        "Processing: Image Communication 30, 2015"
    ),
    home_page="https://www.ponomarenko.info/tid2013.htm",
    folder="tid2013",
    files=("mos_with_names.txt", "mos_std.txt", "distorted_images/*.bmp", "reference_images/*.BMP"),
    references=25,
    distortion_types=24,
    image_sizes=((512, 384),),
    notes=(
        (
            "Copies by others are read too: nested as tid2013/tid2013/, and with mos.csv (columns image_id and mean, "
            "without standard deviations) for mos_with_names.txt, as a re-upload on Kaggle has it."
        ),
        (
            "Without mos_with_names.txt, the labels are read from meta_info_TID2013Dataset.csv of the package pyiqa, "
            "in the folder or in meta_info/ there or beside it."
        ),
        "The case of file names differs between the label files and the pictures; it is ignored.",
        "mos_std is that of the MOS (0.13 in the mean): of the ratings, divided by the root of their number.",
        "Reference 25 is no photograph but a drawn picture; some protocols leave it out.",
        (
            "The 25 references and 17 of the 24 types are also TID2008's, and 24 references are Kodak photographs that "
            "other data sets use too."
        ),
        (
            "Classes of distortion: denoising counts as noise and transmission errors as the compression that they "
            "hit, as in LIQE's names; lossy compression of noisy images and sparse sampling are others."
        ),
    ),
)


def _read(root: Path) -> Reading:
    return read_tampere(root, CARD, TYPES, levels=5, pyiqa="TID2013")


LOADER: Final = Loader(CARD, _read)
