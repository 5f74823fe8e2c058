"""Reading scores by image name where a data set circulates with its score table in one of several formats."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.errors import DatasetError
from iqa_datasets.matlab import read_finite, read_strings
from iqa_datasets.tables import read_table

IMAGE_TITLES = ("image", "name", "names", "filename", "file", "dis_img_path")
SCORE_TITLES = ("mos", "score")
STD_TITLES = ("std", "mos_std")


class NamedScores(NamedTuple):
    """A table of images and their scores.

    Attributes:
        names: file names without folders, as they stand there.
        mos: their scores, shape (N,).
        std: standard deviations of the ratings, shape (N,); None where the table has none.
    """

    names: list[str]
    mos: NDArray[np.float64]
    std: NDArray[np.float64] | None


def read_named_scores(path: Path) -> NamedScores:
    """Read a ``.mat`` file with the variables ``Names`` and ``mos``, or a table (.xlsx or .xls, else CSV) with titles.

    A table has a column of images (`IMAGE_TITLES`, in any case), one of scores (`SCORE_TITLES`) and perhaps one of
    standard deviations (`STD_TITLES`).

    Raises:
        DatasetError: the file cannot be read, or lacks the images or the scores; the message says what it needs.
    """
    if path.suffix.lower() == ".mat":
        names, mos, std = read_strings(path, "Names"), read_finite(path, "mos"), None
        if len(names) != len(mos):
            raise DatasetError(
                f"{path}: Names has {len(names)} entries, mos has {len(mos)}; they are joined by position"
            )
    else:
        table = read_table(path, ("image", "mos"))
        titles = list(table.columns)
        image, score = _title(titles, IMAGE_TITLES, path), _title(titles, SCORE_TITLES, path)
        names, mos = table.texts(image), table.numbers(score)
        deviation = next((title for title in STD_TITLES if table.has(title)), None)
        std = None if deviation is None else table.numbers(deviation)
    return NamedScores([name.replace("\\", "/").rpartition("/")[2] for name in names], mos, std)


def _title(titles: Sequence[str], wanted: Sequence[str], path: Path) -> str:
    for title in titles:
        if title.casefold() in wanted:
            return title
    raise DatasetError(f"{path} must have a column titled {' or '.join(wanted)}, but has {', '.join(titles)}")
