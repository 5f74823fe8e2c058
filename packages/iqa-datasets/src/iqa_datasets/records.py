"""The table that every data set becomes, the check of its schema, and the object that carries it."""

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.vocabulary import DISTORTIONS, PARTS, SCENES

SCHEMA: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "image_path": pd.StringDtype(),
        "reference_path": pd.StringDtype(),
        "mos": np.dtype("float64"),
        "mos_std": np.dtype("float64"),
        "ratings": pd.Int64Dtype(),
        "quality": np.dtype("float64"),
        "distortion": pd.CategoricalDtype(list(DISTORTIONS)),
        "distortion_name": pd.StringDtype(),
        "level": pd.Int64Dtype(),
        "scenes": np.dtype("object"),
        "content": pd.StringDtype(),
        "session_part": pd.CategoricalDtype(list(PARTS)),
    }
)
"""Columns of `IQADataset.records` in order, and their dtypes. What is not known is missing, in the column's own type.
Further columns, of the data set or of the user, may stand beside them.

- image_path (string): absolute path, as the file is named on disk; unique.
- reference_path (string): the pristine image that it was made from; missing where there is none.
- mos (float64): the score as published, on the card's scale; NaN where there is none.
- mos_std (float64): standard deviation as published, on the same scale: of the ratings, or of their mean where the
  card's notes say so; NaN where not published.
- ratings (Int64): number of ratings; missing where not published.
- quality (float64): mos mapped linearly from the documented range to [1, 5], higher = better.
- distortion (category of `DISTORTIONS`): class of the distortion; its codes are positions in `DISTORTIONS`.
- distortion_name (string): the distortion's name as published.
- level (Int64): step of severity, 1 the mildest; missing where there are no steps.
- scenes (object): tuple of `SCENES`, one to three in LIQE's label files; the empty tuple where not known.
- content (string): images with the same value show the same and must not be split; never missing. Images of one
  reference have one content.
- session_part (category of `PARTS`): part of the session that was asked for; missing without a session.
"""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of the table as a typed object; the fields are the columns of `SCHEMA`, None for what is missing.

    Attributes:
        more: the values of further columns by their names, None for what is missing.
    """

    image_path: str
    reference_path: str | None
    mos: float | None
    mos_std: float | None
    ratings: int | None
    quality: float | None
    distortion: str | None
    distortion_name: str | None
    level: int | None
    scenes: tuple[str, ...]
    content: str
    session_part: str | None
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, eq=False, repr=False)
class IQADataset:
    """A data set, or a selection from it, as one checked table.

    It has a length, iterates over `Record` objects and gives one by position, so that it can stand where a sequence
    of samples is wanted. The table is not to be changed in place: `select` and `with_columns` make a new data set.

    Args:
        card: what is known about the data set.
        root: its official folder.
        records: one row an image, with the columns and dtypes of `SCHEMA`, and any others beside them. Its index is
            replaced by 0, 1, ….
        session: the session that ``session_part`` belongs to, if one was asked for: a number of LIQE's, ``"official"``,
            or the name of a seeded one.

    Raises:
        DatasetError: the table does not have the schema, or a value is not what its column documents.
    """

    card: DatasetCard
    root: Path
    records: pd.DataFrame
    session: int | str | None = None

    def __post_init__(self) -> None:
        check_records(self.records, self.card.scale)
        object.__setattr__(self, "records", self.records.reset_index(drop=True))

    @property
    def name(self) -> str:
        """The data set's id, as `load` takes it, or the ``alias`` under which it was loaded."""
        return self.card.name

    def part(self, part: str) -> "IQADataset":
        """Return the rows of one part of the session, in the order they have here.

        Args:
            part: ``"train"``, ``"val"`` or ``"test"``.

        Raises:
            DatasetError: there is no such part, no session was loaded, or none of its rows is left here.
        """
        if part not in PARTS:
            raise DatasetError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
        if self.session is None:
            raise DatasetError(f"part {part!r} needs a session: load {self.name!r} with session=1 to 10 or 'seeded-1'")
        chosen = self.records["session_part"] == part
        if not chosen.any():
            raise DatasetError(f"{self!r} has no row of part {part!r}")
        return self.select(chosen)

    def select(self, rows: ArrayLike) -> "IQADataset":
        """Return a data set of the chosen rows, with all columns.

        Args:
            rows: a boolean mask of shape ``(len(self),)``, or row positions in the order wanted. What is missing in a
                mask is not chosen: ``records["level"] >= 3`` leaves out the rows that have no level.

        Raises:
            DatasetError: the mask has another length, or a position lies outside.
        """
        chosen = _without_missing(np.asarray(rows))
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise DatasetError(f"a mask for {len(self)} rows must have shape ({len(self)},), got {chosen.shape}")
            chosen = np.flatnonzero(chosen)
        elif chosen.size == 0:
            chosen = chosen.astype(np.intp)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise DatasetError("rows must be a boolean mask or a flat list of row positions")
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise DatasetError(f"row positions must lie in 0 to {len(self) - 1}, got {chosen.min()} to {chosen.max()}")
        return IQADataset(self.card, self.root, self.records.iloc[chosen], self.session)

    def with_columns(self, columns: Mapping[str, ArrayLike] | pd.DataFrame) -> "IQADataset":
        """Return the data set with columns of one's own beside those of `SCHEMA`: a metric's scores, features, notes.

        They are kept by `select`, `part` and whatever writes the table, and stand in `Record.more`. A column of one's
        own that is there already is replaced.

        Args:
            columns: by name the values, one for each row in the order of ``records``; of a DataFrame, too, the rows
                are taken in their order and not by their index.

        Raises:
            DatasetError: a name is one of `SCHEMA` or no text, or there are more or fewer values than rows.

        Example:
            >>> import tempfile
            >>> from iqa_datasets import load
            >>> from iqa_datasets.testing import make_fake
            >>> dataset = load("live-challenge", make_fake("live-challenge", tempfile.mkdtemp(), images=10).root)
            >>> scored = dataset.with_columns({"brisque": range(10)})
            >>> scored.select(scored.records["brisque"] > 7)[0].more["brisque"]
            8
        """
        added = {}
        for name, given in dict(columns).items():
            values: Any = given
            if name in SCHEMA:
                raise DatasetError(f"column {name!r} is the data set's own; give yours another name")
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise DatasetError(
                    f"column {name!r} must have a value for each of the {len(self)} rows, got {values!r}"
                )
            values = values if isinstance(values, Sized) else list(values)
            if len(values) != len(self):
                raise DatasetError(
                    f"column {name!r} must have a value for each of the {len(self)} rows, got {len(values)}"
                )
            if isinstance(values, np.ndarray) and values.ndim > 1:
                values = list(values)  # one array a row
            added[name] = values.array if isinstance(values, pd.Series) else values
        rest = self.records.drop(columns=[name for name in added if name in self.records.columns])
        joined = pd.concat([rest, pd.DataFrame(added, index=rest.index)], axis=1)
        return IQADataset(self.card, self.root, joined, self.session)

    @cached_property
    def _rows(self) -> list[Record]:
        rows = zip(*(_values(self.records[name]) for name in SCHEMA), strict=True)
        own = [name for name in self.records.columns if name not in SCHEMA]
        if not own:
            return [Record(*row) for row in rows]
        more = zip(*(_values(self.records[name]) for name in own), strict=True)
        return [Record(*row, *[dict(zip(own, values, strict=True))]) for row, values in zip(rows, more, strict=True)]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, position: int) -> Record:
        return self._rows[position]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._rows)

    def __repr__(self) -> str:
        text = f"IQADataset({self.name!r}, {len(self)} images"
        if self.session is not None:
            counts = self.records["session_part"].value_counts(sort=False)
            text += f", session {self.session}: " + ", ".join(f"{n} {part}" for part, n in counts.items() if n)
        return text + ")"


