"""CID:IQ: 23 references, 6 types of distortion, 5 levels, each image rated from 50 cm and from 100 cm."""

import re
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, list_images, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.matlab import read_finite
from iqa_datasets.records import make_records

CARD_50: Final = DatasetCard(
    name="cidiq-50cm",
    title="Colourlab Image Database: Image Quality (CID:IQ), seen from 50 cm",
    year=2014,
    size=690,
    kind="synthetic",
    scale=QualityScale(1, 9),
    subjects=17,
    licence="Free of charge for research and academic purposes.",
    citation=(
        "X. Liu, M. Pedersen, J. Y. Hardeberg, CID:IQ - A New Image Quality Database, Image and Signal Processing, "
        "Lecture Notes in Computer Science 8509, Springer, 2014"
    ),
    home_page="https://www.ntnu.edu/web/colourlab/software",
    folder="CIDIQ",
    files=("MOS50.mat", "Images/Reproduction/*/*.bmp", "Images/Original/*.bmp"),
    references=23,
    distortion_types=6,
    image_sizes=((800, 800),),
    notes=(
        (
            "The scores are on nine categories, 1 to 9. The vector holds no names: it runs over the folders 1 to 6, in "
            "each over the references, and over the levels of each."
        ),
        "cidiq-50cm and cidiq-100cm are the same images in the same folder, with the scores from the two distances.",
    ),
)
CARD_100: Final = replace(
    CARD_50,
    name="cidiq-100cm",
    title="Colourlab Image Database: Image Quality (CID:IQ), seen from 100 cm",
    files=("MOS100.mat", *CARD_50.files[1:]),
)

# Folder -> name as published, class.
DISTORTION_TYPES: Final = {
    "1_JPEG2000_Compression": ("JPEG2000 compression", "JPEG2000 compression"),
    "2_JPEG_Compression": ("JPEG compression", "JPEG compression"),
    "3_Poisson_Noise": ("Poisson noise", "noise"),
    "4_Gaussian_Blur": ("Gaussian blur", "blur"),
    "5_SGCK_Gamut_Mapping": ("SGCK gamut mapping", "color-related"),
    "6_DeltaE_Gamut_Mapping": ("DeltaE gamut mapping", "color-related"),
}
LEVELS: Final = range(1, 6)
_REPRODUCTION: Final = re.compile(r"final\d\d_d\d_l\d\.", re.IGNORECASE)


def _references(root: Path) -> list[str]:
    """Return the stems of all references, finalNN: of the originals there, and of those that images were made from."""
    stems: set[str] = set()
    for folder in ("Images/Original", *(f"Images/Reproduction/{name}" for name in DISTORTION_TYPES)):
        names = (re.match(r"(final\d\d)(_d\d_l\d)?\.bmp", file.lower()) for file in list_images(root, folder))
        stems.update(name[1] for name in names if name)
    return sorted(stems)


def _read(root: Path, variable: str) -> Reading:
    source = find_file(root, f"{variable}.mat")
    mos = read_finite(source, variable)
    stems = _references(root)
    cells = [
        (folder, number, stem, level)
        for number, folder in enumerate(DISTORTION_TYPES, start=1)
        for stem in stems
        for level in LEVELS
    ]
    if len(mos) > len(cells):
        raise DatasetError(
            f"{source} has {len(mos)} entries, but {len(stems)} references in {len(DISTORTION_TYPES)} distortions of "
            f"{len(LEVELS)} levels make {len(cells)} images; they are joined by position"
        )
    chosen = list(islice(cells, len(mos)))
    # Scores of other images would do for these if one were left out, so that all must be there.
    there = sorted(
        {
            f"{folder}/{name.casefold()}"
            for folder in DISTORTION_TYPES
            for name in list_images(root, f"Images/Reproduction/{folder}")
            if _REPRODUCTION.match(name)
        }
    )
    if len(there) > len(mos):
        raise DatasetError(
            f"{source} has {len(mos)} entries, but there are {len(there)} images, such as {there[-1]}; they are joined "
            "by position"
        )
    files = [f"Images/Reproduction/{folder}/{stem}_d{number}_l{level}.bmp" for folder, number, stem, level in chosen]
    references = [f"Images/Original/{stem}.bmp" for _, _, stem, _ in chosen]
    images = resolve_images(root, [*files, *references], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD_50.scale,
        source,
        reference_path=images.paths[len(files) :],
        mos=mos,
        distortion=[DISTORTION_TYPES[folder][1] for folder, _, _, _ in chosen],
        distortion_name=[DISTORTION_TYPES[folder][0] for folder, _, _, _ in chosen],
        level=[level for _, _, _, level in chosen],
        content=references,
    )
    return Reading(records, images)


LOADER_50: Final = Loader(CARD_50, partial(_read, variable="MOS50"))
LOADER_100: Final = Loader(CARD_100, partial(_read, variable="MOS100"))
