"""KonIQ-10k: photographs from the internet, rated by a crowd, with the distribution of ratings and a split."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_labels, first_folder, resolve_images
from iqa_datasets.loaders import SINGLE_PRECISION, LiqeFiles, Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_text
from iqa_datasets.vocabulary import part_of

SCORES: Final = "koniq10k_scores_and_distributions.csv"
SETS: Final = "koniq10k_distributions_sets.csv"

CARD: Final = DatasetCard(
    name="koniq-10k",
    title="KonIQ-10k: Konstanz Natural Image Quality Database",
    year=2018,
    size=10073,
    kind="authentic",
    scale=QualityScale(1, 5),
    subjects=1459,
    licence=(
        "Not stated for the scores, which are given out for download; the photographs are from YFCC100M, under the "
        "Creative Commons licences that their makers chose."
    ),
    citation=(
        "V. Hosu, H. Lin, T. Sziranyi and D. Saupe, KonIQ-10k: An Ecologically Valid Database for Deep Learning of "
        "Blind Image Quality Assessment, IEEE Transactions on Image Processing 29, 2020"
    ),
    home_page="https://database.mmsp-kn.de/koniq-10k-database.html",
    folder="koniq-10k",
    files=(SCORES, SETS, "1024x768/*.jpg"),
    image_sizes=((1024, 768), (512, 384)),
    official_session=True,
    liqe_labels=True,
    columns=tuple((f"ratings_{mark}", f"number of ratings of {mark}") for mark in range(1, 6)),
    notes=(
        (
            f"Scores are the mean opinion scores from 1 to 5, the column MOS of {SCORES}. The column MOS of {SETS} and "
            "MOS_zscore are on another scale, from 1 to 100, and are not read."
        ),
        f"With only {SETS} at hand, the mean and the standard deviation are computed from its counts of ratings.",
        f"The authors' split is the column set of {SETS}; without that file there is no official session.",
        (
            "The pictures may be those of 1024x768/ or, where that folder is not there, of 512x384/, also where an "
            "archive was unpacked into a folder of its own name, as in koniq10k_512x384/512x384/."
        ),
        (
            "Without either table, the labels are read from meta_info_KonIQ10kDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it; its scores are on the scale from 1 to 100, too."
        ),
    ),
)

_FOLDERS: Final = (
    "1024x768",
    "koniq10k_1024x768",
    "koniq10k_1024x768/1024x768",
    "512x384",
    "koniq10k_512x384",
    "koniq10k_512x384/512x384",
)
_MARKS: Final = range(1, 6)


def _read(root: Path) -> Reading:
    source = find_labels(root, SCORES, SETS, pyiqa="KonIQ10k")
    table = read_text(source)
    names = table.texts(table.first_of("image_name", "img_name"))
    ratings = table.numbers("c_total")
    if (wrong := np.flatnonzero((ratings < 1) | (ratings % 1 != 0))).size:
        raise DatasetError(
            f"{table.where(wrong[0])}: c_total must be a whole number from 1 on, got {ratings[wrong[0]]:g}"
        )
    counts = np.stack([table.numbers(f"c{mark}") for mark in _MARKS])
    if (wrong := np.flatnonzero((counts.sum(axis=0) != ratings) | (counts < 0).any(axis=0))).size:
        raise DatasetError(f"{table.where(wrong[0])}: c1 to c5 must be counts that add up to c_total")
    if source.name.casefold() == SCORES.casefold():
        mos, deviation = table.numbers("MOS"), table.numbers("SD")
        try:
            sets: LabelTable | None = read_text(find_file(root, SETS))
        except FileNotFoundError:
            sets = None
    else:
        mos, deviation = _mean_and_deviation(counts, ratings)
        sets = table
    columns = {} if sets is None else {"session_part": _parts(sets, names, source)}
    folder = first_folder(root, *_FOLDERS)
    images = resolve_images(root, [f"{folder}/{name}" for name in names], source)
    records = make_records(
        [f"{_FOLDERS[0]}/{name}" for name in names],
        images.paths,
        CARD.scale,
        source,
        more={f"ratings_{mark}": counts[mark - 1].astype(np.int64) for mark in _MARKS},
        mos=mos,
        mos_std=deviation,
        ratings=ratings.astype(np.int64).tolist(),
        **columns,
    )
    return Reading(records, images)


def _mean_and_deviation(counts: NDArray[np.float64], ratings: NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array(_MARKS, dtype=np.float64)[:, None]
    mean = (counts * scores).sum(axis=0) / ratings
    spread = (counts * (scores - mean) ** 2).sum(axis=0)
    return mean, np.sqrt(spread / np.maximum(ratings - 1, 1))


def _parts(sets: LabelTable, names: list[str], source: Path) -> list[str]:
    listed, column = sets.texts(sets.first_of("image_name", "img_name")), sets.first_of("set", "split")
    parts: dict[str, str] = {}
    for row, (name, part) in enumerate(zip(listed, sets.texts(column), strict=True)):
        if name in parts:
            raise DatasetError(f"{sets.path} lists {name} more than once")
        parts[name] = part_of(part, sets.where(row), column)
    for missing in names:
        if missing not in parts:
            raise DatasetError(f"{sets.path} has no row for {missing}, which {source.name} lists")
    if len(parts) > len(set(names)):
        extra = next(name for name in listed if name not in set(names))
        raise DatasetError(f"{source} has no row for {extra}, which {sets.path.name} lists, so it is without a label")
    return [parts[name] for name in names]


LOADER: Final = Loader(CARD, _read, LiqeFiles("koniq-10k", "koniq10k", rounding=SINGLE_PRECISION), also=_FOLDERS)
