"""BID, the Blurred Image Database: photographs from cameras, blurred in capture."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, folders_there, resolve_images
from iqa_datasets.loaders import SINGLE_PRECISION, LiqeFiles, Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_sheet

CARD: Final = DatasetCard(
    name="bid",
    title="BID: Blurred Image Database",
    year=2011,
    size=586,
    kind="authentic",
    scale=QualityScale(0, 5),
    subjects=180,
    licence="Not stated; given out for download without a form, for research.",
    citation=(
        "A. Ciancio, A. L. N. T. da Costa, E. A. B. da Silva, A. Said, R. Samadani and P. Obrador, No-Reference Blur "
        "Assessment of Digital Pictures Based on Multifeature Classifiers, IEEE Transactions on Image Processing "
        "20(1), 2011"
    ),
    home_page="https://www02.smt.ufrj.br/~eduardo/ImageDatabase.htm",
    folder="BID",
    files=("DatabaseGrades.xlsx", "ImageDatabase/DatabaseImage*.JPG"),
    liqe_labels=True,
    notes=(
        "The table may also be DatabaseGrades.xls, in Excel's old format.",
        "Pictures are numbered with gaps: DatabaseImage0001.JPG and on, 586 in all.",
        "The pictures may also lie beside DatabaseGrades.xlsx itself, as they do when they are downloaded one by one.",
        (
            "Of DatabaseGrades.xlsx, the columns Image Number and Average Subjective Grade are read, not the grades of "
            "each person; there is no standard deviation."
        ),
    ),
)

_FOLDER: Final = "ImageDatabase"


def _read(root: Path) -> Reading:
    source = find_file(root, "DatabaseGrades.xlsx", "DatabaseGrades.xls")
    table = read_sheet(source, ("Image Number", "Average Subjective Grade"))
    names = []
    for row, number in enumerate(table.numbers("Image Number")):
        if not (number.is_integer() and 1 <= number <= 9999):
            raise DatasetError(f"{table.where(row)}: Image Number must be a whole number from 1 on, got {number:g}")
        names.append(f"DatabaseImage{number:04.0f}.JPG")
    inside = f"{_FOLDER}/" if folders_there(root, _FOLDER) else ""
    images = resolve_images(root, [inside + name for name in names], source)
    records = make_records(
        [f"{_FOLDER}/{name}" for name in names],
        images.paths,
        CARD.scale,
        source,
        mos=table.numbers("Average Subjective Grade"),
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read, LiqeFiles("BID", "bid", rounding=SINGLE_PRECISION))
