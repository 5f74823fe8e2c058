"""The predictions that can be recalibrated: those that are a location and a scale of one standard distribution."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch.distributions import Normal

from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.student_t import StudentT

Predictive: TypeAlias = Normal | StudentT


def location_scale(predictive: Any) -> Predictive:
    """A prediction as a location and a scale; a TypeError for what is none."""
    if isinstance(predictive, NormalInverseGamma):
        return predictive.predictive()
    if isinstance(predictive, Normal | StudentT):
        return predictive
    raise TypeError(
        "predictive must be a NormalInverseGamma, an evidential_nig.StudentT or a torch.distributions.Normal, but is "
        f"{type(predictive).__module__}.{type(predictive).__name__}"
    )


def in_double(base: Predictive) -> Predictive:
    """The same prediction in double precision, unchecked."""
    if isinstance(base, Normal):
        return Normal(base.loc.double(), base.scale.double(), validate_args=False)
    student = base.to(torch.float64)
    student._validate_args = False
    return student
