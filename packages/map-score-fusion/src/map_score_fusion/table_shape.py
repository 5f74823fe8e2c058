"""Tables of another shape than a row an image and a column a metric: a row a score, or a row a metric."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from map_score_fusion.column_numbers import column_numbers
from map_score_fusion.directions import known_metric
from map_score_fusion.errors import ScoreTableError

_METRIC_WORDS = frozenset({"metric", "measure", "method", "metric_name", "iqa"})
_SCORE_WORDS = frozenset({"score", "value", "result", "metric_score", "metric_value"})
_MOST_METRICS = 100


@dataclass(frozen=True)
class Shape:
    """How a table lies.

    Attributes:
        kind: ``"wide"``, a row an image and a column a metric; ``"long"``, a row a score; ``"transposed"``, a row a
            metric and a column an image.
        metric: The column that names the metric; empty for a wide table.
        score: The column of the scores of a long table; empty otherwise.
        image: The column that names the image of a long table; empty otherwise.
    """

    kind: Literal["wide", "long", "transposed"]
    metric: str = ""
    score: str = ""
    image: str = ""

    def __str__(self) -> str:
        """Return what a user should know of how the table was read; empty for a wide one."""
        if self.kind == "long":
            return (
                f"read as a row a score: images in {self.image!r}, metrics in {self.metric!r}, scores in {self.score!r}"
            )
        if self.kind == "transposed":
            return f"read as a row a metric, named in {self.metric!r}, and a column an image"
        return ""


def shape_of(table: pd.DataFrame, source: object) -> Shape:
    """Tell a table's shape from its names and the beginning of its content.

    Args:
        table: The table, or its first some hundred rows.
        source: What it is called in messages.

    Raises:
        ScoreTableError: It is a row a score by its names, but nothing in it names the images.
    """
    names = [str(name) for name in table.columns]
    if any(known_metric(name) is not None for name in names):
        return Shape("wide")
    texts = [name for name in names if not pd.api.types.is_numeric_dtype(table[name].dtype)]
    numbers = [name for name in names if mostly_numbers(table[name])]
    for metric in texts:
        values = [value for value in table[metric].dropna().unique().tolist() if isinstance(value, str)]
        known = sum(known_metric(value) is not None for value in values)
        named_so = metric.casefold() in _METRIC_WORDS and any(name.casefold() in _SCORE_WORDS for name in numbers)
        if not values or (known < max(2, len(values) / 2) and not named_so):
            continue
        if not table[metric].duplicated().any():
            others = [name for name in names if name != metric]
            if known >= 2 and len(others) >= 2 and all(name in numbers for name in others):
                return Shape("transposed", metric)
            continue
        if len(values) <= _MOST_METRICS:
            return _long(table, source, metric, texts, numbers)
    return Shape("wide")


def to_wide(table: pd.DataFrame, shape: Shape, source: object) -> pd.DataFrame:
    """Return a table with a row an image and a column a metric.

    Raises:
        ScoreTableError: An image has two scores by one metric, or a score is no number.
    """
    if shape.kind == "wide":
        return table
    if shape.kind == "transposed":
        turned = table.set_index(shape.metric).T
        turned.columns.name = None
        turned = turned.apply(_numbers, source=source)
        return turned.rename_axis("image").reset_index()
    pairs = table[[shape.image, shape.metric]]
    if pairs.duplicated().any():
        image, metric = pairs[pairs.duplicated()].iloc[0]
        raise ScoreTableError(
            f"{source}: {image!r} has two scores by {metric!r}; one for each image and metric is needed"
        )
    scores = table.assign(**{shape.score: _numbers(table[shape.score], source=source)})
    wide = scores.pivot(index=shape.image, columns=shape.metric, values=shape.score)
    wide.columns.name = None
    # In the order in which images and metrics come, and not in that of the alphabet.
    wide = wide.loc[table[shape.image].unique(), table[shape.metric].dropna().unique()].reset_index()
    # What is said of an image beside its scores, such as a rating, goes along where it is one thing an image.
    rest = [name for name in table.columns if name not in (shape.image, shape.metric, shape.score)]
    for name in rest:
        of_image = table.groupby(shape.image, sort=False)[name]
        if of_image.nunique(dropna=False).max() == 1:
            wide = wide.merge(of_image.first().reset_index(), on=shape.image, how="left")
    return wide


def _long(table: pd.DataFrame, source: object, metric: str, texts: list[str], numbers: list[str]) -> Shape:
    scores = [name for name in numbers if name.casefold() in _SCORE_WORDS] or numbers
    if len(scores) != 1:
        raise ScoreTableError(
            f"{source}: looks like a table with a row a score, metrics named in {metric!r}, but its scores may be in "
            f"{', '.join(scores) or 'no column'}; name that column score, or give a table with a column a metric"
        )
    images = [
        name
        for name in [*(text for text in texts if text != metric), *(name for name in numbers if name not in scores)]
        if not table[[name, metric]].duplicated().any()
    ]
    if not images:
        raise ScoreTableError(
            f"{source}: looks like a table with a row a score (metrics in {metric!r}, scores in {scores[0]!r}), but no "
            "column names the image; add one"
        )
    return Shape("long", metric, scores[0], images[0])


def mostly_numbers(column: "pd.Series[Any]") -> bool:
    """Whether more than half of a column's entries are numbers, or texts of numbers."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    present = column[column.notna() & (column.astype(str).str.strip() != "")]
    return len(present) > 0 and bool(column_numbers(present).notna().mean() > 0.5)


def _numbers(column: "pd.Series[Any]", *, source: object) -> "pd.Series[float]":
    parsed: pd.Series[float] = column_numbers(column)
    wrong = column[parsed.isna() & column.notna() & (column.astype(str).str.strip() != "")]
    if len(wrong):
        raise ScoreTableError(f"{source}: row {wrong.index[0]} holds {wrong.iloc[0]!r} in place of a score")
    return parsed.astype("float64")
