"""Losses for evidential regression: `f(nig, target, *, reduction, weight)`.

`nig_nll` fits the data; every regulariser is added to it, times a coefficient of one's choice. `evidential_loss` is the
sum that DEFNet and Amini et al. use.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from evidential_nig.arguments import check_batch, check_choice, check_coefficient
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.divergence import kl_nig_nig
from evidential_nig.gamma_ratio import log_gamma_ratio
from evidential_nig.noisy_likelihood import noisy_nll

Reduction: TypeAlias = Literal["none", "mean", "sum"]
REDUCTIONS: tuple[Reduction, ...] = ("none", "mean", "sum")

_HALF_LOG_PI = 0.5 * math.log(math.pi)


def nig_nll(
    nig: NormalInverseGamma,
    target: Tensor,
    *,
    target_std: float | Tensor | None = None,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log likelihood of observations under the predictive Student t.

    DEFNet, Eq. 1 (Amini et al., 2020, Eq. 8), in a form that keeps its digits at every magnitude: with r = y − δ and
    s = 2β(1 + 1/ν),

        ½ log π + log(Γ(α)/Γ(α + ½)) + α·log1p(r²/s) + ½ log(r² + s).

    Where observations are known to carry normal noise of their own, `target_std` is its deviation d, and the likelihood
    is that of the Student t convolved with N(0, d²): what is learnt is the distribution without that noise.
    The convolution is ∫ Gamma(u; α, 1) · N(r; 0, d² + β(1 + 1/ν)/u) du, by Gauss and Legendre's rule with 40
    nodes on each of the up to four monotone stretches of the integrand, in double precision where the device has it:
    right to about 2e-9, whichever of the two is the wider. It holds some 160 numbers an element.

    Args:
        nig: Predictions, batch shape (...).
        target: Observations y, shape exactly (...); converted to the dtype of the predictions.
        target_std: Deviation ≥ 0 of the observations' own noise, in their units: a number, or a tensor of shape () or
            with as many dimensions as the batch shape, to which it broadcasts. Where it is 0 the closed form above
            holds, to the bit. None is 0 throughout.
        reduction: "none" keeps (...), "sum" adds up, "mean" divides that by the number of elements or, with weights,
            by their sum (a mean over weights that are all 0 is 0, without gradient).
        weight: One weight ≥ 0 an element, shape exactly (...); its values are not checked. Where it is 0 the target is
            not looked at and may be NaN.

    Returns:
        The loss in at least `float32`, inside autocast too.

    Raises:
        ValueError: If a shape is not exactly the batch shape, `target_std` does not fit it, is negative or not finite
            (as τ of `evidential_loss`), or `reduction` is not one of the three.
        TypeError: If `nig` is no `NormalInverseGamma`, `target` or `weight` is no tensor, or `target_std` is neither
            number nor tensor.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0, 4.0]), 1.0, 2.0, 1.0)
        >>> nig_nll(nig, torch.tensor([3.0, 5.0]), reduction="none")
        tensor([0.9808, 1.5387])
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    return reduce(_nll(nig, residual, target_std), reduction, weight)


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
    nig, residual = _prepare(nig, target, reduction, weight)
    return reduce(residual.abs() * _total_evidence(nig), reduction, weight)


def evidential_loss(
    nig: NormalInverseGamma,
    target: Tensor,
    tau: float | Tensor = 0.05,
    *,
    target_std: float | Tensor | None = None,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """`nig_nll` + τ · `evidence_regularizer`. DEFNet, Eq. 3.

    `target_std` is of the likelihood alone: the regulariser stays |y − δ|·(2ν + α), noise and all, so that a noisy
    target still costs evidence in proportion to how far it lies.

    Arguments, result and errors are those of `nig_nll`, besides:

    Args:
        nig: See `nig_nll`.
        target: See `nig_nll`.
        tau: τ ≥ 0 and finite, the weight of the regulariser; 0.05 is DEFNet's. A number, or a tensor of shape () or
            with as many dimensions as the batch shape, to which it broadcasts (the values of one on another device than
            the CPU are checked only when arguments are validated).
        target_std: See `nig_nll`.
        reduction: See `nig_nll`.
        weight: See `nig_nll`.

    Raises:
        ValueError: See `nig_nll`; or if τ is out of range or of another shape.
        TypeError: See `nig_nll`; or if τ is neither number nor tensor.

    Example:
        >>> evidential_loss(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.0]))
        tensor(0.9808)
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    check_coefficient("tau", tau, nig.batch_shape, validate=bool(nig._validate_args), at_least=0)
    return reduce(_nll(nig, residual, target_std) + tau * residual.abs() * _total_evidence(nig), reduction, weight)


