"""CID2013: photographs of a few scenes by 79 cameras, in six sets that were rated apart and brought to one scale."""

import re
from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, list_folders, list_images, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_sheet

LABELS: Final = "CID2013 data - version 12112014.xlsx"
SHEET: Final = "CID2013 MOS"
WITHIN_SET: Final = "Image set specific  MOS"

CARD: Final = DatasetCard(
    name="cid2013",
    title="CID2013: Camera Image Database",
    year=2015,
    size=474,
    kind="authentic",
    scale=QualityScale(0, 100),
    subjects=188,
    licence="Made freely available for the research community, says the paper; see the record of the download.",
    citation=(
        "T. Virtanen, M. Nuutinen, M. Vaahteranoksa, P. Oittinen and J. Hakkinen, CID2013: A Database for Evaluating "
        "No-Reference Image Quality Assessment Algorithms, IEEE Transactions on Image Processing 24(1), 2015"
    ),
    home_page="https://doi.org/10.1109/TIP.2014.2378061",
    folder="CID2013",
    files=(LABELS, "IS*/*/*.jpg"),
    columns=(("set_mos", "the score within the image's own set, as published; missing without its column"),),
    notes=(
        (
            f"Scores are the column Realigned MOS of the sheet {SHEET}, which brings the six image sets to one scale, "
            "and images are named by Source_ID, as two public programs read them (a data preparation for G-IQA, and "
            "one for a conditioned metric, which also states the range of about 0 to 100)."
        ),
        (
            "Images are looked for in the folders of IS1/ to IS6/, as programs for MATLAB walk them (such as "
            "IS1/co1/IS_I_C01_D01.jpg), and beside the workbook."
        ),
        (
            "Names are IS_SET_CLUSTER_DEVICE: images of one set and cluster, among which people compared, have one "
            "content."
        ),
        "The sheet's further attributes, sharpness, graininess, lightness and colour saturation, are not read.",
    ),
)

_NAME: Final = re.compile(r"IS_([IV]+)_C(\d+)_D\d+", re.IGNORECASE)
_NUMBERS: Final = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}


def _read(root: Path) -> Reading:
    source = find_file(root, LABELS)
    table = read_sheet(source, ("Source_ID", "Realigned MOS"), sheet=SHEET)
    names = table.texts("Source_ID")
    sets = [folder for folder in list_folders(root, "") if folder.casefold().startswith("is")]
    places = ["", *(f"{folder}/{inner}" for folder in sets for inner in list_folders(root, folder)), *sets]
    folder_of = {
        name.casefold().rpartition(".")[0]: place for place in reversed(places) for name in list_images(root, place)
    }
    files, there, contents = [], [], []
    for row, name in enumerate(names):
        found = _NAME.fullmatch(name)
        if found is None or found[1].upper() not in _NUMBERS:
            raise DatasetError(f"{table.where(row)}: Source_ID must be named like IS_I_C01_D01, got {name!r}")
        files.append(f"IS{_NUMBERS[found[1].upper()]}/co{int(found[2])}/{name}.jpg")
        place = folder_of.get(name.casefold())
        there.append(files[-1] if place is None else f"{place}/{name}.jpg".lstrip("/"))
        contents.append(name.rpartition("_")[0].upper())
    images = resolve_images(root, there, source)
    within = next((title for title in table.columns if title.split() == WITHIN_SET.split()), None)
    records = make_records(
        files,
        images.paths,
        CARD.scale,
        source,
        more={} if within is None else {"set_mos": table.numbers(within)},
        mos=table.numbers("Realigned MOS"),
        content=contents,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read, also=("IS1",))
