"""Many quality metrics, no human ratings, one better score per image with its uncertainty.

`ScoreFusion` is a scikit-learn estimator for a table of scores, a row for each image and a column for each metric.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from map_score_fusion.comparison import Comparison, Evaluation, compare, evaluate_fusion
    from map_score_fusion.directions import KNOWN_METRICS, KnownMetric, known_metric
    from map_score_fusion.errors import FusionWarning, ScoreTableError
    from map_score_fusion.estimator import ScoreFusion
    from map_score_fusion.evaluation import (
        Agreement,
        LogisticFit,
        UncertaintyAgreement,
        agreement,
        fit_logistic,
        rank_deviations,
        size_weighted,
        uncertainty_agreement,
    )
    from map_score_fusion.figures import (
        plot_metric_curves,
        plot_noise_against_srcc,
        plot_residual_correlations,
        plot_weights,
    )
    from map_score_fusion.image_files import ImagePair, image_files, pair_by_name, pair_by_table
    from map_score_fusion.image_scores import (
        IMAGE_METRICS,
        ImageMetric,
        ImageScorer,
        ScoredFolder,
        choose_metrics,
        score_folder,
    )
    from map_score_fusion.methods import METHODS
    from map_score_fusion.report import report_html, write_report
    from map_score_fusion.score_table import read_pieces, sample_rows

__all__ = [
    "IMAGE_METRICS",
    "KNOWN_METRICS",
    "METHODS",
    "Agreement",
    "Comparison",
    "Evaluation",
    "FusionWarning",
    "ImageMetric",
    "ImagePair",
    "ImageScorer",
    "KnownMetric",
    "LogisticFit",
    "ScoreFusion",
    "ScoreTableError",
    "ScoredFolder",
    "UncertaintyAgreement",
    "__version__",
    "agreement",
    "choose_metrics",
    "compare",
    "evaluate_fusion",
    "fit_logistic",
    "image_files",
    "known_metric",
    "pair_by_name",
    "pair_by_table",
    "plot_metric_curves",
    "plot_noise_against_srcc",
    "plot_residual_correlations",
    "plot_weights",
    "rank_deviations",
    "read_pieces",
    "report_html",
    "sample_rows",
    "score_folder",
    "size_weighted",
    "uncertainty_agreement",
    "write_report",
]

__version__ = _version("map-score-fusion")

# Names are imported when they are first used: pandas, scikit-learn and scipy take seconds, which
# `map-score-fusion --help` need not wait for.
_MODULES = {
    "comparison": ("Comparison", "Evaluation", "compare", "evaluate_fusion"),
    "evaluation": (
        "Agreement",
        "LogisticFit",
        "UncertaintyAgreement",
        "agreement",
        "fit_logistic",
        "size_weighted",
        "rank_deviations",
        "uncertainty_agreement",
    ),
    "figures": ("plot_metric_curves", "plot_noise_against_srcc", "plot_residual_correlations", "plot_weights"),
    "image_files": ("ImagePair", "image_files", "pair_by_name", "pair_by_table"),
    "image_scores": ("IMAGE_METRICS", "ImageMetric", "ImageScorer", "ScoredFolder", "choose_metrics", "score_folder"),
    "report": ("report_html", "write_report"),
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