def kl_regularizer(
    nig: NormalInverseGamma,
    target: Tensor,
    omega: float | Tensor = 0.01,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The divergence from knowing nothing where the prediction is wrong: |y − δ| · KL(nig ‖ NIG(δ, ω, 1 + ω, β)).

    Added to `nig_nll` in place of `evidence_regularizer`. The divergence grows with the logarithms of ν and α, so that
    it holds large evidence back less than |y − δ|·(2ν + α) does.

    Arguments, result and errors are those of `nig_nll`, besides:

    Args:
        nig: See `nig_nll`.
        target: See `nig_nll`.
        omega: ω > 0 and finite, the evidence of the prior; a number or a tensor, as τ of `evidential_loss`.
        reduction: See `nig_nll`.
        weight: See `nig_nll`.

    Raises:
        ValueError: See `nig_nll`; or if ω is out of range or of another shape.
        TypeError: See `nig_nll`; or if ω is neither number nor tensor.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0)
        >>> kl_regularizer(nig, torch.tensor([3.5]))
        tensor(1.1102)

    Source: Amini et al., "Deep Evidential Regression", 2020, supplement, and ω from the code. The divergence is
    the exact one; with δ and β shared, as here, theirs agrees with it.
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    check_coefficient("omega", omega, nig.batch_shape, validate=bool(nig._validate_args), above=0)
    prior = NormalInverseGamma.from_alpha_minus_one(nig.loc, omega, omega, nig.beta, validate_args=False)
    return reduce(residual.abs() * kl_nig_nig(nig, prior), reduction, weight)


def scale_aware_regularizer(
    nig: NormalInverseGamma,
    target: Tensor,
    power: float | Tensor = 1.0,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Evidence claimed where the prediction is wrong for its own width: |(y − δ)/w|^p · (2ν + α).

    w = √(β(1 + ν)/(να)) is `predictive_scale`. Unlike `evidence_regularizer` it does not change when the targets come
    in other units, so one coefficient serves targets of every size, and noisy regions are not punished for their noise.

    Arguments, result and errors are those of `nig_nll`, besides:

    Args:
        nig: See `nig_nll`.
        target: See `nig_nll`.
        power: p ≥ 1 and finite; a number or a tensor, as τ of `evidential_loss`.
        reduction: See `nig_nll`.
        weight: See `nig_nll`.

    Raises:
        ValueError: See `nig_nll`; or if p is out of range or of another shape.
        TypeError: See `nig_nll`; or if p is neither number nor tensor.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0)
        >>> scale_aware_regularizer(nig, torch.tensor([3.5]))
        tensor(2.)

    Source: Meinert, Gawlikowski and Lavin, "The Unreasonable Effectiveness of Deep Evidential Regression", 2023.
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    check_coefficient("power", power, nig.batch_shape, validate=bool(nig._validate_args), at_least=1)
    return reduce((residual.abs() / nig.predictive_scale).pow(power) * _total_evidence(nig), reduction, weight)


def lipschitz_mse(
    nig: NormalInverseGamma,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error that turns linear where it would work against the likelihood: r² up to |r| = w, then 2w|r| − w².

    r = y − δ. Added to `nig_nll` it sharpens δ, whose gradient the likelihood lets fade as the evidence shrinks. Within
    |r| < w = `predictive_scale` the gradients of `nig_nll` raise ν and α, so a smaller error and more evidence go
    together; beyond it they would not, and the error's pull is kept constant. No gradient flows into w.

    Arguments, result and errors are those of `nig_nll`.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0, 3.0]), 1.0, 2.0, 1.0)
        >>> lipschitz_mse(nig, torch.tensor([3.5, 5.0]), reduction="none")
        tensor([0.2500, 3.0000])

    Source: Oh and Shin, "Improving Evidential Deep Learning via Multi-Task Learning" (MT-ENet), 2022. Their bound is
    the smaller of U_ν = w² and U_α = s·(exp(ψ(α + ½) − ψ(α)) − 1), s = 2β(1 + ν)/ν; the first is always the smaller,
    since ψ(α + ½) − ψ(α) > 1/(2α). They take its minimum over a batch; here each element has its own, so that the
    loss of an element does not depend on its batch.
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    bound = nig.predictive_scale.detach()
    error = residual.abs()
    loss = torch.where(error < bound, residual.square(), bound * (2 * error - bound))
    return reduce(loss, reduction, weight)


