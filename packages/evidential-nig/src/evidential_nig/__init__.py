"""Normal-inverse-gamma distributions for evidential regression: moments, fusion, losses and output heads in PyTorch."""

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
