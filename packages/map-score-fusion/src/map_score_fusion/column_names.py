"""What a column's name says: a human rating, the spread of such, or what another tool adds to a score."""

import re
from typing import Final

from map_score_fusion.directions import known_metric

_RATING_WORDS: Final = frozenset({"mos", "dmos", "rating", "ratings", "subjective"})
_SPREAD_WORDS: Final = frozenset({"std", "stdev", "sd", "var", "variance", "ci", "95"})

TOOL_COLUMNS: Final = frozenset(
    {
        *("lower", "upper", "lower_bound", "upper_bound", "ci_low", "ci_high", "ci_lower", "ci_upper"),
        *("aleatoric", "epistemic", "uncertainty", "confidence", "probability", "predicted_std", "total_std"),
        *("fused_score", "fused_std", "fused_rank", "fused_rank_std", "outside_range"),
        *("width", "height", "pixels", "megapixels", "frame", "frames", "crops", "seconds", "time", "runtime", "bytes"),
        *("size", "file_size", "seed", "fold", "split", "session", "epoch"),
    }
)
"""Names, in small letters, of columns that tools write beside their scores, and that are no scores themselves."""

_TOOL_PREFIXES: Final = ("weight_", "uncertainty_")
_TOOL_SUFFIXES: Final = ("_std", "_probability", "_confidence", "_lower", "_upper", "_low", "_high")


def looks_like_ratings(name: str) -> bool:
    """Whether a column's name says human ratings, or the spread of such: ``mos``, ``dmos_std``, ``var``, ``95_CI``.

    A name that is a known metric's as a whole never does.
    """
    words = set(re.findall(r"[a-z0-9]+", name.casefold()))
    said = bool(words & _RATING_WORDS) or (bool(words) and words <= _SPREAD_WORDS)
    return said and known_metric(name) is None


def looks_like_a_tools_column(name: str) -> bool:
    """Whether a column's name is one of `TOOL_COLUMNS`, or ends or begins as such do: ``aleatoric_std``."""
    key = re.sub(r"[\s\-.]+", "_", name.casefold().strip())
    return key in TOOL_COLUMNS or key.startswith(_TOOL_PREFIXES) or key.endswith(_TOOL_SUFFIXES)
