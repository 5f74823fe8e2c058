"""The result of scoring an image, without anything that needs torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Score:
    """How good one image looks, how sure that is, what it shows and what is wrong with it.

    Attributes:
        path: the file's path as given or found; empty for images that did not come from a file.
        quality: mean of the predictive distribution, the δ of the fused evidence of DEFNet, Eq. 25; on the scale of
            the ratings, 1 (bad) to 5 (perfect). Of models trained without Eq. 27 it is δ of Eq. 18, without Eqs. 22 and
            27 `expected_quality`; `defnet.TrainConfig.score_from` says which.
        expected_quality: q̂ of Eq. 5, in [1, 5]; it ranks images but is not anchored to the ratings.
        aleatoric_std: how far the mean rating of an image like those of the training set is from the score, as a
            standard deviation. What is learnt from mean ratings is the error of a mean rating and not how far the
            ratings of single people scatter. √E[σ²] of the evidence; of a calibrated model (`defnet calibrate`) as
            images that were left out of training show it.
        epistemic_std: how much farther off it may be, because of what was not learnt: √Var[μ] of the evidence; of a
            calibrated model what the distance to the training images adds.
        lower: lower end of the 95 % interval, cut to [1, 5]: of the predictive Student-t, or of a calibrated model as
            errors of images that were left out of training show it.
        upper: its upper end. All four are NaN, with a warning, where the score is the expected quality of Eq. 5.
        familiarity: how common it is among photographs like those of the training set to be as far from them as this
            image, in (0, 1]: a conformal p-value. Below 0.05 a warning says so. NaN for a model that is not calibrated.
        scene: the most probable of the nine scenes.
        scene_probability: its probability (Eq. 9, averaged over the crops).
        distortion: the most probable of the eleven distortions.
        distortion_probability: its probability (Eq. 11, averaged over the crops).
        crops: number of sub-images looked at, beside the global view.
        frame: which frame or page of the file, counted from 1.
        frames: how many the file has.
        file_size: size of the file in bytes when it was read; None for images that did not come from a file.
        file_modified: when the file was last written, in UTC as ISO 8601 writes it, likewise.
        warnings: what a reader of the score should know, for example `upscaled`.
    """

    path: str
    quality: float
    expected_quality: float
    aleatoric_std: float
    epistemic_std: float
    lower: float
    upper: float
    familiarity: float
    scene: str
    scene_probability: float
    distortion: str
    distortion_probability: float
    crops: int
    frame: int = 1
    frames: int = 1
    file_size: int | None = None
    file_modified: str | None = None
    warnings: tuple[str, ...] = ()


COLUMNS = tuple(field.name for field in fields(Score))
"""Names of the columns of every table of scores, in order."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be scored.

    Attributes:
        path: the file, as given or found.
        reason: one sentence on what is wrong with it.
    """

    path: str
    reason: str


class Scores(Sequence[Score]):
    """Scores in the order of the images given.

    Example:
        >>> Scores([]).to_dataframe().columns[1]
        'quality'
    """

    def __init__(self, scores: Iterable[Score]) -> None:
        self._scores = tuple(scores)

    def __len__(self) -> int:
        return len(self._scores)

    @overload
    def __getitem__(self, index: int) -> Score: ...
    @overload
    def __getitem__(self, index: slice) -> "Scores": ...
    def __getitem__(self, index: int | slice) -> "Score | Scores":
        return Scores(self._scores[index]) if isinstance(index, slice) else self._scores[index]

    def __iter__(self) -> Iterator[Score]:
        return iter(self._scores)

    def __repr__(self) -> str:
        return f"Scores({list(self._scores)!r})"

    def to_dataframe(self) -> "pd.DataFrame":
        """One row an image, with the columns of `Score`; `warnings` joined by `; `."""
        import pandas as pd  # not at the top: scoring to a file need not wait for it

        return pd.DataFrame([flat_row(score) for score in self._scores], columns=list(COLUMNS))


def flat_row(score: Score) -> dict[str, Any]:
    """A score as a flat row of a table."""
    return asdict(score) | {"warnings": "; ".join(score.warnings)}
