"""What is said of images that are unlike those of the training set."""

from typing import Final

UNFAMILIAR: Final = 0.05
"""Familiarity below which a score comes with a warning."""

UNLIKE: Final = "unlike the photographs this model was trained on; the interval is wide because of that"
"""That warning."""


def unfamiliar_warnings(familiarity: float) -> tuple[str, ...]:
    """What a reader of a score should know."""
    return (UNLIKE,) if familiarity < UNFAMILIAR else ()
