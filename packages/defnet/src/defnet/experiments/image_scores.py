"""Scores of a set of images: by a model, or from a table that anything may have written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defnet.config.data import Session
from defnet.data.mixture import official_path
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.errors import DataError
from defnet.scoring.score_files import ScoreFile
from defnet.scoring.scorer import load_scorer
from defnet.scoring.scores import Failure
from iqa_datasets import DatasetError, find_images

Array = NDArray[np.float64]

Better = Literal["higher", "lower"]

TABLES: Final = (".csv", ".tsv", ".parquet")
"""Suffixes of tables of scores; anything else is a model."""

_IMAGE_COLUMNS: Final = ("image", "path")
_OF_A_RUN: Final = {"part", "score", "expected_quality", "quality"}


@dataclass(frozen=True)
class ImageSet:
    """Images that are scored.

    Attributes:
        files: their files.
        names: what each is called: its path from the folder or the data set, with forward slashes.
        ratings: their ratings on [1, 5], higher = better; None where there are none.
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    ratings: Array | None


def images_in_folder(folder: str | Path) -> ImageSet:
    """Every image below a folder, without ratings.

    Raises:
        DataError: there is no such folder, or no image in it.
    """
    root = Path(folder).absolute()
    if not root.is_dir():
        raise DataError(f"{folder}: there is no such folder of images")
    files = tuple(Path(path) for path in find_images([str(root)]).paths)
    if not files:
        raise DataError(f"{folder}: holds no image")
    return ImageSet(files, tuple(path.absolute().relative_to(root).as_posix() for path in files), None)


def images_of_dataset(roots: DataRoots, name: str, session: Session | None = None, part: str = "all") -> ImageSet:
    """The images of a data set with their ratings.

    Args:
        roots: where data lies.
        name: the data set.
        session: the split, or None for all images.
        part: of the split, or `all`.

    Raises:
        DataError: it cannot be read, has no such part, or has images without a rating.
    """
    dataset = roots.load(name, session)
    try:
        table = ImageTable.from_datasets([dataset if part == "all" else dataset.part(part)], [name])
    except (DatasetError, ValueError) as error:
        raise DataError(str(error)) from error
    names = tuple(official_path(dataset, path) for path in table.paths)
    return ImageSet(table.paths, names, table.quality.double().numpy())


def scores_by_model(
    model: str,
    images: ImageSet,
    out: Path,
    *,
    crops: int | None = None,
    device: str | None = None,
    overwrite: bool = False,
    advance: Callable[[int], None] = lambda _: None,
    failed: Callable[[str], None] = lambda _: None,
) -> Array:
    """Score images with a model, in a table that a stopped run goes on with.

    Args:
        model: a name, a model file or the folder of a training run.
        images: the images.
        out: the table, as `defnet score --out` writes it.
        crops: sub-images an image is looked at with; the model's own number by default.
        device: where to compute.
        overwrite: start the table anew.
        advance: called with the number of images each time some are done.
        failed: called with a sentence for each image that cannot be scored.

    Returns:
        The scores, (n,); NaN where an image cannot be scored.
    """
    scorer = load_scorer(model, device=device, crops=crops)
    table = ScoreFile(out, scorer.provenance | {"frames": "first"}, overwrite=overwrite)
    try:
        paths = [str(path) for path in images.files]
        table.settle(paths)
        advance(len(table.done))
        for result in scorer.stream([path for path in paths if path not in table.done]):
            if isinstance(result, Failure):
                failed(f"{result.path}: {result.reason}")
            else:
                table.write(result)
            advance(1)
    finally:
        table.close()
    return scores_in_table(out, images)


def scores_in_table(
    path: str | Path,
    images: ImageSet,
    *,
    image_column: str | None = None,
    score_column: str | None = None,
    better: Better | None = None,
    side: str = "",
) -> Array:
    """Read the scores of images from a table.

    Rows are found by the image's path, its name in the set, or its file's name where no other image has that.

    Args:
        path: CSV, tab-separated or Parquet with a column of images and one of scores: what `defnet score` writes, the
            `predictions.parquet` of a run, or any other.
        images: the images.
        image_column: by default `image` or `path`.
        score_column: by default `quality`, or else `score`; a run's score is its `score`.
        better: which end is better; higher by default for `quality` and for a run's score, and to be said for others.
        side: what messages call the table in options, such as `b.`.

    Returns:
        The scores, (n,), turned round where lower is better; NaN for images that it has no finite score of.

    Raises:
        DataError: it cannot be read, a column or the direction is to be said, or an image stands in it twice.
    """
    table = _read(Path(path))
    of_a_run = set(table.columns) >= _OF_A_RUN
    titles = ", ".join(map(str, table.columns))
    here = [name for name in _IMAGE_COLUMNS if name in table]
    image = image_column or (here[0] if here else None)
    scores = [name for name in ("score",) if of_a_run] or [name for name in ("quality", "score") if name in table]
    if score_column is None and len(scores) > 1:
        raise DataError(f"{path}: has both {' and '.join(scores)}; say which holds scores: --column {side}score=TITLE")
    score = score_column or (scores[0] if scores else None)
    for what, column in (("image", image), ("score", score)):
        if column is None:
            raise DataError(f"{path}: which column holds the {what}s? --column {side}{what}=TITLE; it has {titles}")
        if column not in table:
            raise DataError(f"{path}: has no column {column!r}; it has {titles}")
    direction = better or ("higher" if score == "quality" or (of_a_run and score == "score") else None)
    if direction is None:
        which = f"{side.rstrip('.')}=" if side else ""
        raise DataError(f"{path}: say which way {score!r} goes: --better {which}higher or --better {which}lower")
    if "frame" in table:
        table = table[table["frame"].fillna(1) == 1]
    try:
        values = pd.to_numeric(table[score], errors="coerce").to_numpy(float)
    except OverflowError as error:  # pandas' own, at a whole number of more than 308 digits
        raise DataError(f"{path}: a value of {score!r} is no number that a computer holds ({error})") from error
    found = _found(images, [str(name).replace("\\", "/") for name in table[image]], str(path))
    matched = np.array([np.nan if row is None else values[row] for row in found], float)
    matched[~np.isfinite(matched)] = np.nan
    if np.isnan(matched).all():
        raise DataError(
            f"{path}: has no score of any of the {len(found)} images; its first is {table[image].iloc[0]!r}"
        )
    return -matched if direction == "lower" else matched


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep="\t" if path.suffix.lower() == ".tsv" else ",")
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such table of scores") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table of scores: {error}") from error
    if table.empty:
        raise DataError(f"{path}: holds no row")
    return table


def _found(images: ImageSet, names: Sequence[str], table: str) -> list[int | None]:
    """The table's row of each image."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        if name in rows:
            raise DataError(f"{table}: {name} stands in it twice")
        rows[name] = row
    files = _by_file_name(names)
    alone = _by_file_name(images.names)
    found: list[int | None] = []
    for path, name in zip(images.files, images.names, strict=True):
        keys = (name, path.as_posix(), path.absolute().as_posix())
        here: int | None = next((rows[key] for key in keys if key in rows), None)
        if here is None and alone.get(path.name) is not None:
            here = files.get(path.name)
        found.append(here)
    return found


def _by_file_name(names: Sequence[str]) -> dict[str, int | None]:
    """Which name has this last part, by its number, where only one has it; None where several have."""
    found: dict[str, int | None] = {}
    for number, name in enumerate(names):
        last = name.rsplit("/", 1)[-1]
        found[last] = None if last in found else number
    return found
