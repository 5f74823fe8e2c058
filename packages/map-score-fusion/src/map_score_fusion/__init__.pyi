# The public names, which lazy_loader imports when they are first used.

from .comparison import Comparison, Evaluation, compare, evaluate_fusion
from .directions import KNOWN_METRICS, KnownMetric, known_metric
from .errors import FusionWarning, OutsideRangeWarning, ScoreTableError
from .estimator import ScoreFusion
from .evaluation import Agreement, AgreementDifference, agreement, agreement_difference, size_weighted
from .figures import plot_metric_curves, plot_noise_against_srcc, plot_residual_correlations, plot_weights
from .image_files import ImagePair, image_files, pair_by_name, pair_by_table
from .image_scores import IMAGE_METRICS, ImageMetric, ImageScorer, ScoredFolder, choose_metrics, score_folder
from .methods import METHODS
from .rank_errors import UncertaintyAgreement, rank_deviations, uncertainty_agreement
from .rank_scale import RankScale
from .report import report_html, write_report
from .table_files import read_pieces, read_tables, sample_rows

__all__ = [
    "IMAGE_METRICS",
    "KNOWN_METRICS",
    "METHODS",
    "Agreement",
    "AgreementDifference",
    "Comparison",
    "Evaluation",
    "FusionWarning",
    "ImageMetric",
    "ImagePair",
    "ImageScorer",
    "KnownMetric",
    "OutsideRangeWarning",
    "RankScale",
    "ScoreFusion",
    "ScoreTableError",
    "ScoredFolder",
    "UncertaintyAgreement",
    "agreement",
    "agreement_difference",
    "choose_metrics",
    "compare",
    "evaluate_fusion",
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
    "read_tables",
    "report_html",
    "sample_rows",
    "score_folder",
    "size_weighted",
    "uncertainty_agreement",
    "write_report",
]

__version__: str
