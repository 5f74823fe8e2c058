"""A fitted `ScoreFusion` as arrays and settings, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from map_score_fusion.anchoring import Anchored
from map_score_fusion.methods import class_of
from map_score_fusion.methods.base import FittingLog
from map_score_fusion.metric_summary import summary_table
from map_score_fusion.rank_scale import RankScale
from map_score_fusion.saved_model import SavedModel
from map_score_fusion.score_table import TrainingColumns

if TYPE_CHECKING:
    from map_score_fusion.estimator import ScoreFusion

Fusion = TypeVar("Fusion", bound="ScoreFusion")


def to_saved(fusion: "ScoreFusion") -> SavedModel:
    """Return all that `from_saved` makes this fitted fusion again from."""
    method_arrays, method_settings = fusion.method_.state()
    columns = fusion._columns
    arrays: dict[str, NDArray[Any]] = {f"method.{name}": array for name, array in method_arrays.items()}
    arrays |= {"columns.low": columns.low, "columns.high": columns.high, "columns.signs": columns.signs}
    arrays |= {"columns.usual": fusion._usual, **fusion.ranks_.state()}
    texts: dict[str, dict[str, list[str]]] = {}
    for title, summary in (("metric_summary", fusion.metric_summary_), ("missing_summary", fusion.missing_summary_)):
        # Texts go to JSON, and numbers to safetensors: JSON has no NaN.
        texts[title] = {"index": summary.index.tolist(), "columns": summary.columns.tolist()}
        for name in texts[title]["columns"]:
            if pd.api.types.is_numeric_dtype(summary[name].dtype):
                arrays[f"{title}.{name}"] = summary[name].to_numpy()
            else:
                texts[title][f"column {name}"] = summary[name].tolist()
    settings = {
        "written_by": f"map-score-fusion {version('map-score-fusion')}",
        "method": fusion.method,
        "parameters": _parameters(fusion),
        "metrics": list(columns.names),
        "named": hasattr(fusion, "feature_names_in_"),
        "effective_metrics": fusion.effective_metrics_,
        "n_fit_rows": fusion.n_fit_rows_,
        "log": {**asdict(fusion.method_.log), "objective": []},
        "anchored": isinstance(fusion.method_, Anchored),
        "method_settings": method_settings,
        "summaries": texts,
    }
    arrays["log.objective"] = np.asarray(fusion.method_.log.objective, dtype=np.float64)
    return SavedModel(arrays, settings)


def from_saved(fusion_class: type[Fusion], model: SavedModel) -> Fusion:
    """Make a fitted fusion again.

    Raises:
        KeyError: The model lacks something; likewise TypeError, AttributeError and IndexError.
    """
    arrays, settings = model.arrays, model.settings
    fusion = fusion_class(settings["method"], **settings["parameters"])
    names = tuple(settings["metrics"])
    fusion._columns = TrainingColumns(names, arrays["columns.low"], arrays["columns.high"], arrays["columns.signs"])
    of_method = {name.removeprefix("method."): array for name, array in arrays.items() if name.startswith("method.")}
    of_base = settings["method_settings"]["base"] if settings["anchored"] else settings["method_settings"]
    fusion.method_ = class_of(settings["method"]).from_state(of_method, of_base)
    if settings["anchored"]:
        fusion.method_ = Anchored.around(fusion.method_, of_method, settings["method_settings"])
    fusion.ranks_, fusion._usual = RankScale.from_state(arrays), arrays["columns.usual"]
    log = settings["log"]
    fusion.method_.log = FittingLog(tuple(arrays["log.objective"].tolist()), log["converged"], tuple(log["messages"]))
    summaries = {
        title: summary_table(
            texts["index"],
            {name: texts.get(f"column {name}", arrays.get(f"{title}.{name}")) for name in texts["columns"]},
        )
        for title, texts in settings["summaries"].items()
    }
    fusion.metric_summary_, fusion.missing_summary_ = summaries["metric_summary"], summaries["missing_summary"]
    fusion.effective_metrics_ = settings["effective_metrics"]
    fusion.n_fit_rows_ = settings["n_fit_rows"]
    fusion.n_features_in_ = len(names)
    if settings["named"]:
        fusion.feature_names_in_ = np.array(names, dtype=object)
    return fusion


def _parameters(fusion: "ScoreFusion") -> dict[str, Any]:
    """The constructor's arguments but for the method, in what JSON can say."""
    words: Any = fusion.higher_is_better
    if isinstance(words, Mapping):
        words = {str(name): None if word is None else bool(word) for name, word in words.items()}
    elif words is not None and not isinstance(words, bool | np.bool_):
        words = [None if word is None else bool(word) for word in words]
    elif words is not None:
        words = bool(words)
    seed = int(fusion.random_state) if isinstance(fusion.random_state, int | np.integer) else None
    return {
        "higher_is_better": words,
        "random_state": seed,
        "amortised": bool(fusion.amortised),
        "max_fit_rows": int(fusion.max_fit_rows),
        "coefficients": None if fusion.coefficients is None else {k: float(v) for k, v in fusion.coefficients.items()},
        "use_ratings": bool(fusion.use_ratings),
        "accept_rating_names": bool(fusion.accept_rating_names),
    }
