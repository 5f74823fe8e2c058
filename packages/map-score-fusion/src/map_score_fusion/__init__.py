"""Many quality metrics, no human ratings, one better score per image with its uncertainty.

`ScoreFusion` is a scikit-learn estimator for a table of scores, a row for each image and a column for each metric.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from map_score_fusion.directions import KNOWN_METRICS, KnownMetric, known_metric
    from map_score_fusion.errors import FusionWarning, ScoreTableError
    from map_score_fusion.estimator import ScoreFusion
    from map_score_fusion.methods import METHODS
    from map_score_fusion.score_table import read_pieces, sample_rows

__all__ = [
    "KNOWN_METRICS",
    "METHODS",
    "FusionWarning",
    "KnownMetric",
    "ScoreFusion",
    "ScoreTableError",
    "__version__",
    "known_metric",
    "read_pieces",
    "sample_rows",
]

__version__ = _version("map-score-fusion")

# Names are imported when they are first used: pandas, scikit-learn and scipy take seconds, which
# `map-score-fusion --help` need not wait for.
_MODULES = {
    "directions": ("KNOWN_METRICS", "KnownMetric", "known_metric"),
    "errors": ("FusionWarning", "ScoreTableError"),
    "estimator": ("ScoreFusion",),
    "methods": ("METHODS",),
    "score_table": ("read_pieces", "sample_rows"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