def _values(column: pd.Series) -> list[Any]:
    """Return a column's values as Python's own, with None for what is missing."""
    values = column.astype(object)
    return [None if _is_missing(value) else value for value in values.tolist()]


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _without_missing(rows: NDArray[Any]) -> NDArray[Any]:
    """Return a mask that has missing values, and so is of objects, as booleans; anything else as it is."""
    if rows.dtype != object or rows.ndim != 1 or not rows.size:
        return rows
    if not all(_is_missing(value) or isinstance(value, bool | np.bool_) for value in rows):
        return rows
    return np.array([not _is_missing(value) and bool(value) for value in rows])


def make_records(
    files: Sequence[str],
    image_path: Sequence[str],
    scale: QualityScale | None,
    source: Path,
    more: Mapping[str, Any] | None = None,
    **columns: Sequence[object] | NDArray[np.float64],
) -> pd.DataFrame:
    """Build a table with the schema from the columns that a data set publishes; the others are missing.

    Args:
        files: official paths relative to the data set's folder, with forward slashes: the index, named ``file``.
        image_path: absolute paths on disk.
        scale: scale of ``mos``; ``quality`` is computed from it.
        source: the file that the scores were read from, for messages.
        more: columns of the data set's own beside those of the schema, one value a row.
        columns: further columns of `SCHEMA`, one value a row. ``content`` is the file itself if not given.

    Raises:
        DatasetError: an image stands in several rows, or a score is not a finite number in the documented range; the
            message names the image.
    """
    if len(set(files)) < len(files):
        seen: set[str] = set()
        again = next(file for file in files if file in seen or seen.add(file))  # type: ignore[func-returns-value]
        raise DatasetError(f"{source} lists {again} more than once")
    given: dict[str, Any] = {"image_path": image_path, "content": files, **columns}
    if scale is not None:
        mos = np.asarray(given["mos"], dtype=np.float64)
        wrong = np.flatnonzero(~((mos >= scale.low) & (mos <= scale.high)))
        if wrong.size:
            raise DatasetError(
                f"{source}: the score of {files[wrong[0]]} is {mos[wrong[0]]:g}, outside the documented range "
                f"[{scale.low:g}, {scale.high:g}]{f' ({wrong.size} rows in all)' if wrong.size > 1 else ''}"
            )
        given["quality"] = scale.to_quality(mos)
    empty: dict[str, Any] = {"float64": np.nan, "object": ()}
    data = {}
    for name, dtype in SCHEMA.items():
        values = given[name] if name in given else [empty.get(str(dtype), pd.NA)] * len(files)
        data[name] = pd.Series(values, dtype=dtype)
    for name, values in (more or {}).items():
        data[name] = pd.Series(values)
    return pd.DataFrame(data).set_index(pd.Index(files, name="file"))


