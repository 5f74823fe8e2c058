"""KADID-10k, the Konstanz Artificially Distorted Image quality Database: 25 distortions at 5 levels."""

import re
from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_labels, resolve_images
from iqa_datasets.loaders import LiqeFiles, Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text
from iqa_datasets.vocabulary import distortion_class

CARD: Final = DatasetCard(
    name="kadid-10k",
    title="KADID-10k: Konstanz Artificially Distorted Image quality Database",
    year=2019,
    size=10125,
    kind="synthetic",
    scale=QualityScale(1, 5),
    subjects=2209,
    licence=(
        "Not stated for the scores, which are given out for download; the pristine images are from Pixabay, under its "
        "licence."
    ),
    citation=(
        "H. Lin, V. Hosu and D. Saupe, KADID-10k: A Large-scale Artificially Distorted IQA Database, Tenth "
        "International Conference on Quality of Multimedia Experience (QoMEX), 2019"
    ),
    home_page="https://database.mmsp-kn.de/kadid-10k-database.html",
    folder="kadid10k",
    files=("dmos.csv", "images/*.png"),
    references=81,
    distortion_types=25,
    image_sizes=((512, 384),),
    liqe_labels=True,
    notes=(
        (
            "Copies by others are read too: nested as kadid10k/kadid10k/, and with kadid10k.csv for dmos.csv, as a "
            "re-upload on Kaggle has it (the same columns dist_img, ref_img and dmos; var may be missing)."
        ),
        (
            "Without dmos.csv, the labels are read from meta_info_KADID10kDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it."
        ),
        (
            "The column dmos of dmos.csv is higher = better, in spite of its name: the mean of degradation category "
            "ratings from 1 (very annoying) to 5 (imperceptible)."
        ),
        (
            "mos_std is the column var of dmos.csv as it stands. It is no variance, in spite of its name: read as the "
            "standard deviation of 30 ratings, it belongs to whole marks in 98 % of the rows; read as their variance, "
            "in 1 %, no more than by chance."
        ),
        "Color shift is class blur in the map of LIQE's names to 11 classes that DEFNet uses, though it moves colours.",
        (
            "Mean shift, contrast change and the two changes of saturation go both ways around the original: their "
            "levels are settings, not steps of severity."
        ),
    ),
)

# Distortions 01 to 25: the name in the paper, and LIQE's.
TYPES: Final = (
    ("Gaussian blur", "gaussian blur"),
    ("Lens blur", "lens"),
    ("Motion blur", "motion"),
    ("Color diffusion", "diffusion"),
    ("Color shift", "shifting"),
    ("Color quantization", "color quantization"),
    ("Color saturation 1", "oversaturation"),
    ("Color saturation 2", "desaturation"),
    ("JPEG2000", "jpeg2000 compression"),
    ("JPEG", "jpeg compression"),
    ("White noise", "white noise"),
    ("White noise in color component", "white with color"),
    ("Impulse noise", "impulse"),
    ("Multiplicative noise", "multiplicative"),
    ("Denoise", "white noise with denoise"),
    ("Brighten", "brighten"),
    ("Darken", "darken"),
    ("Mean shift", "shifting the mean"),
    ("Jitter", "jitter"),
    ("Non-eccentricity patch", "noneccentricity patch"),
    ("Pixelate", "pixelate"),
    ("Quantization", "quantization"),
    ("Color block", "color blocking"),
    ("High sharpen", "sharpness"),
    ("Contrast change", "contrast"),
)
_NAME: Final = re.compile(r"(I\d\d)_(\d\d)_0([1-5])\.png", re.IGNORECASE)


def _read(root: Path) -> Reading:
    source = find_labels(root, "dmos.csv", "kadid10k.csv", pyiqa="KADID10k")
    table = read_text(source)
    names, references = (table.texts(table.first_of(f"{kind}_img", f"{kind}_name")) for kind in ("dist", "ref"))
    types, levels = [], []
    for row, (name, reference) in enumerate(zip(names, references, strict=True)):
        found = _NAME.fullmatch(name)
        if found is None or not 1 <= int(found[2]) <= len(TYPES):
            raise DatasetError(f"{table.where(row)}: dist_img must be named like I01_25_05.png, got {name!r}")
        if reference.casefold() != f"{found[1]}.png".casefold():
            raise DatasetError(f"{table.where(row)}: ref_img of {name} must be {found[1]}.png, got {reference!r}")
        types.append(TYPES[int(found[2]) - 1])
        levels.append(int(found[3]))
    spread = table.first_of("var", "std")
    # As the notes of the card say; copies by others may lack it.
    lacking = not table.has(spread) and source.name.casefold() != "dmos.csv"
    deviation = np.full(len(table), np.nan) if lacking else table.numbers(spread)
    if (wrong := np.flatnonzero(deviation < 0)).size:
        raise DatasetError(f"{table.where(wrong[0])}: {spread} must be a number from 0 on, got {deviation[wrong[0]]:g}")
    files = [f"images/{name}" for name in names]
    # The case of letters has no meaning, and one reference is one content.
    contents = [f"images/I{reference[1:3]}.png" for reference in references]
    images = resolve_images(root, [*files, *contents], source)
    classes = {liqe: distortion_class(liqe) for _, liqe in TYPES}
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        mos=table.numbers(table.first_of("dmos", "mos")),
        mos_std=deviation,
        reference_path=images.paths[len(files) :],
        distortion=[classes[liqe] for _, liqe in types],
        distortion_name=[name for name, _ in types],
        level=levels,
        content=contents,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read, LiqeFiles("kadid10k", "kadid10k", names=dict(TYPES)), also=("kadid10k.csv",))