def uncertainty_regularizer(
    nig: NormalInverseGamma,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Doubt kept where the prediction is wrong: −|y − δ| · log(exp(α − 1) − 1).

    Added, with a small coefficient, to a loss that has an evidence regulariser. Where α is close to 1 a softplus output
    passes no gradient on and the network cannot learn its way out. The logarithm undoes the softplus, so that its own
    gradient with respect to the raw output is −|y − δ| there. (With the floor of `from_unconstrained` this holds down
    to raw outputs near log(floor), −13.8 by default.) Negative for α > 1 + log 2, and not bounded below.

    Arguments, result and errors are those of `nig_nll`.

    Example:
        >>> nig = NormalInverseGamma(torch.tensor([3.0]), 1.0, 1.1, 1.0)
        >>> uncertainty_regularizer(nig, torch.tensor([3.5]))
        tensor(1.1261)

    Source: Ye, Chen, Wei and Zhan, "Uncertainty Regularized Evidential Regression", AAAI 2024.
    """
    nig, residual = _prepare(nig, target, reduction, weight)
    raw_alpha = nig.alpha_minus_one + torch.log(-torch.expm1(-nig.alpha_minus_one))
    return reduce(-residual.abs() * raw_alpha, reduction, weight)


def _prepare(
    nig: NormalInverseGamma, target: Tensor, reduction: str, weight: Tensor | None
) -> tuple[NormalInverseGamma, Tensor]:
    """Check the arguments; the distribution in at least single precision, and y − δ."""
    if not isinstance(nig, NormalInverseGamma):
        raise TypeError(f"nig must be a NormalInverseGamma, got {type(nig).__name__}")
    check_choice("reduction", reduction, REDUCTIONS)
    check_batch("target", target, nig.batch_shape)
    if weight is not None:
        check_batch("weight", weight, nig.batch_shape)
    dtype = torch.promote_types(nig.loc.dtype, torch.float32)
    nig = nig.map(lambda parameter: parameter.to(dtype))
    target = target.to(dtype)
    if weight is not None:
        # 0 times NaN is NaN, in the gradients as well, so what has no weight is taken out before.
        target = torch.where(weight == 0, nig.loc.detach(), target)
    return nig, target - nig.loc


def _nll(nig: NormalInverseGamma, residual: Tensor, target_std: float | Tensor | None) -> Tensor:
    certain = _certain_nll(nig, residual)
    if target_std is None:
        return certain
    check_coefficient("target_std", target_std, nig.batch_shape, validate=bool(nig._validate_args), at_least=0)
    std = torch.as_tensor(target_std, dtype=residual.dtype, device=residual.device)
    noisy = noisy_nll(residual, nig.nu, nig.alpha, nig.beta, std).to(residual.dtype)
    return torch.where(std == 0, certain, noisy)


def _certain_nll(nig: NormalInverseGamma, residual: Tensor) -> Tensor:
    scale = 2 * nig.beta * (1 + nig.nu.reciprocal())
    residual_squared = residual.square()
    return (
        _HALF_LOG_PI
        + log_gamma_ratio(nig.alpha)
        + nig.alpha * torch.log1p(residual_squared / scale)
        + 0.5 * torch.log(residual_squared + scale)
    )


def _total_evidence(nig: NormalInverseGamma) -> Tensor:
    return 2 * nig.nu + nig.alpha


def reduce(loss: Tensor, reduction: str, weight: Tensor | None) -> Tensor:
    """Weigh a loss of one value an element, then keep, add up or average it."""
    if weight is not None:
        weight = weight.to(loss.dtype)
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if weight is None:
        return loss.mean()
    total = weight.sum()
    return loss.sum() / torch.where(total == 0, 1, total)