def check_records(records: pd.DataFrame, scale: QualityScale | None) -> None:
    """Raise `DatasetError` unless the table has the columns, dtypes and values that `SCHEMA` documents.

    Columns of other names may stand beside them, each name once and a text.
    """
    if [name for name in records.columns if name in SCHEMA] != list(SCHEMA):
        missing = [name for name in SCHEMA if name not in records.columns]
        raise DatasetError(
            f"records must have the columns {', '.join(SCHEMA)} in this order, each once"
            + (f"; missing: {', '.join(missing)}" if missing else "")
        )
    own = [name for name in records.columns if name not in SCHEMA]
    for name in own:
        if not isinstance(name, str) or not name.strip():
            raise DatasetError(f"a column's name must be a text, got {name!r}")
        if own.count(name) > 1:
            raise DatasetError(f"records has two columns {name!r}")
    for name, dtype in SCHEMA.items():
        if not _same_dtype(records[name].dtype, dtype):
            raise DatasetError(f"column {name!r} must have dtype {_describe(dtype)}, got {records[name].dtype}")

    _require(records["image_path"].notna(), records, "image_path", "is missing")
    _require(records["content"].notna(), records, "content", "is missing")
    _require(~records["image_path"].duplicated(), records, "image_path", "stands in more than one row")
    # Else a split by content could put two versions of one reference on both sides.
    pairs = records.loc[records["reference_path"].notna(), ["reference_path", "content"]].drop_duplicates()
    _require(
        ~records["reference_path"].isin(pairs.loc[pairs["reference_path"].duplicated(), "reference_path"]),
        records,
        "reference_path",
        "stands under several contents; images of one reference must have one content",
    )
    _require(records["mos_std"].isna() | records["mos_std"].between(0, np.inf, "left"), records, "mos_std", "is < 0")
    for name in ("ratings", "level"):
        _require((records[name] >= 1).fillna(True), records, name, "is below 1")

    mos = records["mos"]
    if scale is None:
        _require(mos.isna() & records["quality"].isna(), records, "mos", "is given, but the data set has no scores")
    else:
        _require(mos.isna() | mos.between(scale.low, scale.high), records, "mos", f"is outside the scale, {scale}")
        right = np.isclose(records["quality"], scale.to_quality(mos), rtol=0, atol=1e-9, equal_nan=True)
        _require(pd.Series(right, records.index), records, "quality", f"is not mos mapped to [1, 5] from {scale}")

    # A few dozen combinations of scenes stand for any number of rows.
    judged: dict[Hashable, bool] = {}
    for row, scenes in enumerate(records["scenes"]):
        if not isinstance(scenes, tuple):
            raise DatasetError(f"row {row}: 'scenes' must be a tuple of scenes, got {scenes!r}")
        if scenes not in judged:
            judged[scenes] = len(set(scenes)) == len(scenes) and set(scenes) <= set(SCENES)
        if not judged[scenes]:
            raise DatasetError(f"row {row}: 'scenes' is {scenes!r}; known scenes are {', '.join(SCENES)}, each once")


def _require(right: "pd.Series[bool]", records: pd.DataFrame, column: str, wrong: str) -> None:
    failed = np.flatnonzero(~right.to_numpy(dtype=bool))
    if failed.size:
        value = records[column].iloc[failed[0]]
        raise DatasetError(f"row {failed[0]} ({records['image_path'].iloc[failed[0]]}): {column} {value!r} {wrong}")


def _same_dtype(got: Any, wanted: Any) -> bool:
    if isinstance(wanted, pd.CategoricalDtype):
        # Equality of unordered categories ignores their order, but the codes are used as class numbers.
        return isinstance(got, pd.CategoricalDtype) and list(got.categories) == list(wanted.categories)
    if isinstance(wanted, pd.StringDtype):
        # Whether the strings are kept by Python or by Arrow makes no difference; that missing is pd.NA does.
        return isinstance(got, pd.StringDtype) and getattr(got, "na_value", pd.NA) is pd.NA
    return bool(got == wanted)


def _describe(dtype: Any) -> str:
    if isinstance(dtype, pd.CategoricalDtype):
        return f"category of ({', '.join(dtype.categories)})"
    return str(dtype)
