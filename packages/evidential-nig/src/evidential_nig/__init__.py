"""Evidential regression in PyTorch: normal-inverse-gamma distributions, losses, fusion, output heads, calibration."""

from importlib import import_module
from types import ModuleType

from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.fusion import fuse, fuse_local_global
from evidential_nig.head import NIGHead
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
    "NIGHead",
    "NormalInverseGamma",
    "StudentT",
    "evidence_regularizer",
    "evidential_loss",
    "fuse",
    "fuse_local_global",
    "kl_regularizer",
    "lipschitz_mse",
    "nig_nll",
    "scale_aware_regularizer",
    "uncertainty_regularizer",
]

_SUBMODULES = ("calibration", "multivariate", "plots", "recalibration")


def __getattr__(name: str) -> ModuleType:
    """Import a submodule where it is first used: `plots` needs matplotlib, and none is needed by all."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES])
