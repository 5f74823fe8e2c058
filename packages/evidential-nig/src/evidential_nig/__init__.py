"""Evidential regression in PyTorch: normal-inverse-gamma distributions, losses, fusion, output heads, calibration."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

import evidential_nig.torch_without_numpy  # noqa: F401  # isort: split
from evidential_nig.batch import cat, stack
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.fusion import fuse, fuse_local_global
from evidential_nig.head import NIGHead
from evidential_nig.loss_modules import (
    EvidenceRegularizer,
    EvidentialLoss,
    KLRegularizer,
    LipschitzMSE,
    NIGNLLLoss,
    ScaleAwareRegularizer,
    UncertaintyRegularizer,
)
from evidential_nig.losses import (
    evidence_regularizer,
    evidential_loss,
    kl_regularizer,
    lipschitz_mse,
    nig_nll,
    scale_aware_regularizer,
    uncertainty_regularizer,
)
from evidential_nig.student_t import StudentT

__all__ = [
    "EvidenceRegularizer",
    "EvidentialLoss",
    "KLRegularizer",
    "LipschitzMSE",
    "NIGHead",
    "NIGNLLLoss",
    "NormalInverseGamma",
    "ScaleAwareRegularizer",
    "StudentT",
    "UncertaintyRegularizer",
    "__version__",
    "cat",
    "evidence_regularizer",
    "evidential_loss",
    "fuse",
    "fuse_local_global",
    "kl_regularizer",
    "lipschitz_mse",
    "nig_nll",
    "scale_aware_regularizer",
    "stack",
    "uncertainty_regularizer",
]

_SUBMODULES = ("calibration", "conformal", "multivariate", "plots", "recalibration", "regressor", "streaming")

__version__: str


def __getattr__(name: str) -> Any:
    """Import what is not needed by all where it is first used; `plots` and `regressor` need more than torch."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name == "__version__":
        return version("evidential-nig")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES, "__version__"])
