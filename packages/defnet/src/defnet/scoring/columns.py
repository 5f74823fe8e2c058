"""What every runtime says of an image, as its score."""

from typing import Any, Final

from defnet.quality_scale import HIGHEST, LOWEST
from defnet.scoring.scores import Score
from defnet.scoring.seen import Seen

LEVEL: Final = 0.95
"""Level of the intervals of scores."""

NO_UNCERTAINTY: Final = "no uncertainty"
"""Warning of scores that are q̂ of Eq. 5: the model has no evidence, or none that training has taught."""


def score_of(seen: Seen, crops: int, notes: tuple[str, ...], *, quality: float, **columns: Any) -> Score:
    """The score of an image.

    Args:
        seen: what was seen of it.
        crops: number of sub-images that it was looked at with.
        notes: what a reader should know of its columns, beside what was seen.
        quality: its quality.
        **columns: the other columns of `Score` that a model says.
    """
    outside = () if LOWEST <= quality <= HIGHEST else (f"quality outside [{LOWEST:g}, {HIGHEST:g}]",)
    return Score(
        path=seen.path,
        quality=quality,
        crops=crops,
        frame=seen.frame,
        frames=seen.frames,
        file_size=None if seen.file is None else seen.file.size,
        file_modified=None if seen.file is None else seen.file.modified,
        warnings=seen.warnings + outside + notes,
        **columns,
    )
