"""What is known about a data set before its files are read: its card and the scale of its scores."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from iqa_datasets.errors import DatasetError


@dataclass(frozen=True, slots=True)
class QualityScale:
    """The documented range and direction of a data set's scores.

    Args:
        low: the lowest score that the scale allows.
        high: the highest score that the scale allows.
        higher_is_better: False for difference scores (DMOS), where 0 is the best.

    Raises:
        DatasetError: the range is empty or not finite.

    Example:
        >>> QualityScale(0, 100).to_quality([0, 50, 100])
        array([1., 3., 5.])
        >>> QualityScale(0, 1, higher_is_better=False).to_quality(0.25).item()
        4.0
    """

    low: float
    high: float
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise DatasetError(f"a quality scale needs finite low < high, got low={self.low}, high={self.high}")

    def to_quality(self, score: ArrayLike) -> NDArray[np.float64]:
        """Map scores linearly from the documented range to [1, 5], higher = better.

        Args:
            score: scores as published, any shape; NaN (no score) stays NaN.

        Returns:
            Quality, same shape, float64: 1 + 4·(score − low)/(high − low), or with high − score where lower = better.

        Raises:
            DatasetError: a score lies outside the range. Nothing is clipped.
        """
        values = np.asarray(score, dtype=np.float64)
        outside = values[(values < self.low) | (values > self.high)]
        if outside.size:
            raise DatasetError(f"score {outside.flat[0]:g} lies outside the documented range [{self.low}, {self.high}]")
        above_worst = values - self.low if self.higher_is_better else self.high - values
        return np.asarray(1.0 + 4.0 * above_worst / (self.high - self.low))

    def to_score(self, quality: ArrayLike) -> NDArray[np.float64]:
        """Map quality on [1, 5] back to the published scale: the inverse of `to_quality`, without a check of range."""
        above_worst = (np.asarray(quality, dtype=np.float64) - 1.0) / 4.0 * (self.high - self.low)
        return np.asarray(self.low + above_worst if self.higher_is_better else self.high - above_worst)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, {'higher' if self.higher_is_better else 'lower'} = better"


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """What a person needs to know about a data set before using it.

    Attributes:
        name: the id that `load` takes, in kebab case.
        title: the name that its authors gave it.
        year: year of publication; None for a folder of one's own.
        size: number of scored images (of images, where there are no scores); None for a folder of one's own.
        kind: how the images came to their quality: ``"authentic"`` (distorted in capture), ``"synthetic"`` (distorted
            by a program) or ``"generated"`` (made by a model from a text).
        scale: documented range and direction of the scores; None where there are none.
        subjects: number of people who rated, where published.
        licence: under which terms its authors give it out, in a sentence.
        citation: what they ask to cite.
        home_page: where it is distributed.
        folder: the conventional name of the official folder, which LIQE's label files use too.
        files: what the official folder holds, as paths relative to it; those with a ``*`` are patterns of images.
        references: number of pristine images; None where there are none.
        distortion_types: number of distortion types as published; None for authentic distortion.
        image_sizes: the (width, height) that images may have; empty where any size occurs.
        official_session: whether its authors publish a split into parts, which ``session="official"`` gives.
        liqe_labels: whether LIQE's label files cover it: scenes, distortions, and sessions 1 to 10.
        aesthetic: whether the scores say how much people like the pictures, rather than how good their quality is.
        columns: columns of the table beyond `SCHEMA`, each a pair of its name and what it holds.
        notes: what whoever uses it should know, a sentence each: directions, duplicates, faults.
    """

    name: str
    title: str
    year: int | None
    size: int | None
    kind: Literal["authentic", "synthetic", "generated"]
    scale: QualityScale | None
    subjects: int | None
    licence: str
    citation: str
    home_page: str
    folder: str
    files: tuple[str, ...]
    references: int | None = None
    distortion_types: int | None = None
    image_sizes: tuple[tuple[int, int], ...] = ()
    official_session: bool = False
    liqe_labels: bool = False
    aesthetic: bool = False
    columns: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
