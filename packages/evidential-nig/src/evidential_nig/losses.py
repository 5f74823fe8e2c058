"""Losses for evidential regression: `f(nig, target, *, reduction, weight)`."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.gamma_ratio import log_gamma_ratio

Reduction: TypeAlias = Literal["none", "mean", "sum"]

_HALF_LOG_PI = 0.5 * math.log(math.pi)


def nig_nll(
    nig: NormalInverseGamma,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log likelihood of observations under the predictive Student t.

    DEFNet, Eq. 1 (Amini et al., 2020, Eq. 8), in a form that keeps its digits at every magnitude: with r = y − δ and
    s = 2β(1 + 1/ν),

        ½ log π + log(Γ(α)/Γ(α + ½)) + α·log1p(r²/s) + ½ log(r² + s).

    Args:
        nig: Predictions, batch shape (...).
        target: Observations y, shape exactly (...); converted to the dtype of the predictions.
        reduction: "none" keeps (...), "sum" adds up, "mean" divides that by the number of elements or, with weights,
            by their sum.
        weight: One weight an element, shape exactly (...).

    Returns:
        The loss in at least `float32`, inside autocast too.

    Raises:
        ValueError: If a shape is not exactly the batch shape, or `reduction` is not one of the three.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0, 4.0]), 1.0, 2.0, 1.0)
        >>> nig_nll(nig, torch.tensor([3.0, 5.0]), reduction="none")
        tensor([0.9808, 1.5387])
    """
    _check(nig, target, reduction, weight)
    return _reduce(_nll(nig, target), reduction, weight)


def evidence_regularizer(
    nig: NormalInverseGamma,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Evidence claimed where the prediction is wrong: |y − δ|·(2ν + α). DEFNet, Eq. 2.

    Arguments, result and errors are those of `nig_nll`.

    Example:
        >>> evidence_regularizer(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.5]))
        tensor(2.)
    """
    _check(nig, target, reduction, weight)
    return _reduce(_regularizer(nig, target), reduction, weight)


def evidential_loss(
    nig: NormalInverseGamma,
    target: Tensor,
    tau: float = 0.05,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`nig_nll` + τ · `evidence_regularizer`. DEFNet, Eq. 3.

    Arguments, result and errors are those of `nig_nll`, besides:

    Args:
        nig: See `nig_nll`.
        target: See `nig_nll`.
        tau: τ ≥ 0, the weight of the regulariser; 0.05 is DEFNet's.
        reduction: See `nig_nll`.
        weight: See `nig_nll`.

    Example:
        >>> evidential_loss(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.0]))
        tensor(0.9808)
    """
    _check(nig, target, reduction, weight)
    return _reduce(_nll(nig, target) + tau * _regularizer(nig, target), reduction, weight)


def _parameters(nig: NormalInverseGamma) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(nig.loc.dtype, torch.float32)
    return nig.loc.to(dtype), nig.nu.to(dtype), nig.alpha_minus_one.to(dtype), nig.beta.to(dtype)


def _nll(nig: NormalInverseGamma, target: Tensor) -> Tensor:
    loc, nu, alpha_minus_one, beta = _parameters(nig)
    alpha = 1 + alpha_minus_one
    scale = 2 * beta * (1 + nu.reciprocal())
    residual_squared = (target.to(loc.dtype) - loc).square()
    return (
        _HALF_LOG_PI
        + log_gamma_ratio(alpha)
        + alpha * torch.log1p(residual_squared / scale)
        + 0.5 * torch.log(residual_squared + scale)
    )


def _regularizer(nig: NormalInverseGamma, target: Tensor) -> Tensor:
    loc, nu, alpha_minus_one, _ = _parameters(nig)
    return (target.to(loc.dtype) - loc).abs() * (2 * nu + alpha_minus_one + 1)


def _check(nig: NormalInverseGamma, target: Tensor, reduction: str, weight: Tensor | None) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f'reduction must be "none", "mean" or "sum", got {reduction!r}')
    for name, value in (("target", target), ("weight", weight)):
        if value is not None and value.shape != nig.batch_shape:
            raise ValueError(
                f"{name} must have exactly the batch shape of the distribution, {tuple(nig.batch_shape)}, "
                f"but has {tuple(value.shape)}"
            )


def _reduce(loss: Tensor, reduction: str, weight: Tensor | None) -> Tensor:
    if weight is not None:
        weight = weight.to(loss.dtype)
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if weight is None else loss.sum() / weight.sum()
