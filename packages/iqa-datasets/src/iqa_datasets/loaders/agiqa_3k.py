"""AGIQA-3K: images that six models made from texts, rated for their quality and for how well they fit the text."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.folders import find_file, folders_there, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text

LABELS: Final = "data.csv"

CARD: Final = DatasetCard(
    name="agiqa-3k",
    title="AGIQA-3K: AI-Generated Image Quality Assessment database",
    year=2023,
    size=2982,
    kind="generated",
    scale=QualityScale(0, 5),
    subjects=21,
    licence="Not stated with the files; see the repository.",
    citation=(
        "C. Li, Z. Zhang, H. Wu, W. Sun, X. Min, X. Liu, G. Zhai and W. Lin, AGIQA-3K: An Open Database for "
        "AI-Generated Image Quality Assessment, IEEE Transactions on Circuits and Systems for Video Technology 34(8), "
        "2024"
    ),
    home_page="https://github.com/lcysyzxdxc/AGIQA-3k-Database",
    folder="AGIQA-3K",
    files=(LABELS, "images/*.jpg"),
    columns=(
        ("prompt", "the text that the image was made from"),
        ("style", "the style that the text asks for; missing where it asks for none"),
        ("generator", "the model, as the file's name has it"),
        ("mos_align", "how well the image fits the text, 0 to 5, as published"),
        ("std_align", "standard deviation of those ratings, as published"),
    ),
    notes=(
        (
            f"{LABELS} is the label file of the authors' repository lcysyzxdxc/AGIQA-3k-Database; the score is its "
            "column mos_quality. The archive holds the images alone, which may lie in images/ or beside it."
        ),
        "Each image was rated by 21 people, from 0 to 5 in steps of 0.1; the file states neither.",
        (
            "Images of one prompt have one content, by whichever model they were made: a split that separates them "
            "would show the test's texts in training."
        ),
    ),
)


def _read(root: Path) -> Reading:
    source = find_file(root, LABELS)
    table = read_text(source)
    names, prompts = table.texts("name"), table.texts("prompt")
    inside = "images/" if folders_there(root, "images") else ""
    images = resolve_images(root, [inside + name for name in names], source)
    records = make_records(
        [f"images/{name}" for name in names],
        images.paths,
        CARD.scale,
        source,
        more={
            "prompt": prompts,
            "style": table.optional_texts("style"),
            "generator": [name.split("_")[0] for name in names],
            "mos_align": table.numbers("mos_align"),
            "std_align": table.numbers("std_align"),
        },
        mos=table.numbers("mos_quality"),
        mos_std=table.numbers("std_quality"),
        content=prompts,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
