"""TID2008: 25 references, 17 types of distortion, 4 levels each, rated by comparison of pairs."""

import re
from pathlib import Path
from typing import Final

import pandas as pd

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_images
from iqa_datasets.loaders import Loader
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text

CARD: Final = DatasetCard(
    name="tid2008",
    title="Tampere Image Database 2008 (TID2008)",
    year=2009,
    size=1700,
    kind="synthetic",
    scale=QualityScale(0, 9),
    subjects=838,
    licence=(
        "Free to use, copy or modify for education and research only, with the copyright notice and the authors' names "
        "on all copies; the database itself may not be modified without the authors' permission."
    ),
    citation=(
        "N. Ponomarenko, V. Lukin, A. Zelensky, K. Egiazarian, M. Carli, F. Battisti, TID2008 - A Database for "
        "Evaluation of Full-Reference Visual Quality Assessment Metrics, Advances of Modern Radioelectronics 10, 2009"
    ),
    home_page="https://www.ponomarenko.info/tid2008.htm",
    folder="tid2008",
    files=("mos_with_names.txt", "mos_std.txt", "distorted_images/*.bmp", "reference_images/*.bmp"),
    references=25,
    distortion_types=17,
    image_sizes=((512, 384),),
    notes=(
        "The ratings are 838 runs of a tournament of pairs, so that a score is a mean number of wins, 0 to 9.",
        "The levels of mean shift and of contrast change go both ways around the original: a higher one is not worse.",
        "Almost all of it, images and references, is also in TID2013, with other scores.",
        "The 25th reference is drawn, not photographed; some protocols leave it out.",
        "File names are written with i and I, differently in copies of the data set; case is ignored.",
    ),
)

# Number in the file name -> name in the authors' list, class. Transmission errors go with the codec, as LIVE's fast
# fading does in LIQE's label files.
DISTORTION_TYPES: Final = {
    1: ("additive Gaussian noise", "noise"),
    2: ("additive noise in colour components", "noise"),
    3: ("spatially correlated noise", "noise"),
    4: ("masked noise", "noise"),
    5: ("high frequency noise", "noise"),
    6: ("impulse noise", "noise"),
    7: ("quantization noise", "quantization"),
    8: ("Gaussian blur", "blur"),
    9: ("image denoising", "noise"),
    10: ("JPEG compression", "JPEG compression"),
    11: ("JPEG2000 compression", "JPEG2000 compression"),
    12: ("JPEG transmission errors", "JPEG compression"),
    13: ("JPEG2000 transmission errors", "JPEG2000 compression"),
    14: ("non eccentricity pattern noise", "spatially-localized"),
    15: ("local block-wise distortions", "spatially-localized"),
    16: ("mean shift", "others"),
    17: ("contrast change", "contrast"),
}
_NAME: Final = re.compile(r"i(\d\d)_(\d\d)_(\d)\.bmp", re.IGNORECASE)


def _read(root: Path) -> pd.DataFrame:
    source = find_file(root, "mos_with_names.txt")
    table = read_text(source, separator=None, columns=("mos", "name"))
    deviations_file = find_file(root, "mos_std.txt")
    deviations = read_text(deviations_file, separator=None, columns=("std",)).numbers("std")
    if len(deviations) != len(table):
        raise DatasetError(
            f"{deviations_file} has {len(deviations)} entries, but {source.name} has {len(table)}; they are joined by "
            "position"
        )
    names = table.texts("name")
    references, types, levels = [], [], []
    for row, name in enumerate(names):
        found = _NAME.fullmatch(name)
        if found is None or int(found[2]) not in DISTORTION_TYPES:
            raise DatasetError(
                f"{table.where(row)}: {name!r} must be iRR_TT_L.bmp, with the numbers of the reference, of the "
                f"distortion's type (01 to {len(DISTORTION_TYPES)}) and of its level"
            )
        references.append(f"reference_images/I{found[1]}.BMP")
        types.append(int(found[2]))
        levels.append(int(found[3]))
    files = [f"distorted_images/{name}" for name in names]
    paths = find_images(root, [*files, *references], source)
    return make_records(
        files,
        paths[: len(files)],
        CARD.scale,
        source,
        reference_path=paths[len(files) :],
        mos=table.numbers("mos"),
        mos_std=deviations,
        distortion=[DISTORTION_TYPES[number][1] for number in types],
        distortion_name=[DISTORTION_TYPES[number][0] for number in types],
        level=levels,
        content=references,
    )


LOADER: Final = Loader(CARD, _read)
