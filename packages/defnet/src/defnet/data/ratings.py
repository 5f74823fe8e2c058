"""Ratings of one's own: a table beside a folder of photographs, with what its columns hold.

Nothing about them is guessed: which column holds what, the range that raters had and which end of it is better are
said, or the error says how. Reading itself is `iqa_datasets.load_folder`'s.
"""

import hashlib
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Final

import numpy as np

from defnet.config.data import Session
from defnet.errors import DataError
from iqa_datasets import DatasetError, FolderDeclaration, IQADataset, QualityScale, load_folder
from iqa_datasets.loaders.folder import read_labels
from iqa_datasets.tables import LabelTable

FEWEST: Final = 40
"""Fewest rated photographs that a run can be made of: of fewer, a part of the session would have less than the six
that a logistic fit needs."""

COLUMNS: Final = {
    "image": "the photographs' names",
    "rating": "the ratings",
    "std": "the standard deviations of their ratings",
    "count": "their numbers of ratings",
    "reference": "the pristine photographs that they were made from",
    "content": "what photographs that show the same have in common",
    "scenes": "the scenes that they show",
    "distortion": "their distortions",
    "part": "the parts, train, val and test",
}
"""What a column may hold. A column that has the word itself for its title is taken for it."""

_FIELDS: Final = {"rating": "score", "count": "ratings"}
"""Those that `FolderDeclaration` calls by another name."""

_LOWER_IS_BETTER: Final = re.compile(r"dmos|differ|degrad|distort|error|noise|impair|rank|loss", re.IGNORECASE)
"""Titles that leave the direction of a rating open."""

_NARROW: Final = 0.1


@dataclass(frozen=True)
class Ratings:
    """A table of ratings and the folder of the photographs that it names.

    Attributes:
        table: the table: `.csv`, `.tsv`, `.xlsx` or `.xls` with a row of titles.
        images: the folder that its names start in.
        scale: the range that raters had, and which end is better.
        columns: the titles of the columns that are read, by the keys of `COLUMNS`.
        name: what the data set is called.
    """

    table: Path
    images: Path
    scale: QualityScale
    columns: Mapping[str, str]
    name: str
    _declaration: FolderDeclaration = field(repr=False, compare=False)

    @property
    def has_parts(self) -> bool:
        """Whether the table says which part each photograph belongs to."""
        return "part" in self.columns

    def load(self, session: Session | None = None) -> IQADataset:
        """Read the table with a session's parts.

        Raises:
            DataError: a row is wrong or names a photograph that is not there; the message says which.
        """
        if isinstance(session, int):
            raise DataError(f"{self.name}: session {session} is one of LIQE's; take 'seeded-{session}'")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # photographs without a rating; `without_rating` tells
                return load_folder(self.images, self._declaration, table=self.table, session=session, alias=self.name)
        except FileNotFoundError as error:
            raise DataError(self._missing(error)) from error
        except (DatasetError, OSError) as error:
            raise DataError(str(error)) from error

    def without_rating(self, dataset: IQADataset) -> list[str]:
        """Photographs in the folders that the table names some of, which it has no row for, by name."""
        from iqa_datasets import find_images

        rated = {Path(path) for path in dataset.records["image_path"]}
        folders = {path.parent for path in rated}
        found = (Path(path) for path in find_images([str(self.images)]).paths)
        return sorted(
            path.relative_to(self.images.absolute()).as_posix()
            for path in (p.absolute() for p in found)
            if path.parent in folders and path not in rated
        )

    def _missing(self, error: FileNotFoundError) -> str:
        """What is said of photographs that are not there: the first one's row, and where they may be."""
        if not self.images.is_dir() or not self.table.is_file():
            return str(error)
        labels = read_labels(self.table, self._declaration)
        names = labels.texts(self.columns["image"])
        missing = [row for row, name in enumerate(names) if not (self.images / name).is_file()]
        if not missing:  # a reference
            return str(error)
        first = names[missing[0]]
        alike = sorted(path.name for path in self.images.glob(f"{_escaped(first)}.*"))
        hint = ""
        if (self.images.parent / first).is_file():
            hint = f"; is it --images {self.images.parent}?"
        elif alike:
            hint = f"; there is {alike[0]}: names need their endings"
        count = f", and {len(missing)} of the {len(names)} rows in all" if len(missing) > 1 else ""
        return f"{labels.where(missing[0])}: there is no photograph {first} in {self.images}{count}{hint}"


def declare_ratings(
    table: str | PathLike[str],
    images: str | PathLike[str] | None = None,
    *,
    scale: tuple[float, float] | None = None,
    lower_is_better: bool | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
) -> Ratings:
    """Say what a table of ratings holds, and check all that can be checked without the photographs.

    Args:
        table: `.csv`, `.tsv`, `.xlsx` or `.xls` with a row of titles.
        images: the folder that the names in it start in; the table's own by default.
        scale: the range that raters had, lowest and highest.
        lower_is_better: which end is better; higher by default, except where the title leaves it open.
        columns: titles by the keys of `COLUMNS`; a column that has the key itself for its title need not be named.
        name: what to call the data set; the table's name without its ending by default.

    Raises:
        DataError: something is not said, or a row is wrong; the message says what was seen and which option says it.
    """
    path = Path(table).expanduser()
    folder = Path(images).expanduser() if images is not None else path.absolute().parent
    chosen = {key: title.strip() for key, title in (columns or {}).items()}
    for key in chosen:
        if key not in COLUMNS:
            raise DataError(f"--column {key}=…: there is no such kind of column; there are {', '.join(COLUMNS)}")
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of photographs (--images)")
    try:
        labels = read_labels(path, FolderDeclaration(labels=path.name, image="image"))
        _choose_columns(labels, chosen)
        limits = _checked_scale(labels, chosen["rating"], scale, lower_is_better)
        fields: dict[str, Any] = {_FIELDS.get(key, key): title for key, title in chosen.items()}
        declaration = FolderDeclaration(labels=path.name, scale=limits, title=name or path.stem, **fields)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such table of ratings") from error
    except (DatasetError, OSError) as error:
        raise DataError(str(error)) from error
    called = name or re.sub(r"[^\w.-]+", "-", path.stem).strip("-") or "ratings"
    return Ratings(path, folder, limits, chosen, called, declaration)


