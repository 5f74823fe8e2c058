"""What calibration figures are computed from: a prediction and its targets, or uncertainties and errors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import check_batch, check_finite, check_tensor, refuse
from evidential_nig.distribution import NormalInverseGamma


def mean_of(predictive: Distribution) -> Tensor:
    """The mean in double precision, which must be finite."""
    mean = predictive.mean.double()
    refuse(~mean.isfinite(), "the mean of predictive must exist and be finite (a Student t has none for df up to 1)")
    return mean


def name_of(value: object) -> str:
    """Whose and what it is, for a message."""
    return f"{type(value).__module__.split('.')[0]}'s {type(value).__name__}"


def hint_for(predictive: Distribution) -> str:
    """What to take in place of a distribution without a cdf, for the end of a message."""
    is_torch_student = isinstance(predictive, torch.distributions.StudentT)
    return "; evidential_nig.StudentT takes the same arguments and has one" if is_torch_student else ""


def check_predictive(predictive: Any) -> None:
    """Refuse what is no distribution of single numbers, with a TypeError."""
    if isinstance(predictive, NormalInverseGamma):
        raise TypeError(
            "predictive must be a distribution of observations, but is a NormalInverseGamma, one of their mean and "
            "variance; call its .predictive()"
        )
    if not isinstance(predictive, Distribution):
        raise TypeError(f"predictive must be a torch.distributions.Distribution, but is {name_of(predictive)}")
    if predictive.event_shape:
        raise TypeError(
            f"predictive must be a distribution of single numbers, but {name_of(predictive)} has event shape "
            f"{tuple(predictive.event_shape)}; of an Independent take the .base_dist"
        )


def check_pair(predictive: Any, target: Any) -> Tensor:
    """The targets in double precision, finite and of exactly the batch shape of a distribution of single numbers."""
    check_predictive(predictive)
    check_batch("target", target, predictive.batch_shape)
    if target.numel() == 0:
        raise ValueError(f"target must hold at least one value, but has shape {tuple(target.shape)}")
    doubled: Tensor = target.detach().double()
    check_finite("target", doubled)
    return doubled


def check_ranking(uncertainty: Any, error: Any) -> tuple[Tensor, Tensor]:
    """Uncertainties and absolute errors, flat and in double precision."""
    check_tensor("error", error)
    check_batch("uncertainty", uncertainty, error.shape, of="shape of error")
    if error.numel() == 0:
        raise ValueError(f"error must hold at least one value, but has shape {tuple(error.shape)}")
    check_finite("error", error)
    refuse(uncertainty.isnan(), "uncertainty must be finite or inf")
    return uncertainty.detach().double().flatten(), error.detach().double().abs().flatten()
