"""AVA, Aesthetic Visual Analysis: photographs from a contest site with the distribution of aesthetic ratings."""

from pathlib import Path
from typing import Final

import numpy as np

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, first_folder, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text

LABELS: Final = "AVA.txt"
LISTS: Final = {
    "train": "aesthetics_image_lists/generic_ls_train.jpgl",
    "test": "aesthetics_image_lists/generic_test.jpgl",
}
MARKS: Final = range(1, 11)

CARD: Final = DatasetCard(
    name="ava",
    title="AVA: Aesthetic Visual Analysis",
    year=2012,
    size=255530,
    kind="authentic",
    scale=QualityScale(1, 10),
    subjects=None,
    licence=(
        "Rights to all images are retained by the photographers and dpchallenge.com; the authors ask to respect the "
        "copyright and not to redistribute images or data."
    ),
    citation=(
        "N. Murray, L. Marchesotti and F. Perronnin, AVA: A Large-Scale Database for Aesthetic Visual Analysis, IEEE "
        "Conference on Computer Vision and Pattern Recognition (CVPR), 2012"
    ),
    home_page="https://github.com/imfing/ava_downloader",
    folder="AVA_dataset",
    files=(LABELS, *LISTS.values(), "images/*.jpg"),
    official_session=True,
    aesthetic=True,
    columns=(
        *((f"ratings_{mark}", f"number of ratings of {mark}") for mark in MARKS),
        ("tag_1", "number of a semantic tag, as tags.txt lists them; 0 for none"),
        ("tag_2", "number of another; 0 for none"),
        ("challenge", "number of the contest, as challenges.txt lists them"),
    ),
    notes=(
        (
            "The scores say how much people like a photograph, not how good its quality is: a sharp, plain picture "
            "has a low one. Do not mix them with those of quality."
        ),
        (
            "The columns of AVA.txt, 15 numbers between blanks, are those that the README.txt of the data set's June "
            "2012 release describes. mos and mos_std are the mean and the standard deviation of its counts."
        ),
        (
            "The official session is the large-scale experiment: generic_ls_train.jpgl for training, "
            "generic_test.jpgl for the test; images in neither have no part. There is no validation part."
        ),
        (
            "The authors do not give the images out, and copies lack some: those that are not there are left out with "
            "a warning. They may lie in images/ or, as pyiqa has them, in ava_images/."
        ),
    ),
)

_TITLES: Final = ("index", "image", *(f"ratings of {mark}" for mark in MARKS), "tag 1", "tag 2", "challenge")


def _read(root: Path) -> Reading:
    source = find_file(root, LABELS)
    table = read_text(source, separator=None, columns=_TITLES)
    names = [f"{number}.jpg" for number in table.texts("image")]
    counts = np.stack([table.numbers(f"ratings of {mark}") for mark in MARKS])
    if (wrong := np.argwhere((counts < 0) | (counts % 1 != 0))).size:
        mark, row = wrong[0]
        raise DatasetError(
            f"{table.where(row)}: the ratings of {mark + 1} must be a number from 0 on, got {counts[mark, row]:g}"
        )
    total = counts.sum(axis=0)
    if (none := np.flatnonzero(total == 0)).size:
        raise DatasetError(f"{table.where(none[0])}: there must be a rating, but all counts are 0")
    marks = np.array(MARKS, dtype=np.float64)[:, None]
    mean = (counts * marks).sum(axis=0) / total
    spread = (counts * (marks - mean) ** 2).sum(axis=0) / np.maximum(total - 1, 1)
    folder = first_folder(root, "images", "ava_images")
    images = resolve_images(root, [f"{folder}/{name}" for name in names], source)
    parts = _parts(root)
    records = make_records(
        [f"images/{name}" for name in names],
        images.paths,
        CARD.scale,
        source,
        more={
            **{f"ratings_{mark}": counts[mark - 1].astype(np.int64) for mark in MARKS},
            **{title.replace(" ", "_"): table.numbers(title).astype(np.int64) for title in _TITLES[-3:]},
        },
        mos=mean,
        mos_std=np.sqrt(spread),
        ratings=total.astype(np.int64).tolist(),
        **({} if parts is None else {"session_part": [parts.get(number) for number in table.texts("image")]}),
    )
    return Reading(records, images)


def _parts(root: Path) -> dict[str, str] | None:
    parts: dict[str, str] = {}
    for part, file in LISTS.items():
        try:
            table = read_text(find_file(root, file, file.rpartition("/")[2]), separator=None, columns=("image",))
        except FileNotFoundError:
            return None
        for row, number in enumerate(table.texts("image")):
            number = number.removesuffix(".jpg")
            if parts.setdefault(number, part) != part:
                raise DatasetError(f"{table.where(row)}: {number} stands in {LISTS[parts[number]]} too")
    return parts


LOADER: Final = Loader(CARD, _read, also=("ava_images",), incomplete=True)
