"""TID2008, the Tampere Image Database 2008: 17 distortions at 4 levels."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.loaders.tampere import TYPES, read_tampere

CARD: Final = DatasetCard(
    name="tid2008",
    title="TID2008: Tampere Image Database 2008",
    year=2009,
    size=1700,
    kind="synthetic",
    scale=QualityScale(0, 9),
    subjects=838,
    licence=(
        "Use, copying and modification are free for education and research only, provided that the copyright notice "
        "and the authors' names appear on all copies; changes to the database need the authors' permission."
    ),
    citation=(
        "N. Ponomarenko, V. Lukin, A. Zelensky, K. Egiazarian, M. Carli and F. Battisti, TID2008 - A Database for "
        "Evaluation of Full-Reference Visual Quality Assessment Metrics, Advances of Modern Radioelectronics 10, 2009"
    ),
    home_page="https://www.ponomarenko.info/tid2008.htm",
    folder="tid2008",
    files=("mos_with_names.txt", "mos_std.txt", "distorted_images/*.bmp", "reference_images/*.BMP"),
    references=25,
    distortion_types=17,
    image_sizes=((512, 384),),
    notes=(
        (
            "Without mos_with_names.txt, the labels are read from meta_info_TID2008Dataset.csv of the package pyiqa, "
            "in the folder or in meta_info/ there or beside it."
        ),
        "The case of file names differs between copies of the data set; it is ignored.",
        "A score is the mean over tournaments of pairs, 0 to 9 points, of 838 experiments.",
        (
            "The levels of mean shift and of contrast change go both ways around the original: they are settings, not "
            "steps of severity."
        ),
        "Reference 25 is no photograph but a drawn picture; some protocols leave it out.",
        "The references and types are also TID2013's, which holds almost all of the images, with other scores.",
        (
            "Classes of distortion: denoising counts as noise and transmission errors as the compression that they "
            "hit, as in LIQE's names."
        ),
    ),
)


def _read(root: Path) -> Reading:
    return read_tampere(root, CARD, TYPES[:17], levels=4, pyiqa="TID2008")


LOADER: Final = Loader(CARD, _read)
