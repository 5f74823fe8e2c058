"""KADIS-700k: 140,000 pristine images, and five levels of one distortion of each made by the authors' program."""

from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, list_folders, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.loaders.kadid_10k import TYPES
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text
from iqa_datasets.vocabulary import distortion_class

CARD: Final = DatasetCard(
    name="kadis-700k",
    title="Konstanz Artificially Distorted Image Quality Set (KADIS-700k)",
    year=2019,
    size=700_000,
    kind="synthetic",
    scale=None,
    subjects=None,
    licence="The pristine images are from Pixabay, under its licence; the terms of the set itself are not stated.",
    citation=(
        "H. Lin, V. Hosu, D. Saupe, KADID-10k: A Large-scale Artificially Distorted IQA Database, Tenth International "
        "Conference on Quality of Multimedia Experience (QoMEX), 2019"
    ),
    home_page="https://database.mmsp-kn.de/kadid-10k-database.html",
    folder="kadis700k",
    files=("kadis700k_ref_imgs.csv", "ref_imgs/*.png", "dist_imgs/*.bmp"),
    references=140_000,
    distortion_types=25,
    image_sizes=((512, 384),),
    notes=(
        "There are no scores. The table kadis700k_ref_imgs.csv gives each reference the number of one distortion.",
        (
            "The distorted images are not distributed: the authors' generate_kadis700k.m writes them into dist_imgs/, "
            "which must be complete."
        ),
        (
            "The distortions are those of KADID-10k; its colour saturation, mean shift and contrast change go both ways"
            " around the original, so that a higher level is not always worse."
        ),
    ),
)

LEVELS: Final = range(1, 6)


def _read(root: Path) -> Reading:
    source = find_file(root, "kadis700k_ref_imgs.csv")
    table = read_text(source)
    titles = list(table.columns)
    if len(titles) < 2:
        raise DatasetError(f"{source} must have a column of references and one of distortions, got {', '.join(titles)}")
    names, numbers = table.texts(titles[0]), table.numbers(titles[1])
    made = next((root / name for name in list_folders(root, "") if name.lower() == "dist_imgs"), None)
    if made is None or not any(made.iterdir()):
        raise FileNotFoundError(
            f"{root / 'dist_imgs'} holds no images: they are not distributed, run the authors' generate_kadis700k.m"
        )
    numbered = dict(enumerate(TYPES, start=1))
    files: list[str] = []
    references: list[str] = []
    levels: list[int] = []
    kinds: list[tuple[str, str]] = []
    for row, (name, number) in enumerate(zip(names, numbers, strict=True)):
        if number not in numbered:
            raise DatasetError(
                f"{table.where(row)}: {titles[1]} must be a whole number from 1 to {len(TYPES)}, got {number:g}"
            )
        # The authors' program takes what stands before the first dot.
        stem = f"dist_imgs/{name.split('.')[0]}_{number:02.0f}"
        files += [f"{stem}_{level:02}.bmp" for level in LEVELS]
        references += [f"ref_imgs/{name}"] * len(LEVELS)
        kinds += [numbered[int(number)]] * len(LEVELS)
        levels += LEVELS
    images = resolve_images(root, [*files, *references], source)
    classes = {liqe: distortion_class(liqe) for _, liqe in TYPES}
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        reference_path=images.paths[len(files) :],
        distortion=[classes[liqe] for _, liqe in kinds],
        distortion_name=[name for name, _ in kinds],
        level=levels,
        content=references,
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
