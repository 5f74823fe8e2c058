"""UHD-IQA: photographs of high resolution and quality, rated by experts, with a split."""

from pathlib import Path
from typing import Any, Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text
from iqa_datasets.vocabulary import part_of

LABELS: Final = "uhd-iqa-metadata.csv"
TRAINING_LABELS: Final = "uhd-iqa-training-metadata.csv"
POPULARITY: Final = ("views", "likes", "favorites", "downloads", "comments")
FOLDERS: Final = {"train": "training", "val": "validation", "test": "test"}

CARD: Final = DatasetCard(
    name="uhd-iqa",
    title="UHD-IQA Benchmark Database",
    year=2024,
    size=6073,
    kind="authentic",
    scale=QualityScale(0, 1),
    subjects=10,
    licence="CC0, the photographs as well; see the home page.",
    citation=(
        "V. Hosu, L. Agnolucci, O. Wiedemann, D. Iso and D. Saupe, UHD-IQA Benchmark Database: Pushing the Boundaries "
        "of Blind Photo Quality Assessment, European Conference on Computer Vision (ECCV) Workshops, 2024"
    ),
    home_page="https://database.mmsp-kn.de/uhd-iqa-benchmark-database.html",
    folder="UHD-IQA-database",
    files=(LABELS, "training/*.jpg", "validation/*.jpg", "test/*.jpg"),
    official_session=True,
    columns=(
        ("subset", "exclusive categories, of images of the validation and test parts alone; missing for the others"),
        *((name, f"number of {name} on Pixabay when the image was indexed") for name in POPULARITY),
    ),
    notes=(
        (
            "The columns are those that the README of the data set's own archive describes: image_name, quality_mos, "
            "set (training, validation or test, which are the folders too), subset and the numbers of popularity."
        ),
        f"{LABELS} comes as an archive of its own and may lie in a folder of its own name.",
        (f"With {TRAINING_LABELS}, the label file of the challenge, in its place, only the training part is read."),
        "Each image has 20 ratings: ten experts, twice each. Their standard deviation is not in the files.",
        "Images are 3840 pixels wide, of various heights.",
    ),
)


def _read(root: Path) -> Reading:
    source = find_file(root, LABELS, TRAINING_LABELS)
    table = read_text(source)
    names = table.texts("image_name")
    whole = table.has("set") or source.name.casefold() == LABELS.casefold()
    words = table.texts("set") if whole else ["training"] * len(names)
    parts = [part_of(word, table.where(row), "set") for row, word in enumerate(words)]
    files = [f"{FOLDERS[part]}/{name}" for part, name in zip(parts, names, strict=True)]
    more: dict[str, Any] = {name: table.numbers(name, optional=True) for name in POPULARITY if table.has(name)}
    if table.has("subset"):
        more = {"subset": table.optional_texts("subset"), **more}
    images = resolve_images(root, files, source)
    records = make_records(
        files,
        images.paths,
        CARD.scale,
        source,
        more=more,
        mos=table.numbers("quality_mos"),
        ratings=[20] * len(files),
        session_part=parts,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read, also=("uhd-iqa-metadata",))
