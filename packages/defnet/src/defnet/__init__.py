"""Deep Evidential Fusion Network: how good a photograph looks, how sure that is, and what is wrong with it.

The names below are loaded when they are first used, so that `defnet --help` need not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from defnet.checkpoint import ModelInfo, load_model, read_info, save_model
    from defnet.config import (
        BackboneConfig,
        CropsConfig,
        DataConfig,
        ModelConfig,
        ObjectiveConfig,
        OptimizerConfig,
        TrainConfig,
    )
    from defnet.errors import CheckpointError, ConfigError, DataError, DEFNetError
    from defnet.model import DEFNet, Prediction
    from defnet.objective import Targets, overall_loss
    from defnet.scorer import Scorer, load_scorer
    from defnet.scores import Failure, Score, Scores
    from defnet.training import DataRoots, TrainResult, train

_HOMES = {
    "BackboneConfig": "config",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "CropsConfig": "config",
    "DEFNet": "model",
    "DEFNetError": "errors",
    "DataConfig": "config",
    "DataError": "errors",
    "DataRoots": "training",
    "Failure": "scores",
    "ModelConfig": "config",
    "ModelInfo": "checkpoint",
    "ObjectiveConfig": "config",
    "OptimizerConfig": "config",
    "Prediction": "model",
    "Score": "scores",
    "Scorer": "scorer",
    "Scores": "scores",
    "Targets": "objective",
    "TrainConfig": "config",
    "TrainResult": "training",
    "load_model": "checkpoint",
    "load_scorer": "scorer",
    "overall_loss": "objective",
    "read_info": "checkpoint",
    "save_model": "checkpoint",
    "train": "training",
}

__all__ = [
    "BackboneConfig",
    "CheckpointError",
    "ConfigError",
    "CropsConfig",
    "DEFNet",
    "DEFNetError",
    "DataConfig",
    "DataError",
    "DataRoots",
    "Failure",
    "ModelConfig",
    "ModelInfo",
    "ObjectiveConfig",
    "OptimizerConfig",
    "Prediction",
    "Score",
    "Scorer",
    "Scores",
    "Targets",
    "TrainConfig",
    "TrainResult",
    "load_model",
    "load_scorer",
    "overall_loss",
    "read_info",
    "save_model",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