def check_enough(dataset: IQADataset, table: str | Path) -> None:
    """Refuse what no run can be made of: too few photographs, or ratings that are all the same.

    Raises:
        DataError: the message says how many are needed.
    """
    if len(dataset) < FEWEST:
        raise DataError(f"{table}: has {len(dataset)} rated photographs; training needs {FEWEST} or more")
    ratings = dataset.records["mos"].to_numpy()
    for part in ("train", "val"):
        chosen = ratings[(dataset.records["session_part"] == part).to_numpy()]
        if len(chosen) < 6:
            raise DataError(
                f"{table}: session {dataset.session} leaves {len(chosen)} photographs for {part}, and 6 or more are "
                f"needed; {_why_few(dataset)}"
            )
        if np.ptp(chosen) == 0:
            raise DataError(f"{table}: all ratings of the part {part} are {chosen[0]:g}; nothing can be told from them")


def content_digest(dataset: IQADataset) -> str:
    """A SHA-256 over all that a run takes from the table: names, ratings, labels and parts, in order."""
    digest = hashlib.sha256()
    for record in dataset:
        image = Path(record.image_path).relative_to(dataset.root).as_posix()
        row = (image, record.mos, sorted(record.scenes), record.distortion, record.session_part)
        digest.update(f"{row!r}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _why_few(dataset: IQADataset) -> str:
    contents = dataset.records["content"].nunique()
    if contents < len(dataset):
        return f"the {len(dataset)} photographs show {contents} contents, which stay together"
    return "photographs that look the same stay together; give more, or other shares, --session seeded-1:0.6/0.2/0.2"


def _choose_columns(labels: LabelTable, chosen: dict[str, str]) -> None:
    """Add the columns whose titles say what they hold, and ask for those that are needed."""
    titles = list(labels.columns)
    for key, title in chosen.items():
        if not labels.has(title):
            raise DataError(f"{labels.path}: --column {key}={title}: there is no such column; {_seen(labels)}")
    for key in COLUMNS:
        if key not in chosen and (own := [title for title in titles if title.casefold() == key]):
            chosen[key] = own[0]
    for key in ("image", "rating"):
        if key not in chosen:
            raise DataError(
                f"{labels.path}: which column holds {COLUMNS[key]}? Say --column {key}=TITLE; {_seen(labels)}"
            )
    for title in chosen.values():
        if (keys := [key for key, other in chosen.items() if other == title])[1:]:
            raise DataError(f"{labels.path}: column {title!r} cannot be both {keys[0]} and {keys[1]}")


def _checked_scale(
    labels: LabelTable, title: str, scale: tuple[float, float] | None, lower_is_better: bool | None
) -> QualityScale:
    """The scale, once it is said and all ratings lie on it."""
    if not len(labels):
        raise DataError(f"{labels.path}: has no row of ratings")
    ratings = labels.numbers(title)
    low, high = float(ratings.min()), float(ratings.max())
    if scale is None:
        raise DataError(
            f"{labels.path}: on which scale are the ratings? Say the range that raters had, --range LOW HIGH (for "
            f"example --range 1 5); the ratings in {title!r} go from {low:g} to {high:g}"
        )
    if lower_is_better is None and _LOWER_IS_BETTER.search(title):
        raise DataError(
            f"{labels.path}: the title {title!r} leaves open which end of the scale is better; say --lower-is-better "
            "or --higher-is-better"
        )
    limits = QualityScale(*scale, higher_is_better=not lower_is_better)
    outside = np.flatnonzero((ratings < limits.low) | (ratings > limits.high))
    if outside.size:
        row = int(outside[0])
        raise DataError(
            f"{labels.where(row)}: {title} is {ratings[row]:g}, outside --range {limits.low:g} {limits.high:g}; the "
            f"ratings go from {low:g} to {high:g}"
        )
    if low == high:
        raise DataError(f"{labels.path}: all {len(ratings)} ratings are {low:g}; nothing can be learnt from them")
    return limits


def narrow(ratings: Ratings, dataset: IQADataset) -> str | None:
    """A word of warning where the ratings use so little of the range that it is likely another scale's."""
    low, high = float(dataset.records["mos"].min()), float(dataset.records["mos"].max())
    share = (high - low) / (ratings.scale.high - ratings.scale.low)
    if share >= _NARROW:
        return None
    return (
        f"the ratings go from {low:g} to {high:g}, {share:.0%} of the range from {ratings.scale.low:g} to "
        f"{ratings.scale.high:g}; is --range right?"
    )


def _seen(labels: LabelTable) -> str:
    """The columns and the first row, for whoever must say what they hold."""
    first: Sequence[Any] = [values[0] for values in labels.columns.values()] if len(labels) else []
    row = f" (first row: {', '.join(map(str, first))})" if first else ""
    return f"its columns are {', '.join(labels.columns)}{row}"


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[\]])", r"[\1]", name)
