"""Fusing the beliefs of several experts, each a normal-inverse-gamma distribution, into one."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.distribution import NormalInverseGamma


def fuse(
    nig: NormalInverseGamma,
    dim: int,
    *,
    weight: Tensor | float | None = None,
    validate_args: bool | None = None,
) -> NormalInverseGamma:
    """Fuse all experts along one batch dimension.

    The closed form of DEFNet, Eqs. 19 and 20, for any number of experts (pairwise fusion in any order gives the same,
    by the parallel-axis theorem), with each expert's evidence tempered by a weight wᵢ ≥ 0:

        ν = Σ wᵢνᵢ
        δ = Σ wᵢνᵢδᵢ / ν
        α = Σ wᵢ(αᵢ + ½) − ½
        β = Σ wᵢβᵢ + ½ Σ wᵢνᵢ(δᵢ − δ)²

    A weight of 2 counts an expert twice, 0 leaves it out. Experts that see the same thing are not independent: fusing
    N of them claims about N times the evidence, which weights of 1/N take back.

    Args:
        nig: Experts, batch shape with at least one dimension.
        dim: The batch dimension that holds the experts; negative counts from the end.
        weight: A number, or a tensor that broadcasts to the batch shape. None is 1 for all.
        validate_args: Whether to check `weight`'s values and that they leave a distribution (a tensor of weights costs
            a device synchronisation). None takes the setting of `torch.distributions`, except under `torch.compile`
            and `torch.export`, where values cannot be looked at.

    Returns:
        The fused distribution, batch shape without `dim`, in at least `float32`.

    Raises:
        IndexError: If there is no such dimension.
        ValueError: If there are no experts along it, if `weight` does not broadcast to the batch shape or has
            negative, infinite or NaN values, or if it leaves no evidence (all zero) or α ≤ 1.

    Example:
        >>> experts = NormalInverseGamma(torch.tensor([2.0, 4.0]), 1.0, 2.0, 1.0)
        >>> fused = fuse(experts, dim=0)
        >>> fused.loc, fused.nu, fused.alpha, fused.beta
        (tensor(3.), tensor(2.), tensor(4.5000), tensor(3.))
    """
    dim = _batch_dimension(nig, dim)
    experts = nig.batch_shape[dim]
    if experts == 0:
        raise ValueError(f"fuse needs at least one expert, but dimension {dim} of batch shape {_shape(nig)} is empty")
    dtype = torch.promote_types(nig.loc.dtype, torch.float32)
    loc, nu, alpha_minus_one, beta = (p.to(dtype) for p in (nig.loc, nig.nu, nig.alpha_minus_one, nig.beta))
    if validate_args is None:
        validate_args = Distribution._validate_args and not torch.compiler.is_compiling()

    total: Tensor | float
    if weight is None:
        total = float(experts)
    elif isinstance(weight, Tensor):
        weight = _check_weight_shape(weight, nig, dim).to(dtype)
        if validate_args and not bool(((weight >= 0) & weight.isfinite()).all()):
            raise ValueError(f"weight must be finite and not negative, but holds\n{weight}")
        total = weight.expand(nig.batch_shape).sum(dim)
    else:
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(f"weight must be a finite number above 0, got {weight}")
        total = weight * experts
    if weight is not None:
        nu, alpha_minus_one, beta = weight * nu, weight * alpha_minus_one, weight * beta

    fused_nu = nu.sum(dim, keepdim=True)
    share = nu / fused_nu
    fused_loc = (share * loc).sum(dim, keepdim=True)
    spread = (share * (loc - fused_loc).square()).sum(dim)
    fused_nu = fused_nu.squeeze(dim)
    fused_alpha_minus_one = alpha_minus_one.sum(dim) + 1.5 * (total - 1)
    # A total weight of 1 or more always leaves α > 1, so only less than that needs a look at the values.
    if validate_args and (isinstance(total, Tensor) or total < 1):
        _check_remainder(fused_nu, fused_alpha_minus_one)
    return NormalInverseGamma.from_alpha_minus_one(
        fused_loc.squeeze(dim),
        fused_nu,
        fused_alpha_minus_one,
        beta.sum(dim) + 0.5 * fused_nu * spread,
        validate_args=False,
    )


def fuse_local_global(local: NormalInverseGamma, global_: NormalInverseGamma, dim: int) -> NormalInverseGamma:
    """Fuse every local expert with one global expert, then average the parameters over the local ones.

    DEFNet, Eqs. 24 and 25. The mean is over δ, ν, α and β of the fused pairs, so the evidence does not grow with the
    number of local experts.

    Args:
        local: Local experts, batch shape with at least one dimension.
        global_: The global expert, batch shape of `local` without `dim`.
        dim: The batch dimension of `local` that holds its experts; negative counts from the end.

    Returns:
        A distribution of `global_`'s batch shape, in at least `float32`.

    Raises:
        IndexError: If there is no such dimension.
        ValueError: If there are no experts along it or the batch shapes do not fit.

    Example:
        >>> local = NormalInverseGamma(torch.tensor([1.0, 3.0]), 1.0, 2.0, 1.0)
        >>> fused = fuse_local_global(local, NormalInverseGamma(2.0, 3.0, 2.0, 1.0), dim=0)
        >>> fused.loc, fused.nu, fused.alpha
        (tensor(2.), tensor(4.), tensor(4.5000))
    """
    dim = _batch_dimension(local, dim)
    expected = local.batch_shape[:dim] + local.batch_shape[dim + 1 :]
    if global_.batch_shape != expected:
        raise ValueError(
            f"global_ must have the batch shape of local without dimension {dim}, {tuple(expected)}, "
            f"but has {_shape(global_)}"
        )
    if local.batch_shape[dim] == 0:
        raise ValueError(
            f"fuse_local_global needs at least one local expert, "
            f"but dimension {dim} of batch shape {_shape(local)} is empty"
        )
    dtype = torch.promote_types(torch.promote_types(local.loc.dtype, global_.loc.dtype), torch.float32)
    local = local.map(lambda parameter: parameter.to(dtype))
    global_ = global_.map(lambda parameter: parameter.to(dtype).unsqueeze(dim))

    nu = local.nu + global_.nu
    share = global_.nu / nu
    gap = global_.loc - local.loc
    return NormalInverseGamma.from_alpha_minus_one(
        (local.loc + share * gap).mean(dim),
        nu.mean(dim),
        (local.alpha_minus_one + global_.alpha_minus_one + 1.5).mean(dim),
        # ½ν₁(δ₁ − δ)² + ½ν₂(δ₂ − δ)² = ½ (ν₁ν₂/ν)(δ₁ − δ₂)²
        (local.beta + global_.beta + 0.5 * local.nu * share * gap.square()).mean(dim),
        validate_args=False,
    )


def _shape(nig: NormalInverseGamma) -> tuple[int, ...]:
    return tuple(nig.batch_shape)


def _batch_dimension(nig: NormalInverseGamma, dim: int) -> int:
    dimensions = len(nig.batch_shape)
    if not -dimensions <= dim < dimensions:
        raise IndexError(f"there is no dimension {dim} in batch shape {_shape(nig)}")
    return dim % dimensions


def _check_weight_shape(weight: Tensor, nig: NormalInverseGamma, dim: int) -> Tensor:
    sizes = zip(reversed(weight.shape), reversed(nig.batch_shape), strict=False)
    if weight.dim() > len(nig.batch_shape) or any(size not in (1, full) for size, full in sizes):
        per_expert = tuple(nig.batch_shape[dim] if i == dim else 1 for i in range(len(nig.batch_shape)))
        raise ValueError(
            f"weight of shape {tuple(weight.shape)} does not broadcast to batch shape {_shape(nig)}; "
            f"one weight an expert has shape {per_expert}"
        )
    return weight


def _check_remainder(nu: Tensor, alpha_minus_one: Tensor) -> None:
    if not bool((nu > 0).all()):
        raise ValueError("weight leaves no evidence in at least one place: the weights of all its experts are 0")
    if not bool((alpha_minus_one > 0).all()):
        raise ValueError(
            f"weight leaves alpha <= 1 in at least one place (smallest alpha - 1: {alpha_minus_one.min().item():g}); "
            f"use larger weights: a sum of at least 1 over the experts is always enough"
        )
