"""Fusing the beliefs of several experts, each a normal-inverse-gamma distribution, into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, overload

import torch
from torch import Tensor

from evidential_nig.arguments import broadcasts_to, check_number
from evidential_nig.batch import Batch, stack
from evidential_nig.distribution import NormalInverseGamma

# Forward alone is bound by memory: pieces of this many values a parameter stay in a core's cache, which makes it
# several times faster than whole-tensor operations (benchmarks/accuracy_and_speed.py).
_VALUES_AT_ONCE = 1 << 18

_FourTensors: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]


@overload
def fuse(
    nig: NormalInverseGamma,
    dim: int,
    /,
    *,
    weight: Tensor | float | None = None,
    mask: Tensor | None = None,
    validate_args: bool | None = None,
) -> NormalInverseGamma: ...
@overload
def fuse(
    nig: NormalInverseGamma,
    *,
    dim: int,
    weight: Tensor | float | None = None,
    mask: Tensor | None = None,
    validate_args: bool | None = None,
) -> NormalInverseGamma: ...
@overload
def fuse(
    nig: NormalInverseGamma,
    /,
    *others: NormalInverseGamma,
    weight: Sequence[Tensor | float] | None = None,
    mask: Sequence[Tensor | bool] | None = None,
    validate_args: bool | None = None,
) -> NormalInverseGamma: ...


def fuse(
    nig: NormalInverseGamma,
    *others: Any,
    dim: int | None = None,
    weight: Any = None,
    mask: Any = None,
    validate_args: bool | None = None,
) -> NormalInverseGamma:
    """Fuse all experts along one batch dimension, `fuse(nig, dim)`, or several distributions, `fuse(a, b, ...)`.

    The closed form of DEFNet, Eqs. 19 and 20, for any number of experts (pairwise fusion in any order gives the same,
    by the parallel-axis theorem), with each expert's evidence tempered by a weight wᵢ ≥ 0:

        ν = Σ wᵢνᵢ
        δ = Σ wᵢνᵢδᵢ / ν
        α = Σ wᵢ(αᵢ + ½) − ½
        β = Σ wᵢβᵢ + ½ Σ wᵢνᵢ(δᵢ − δ)²

    A weight of 2 counts an expert twice, 0 leaves it out. Experts that see the same thing are not independent: fusing
    N of them claims about N times the evidence, which weights of 1/N take back.

    Args:
        nig: Experts, batch shape with at least one dimension; or the first of several distributions.
        others: The dimension `dim`; or the other distributions, all of the batch shape of the first.
        dim: The batch dimension that holds the experts; negative counts from the end.
        weight: A number, or a tensor with as many dimensions as the batch shape that broadcasts to it (one weight an
            expert has size 1 in the other dimensions); for several distributions, one number or tensor each. None is
            1 for all.
        mask: Which experts there are: a bool tensor of such a shape; for several distributions, one bool or bool tensor
            each. The parameters (NaN too) and weights of the others are not looked at and get no gradient. None is all.
        validate_args: Whether to check the values of `weight` and that a distribution is left (with a tensor of
            weights or a mask this costs a device synchronisation). None takes that of `set_default_validate_args`,
            except under `torch.compile` and `torch.export`, where values cannot be looked at. Unchecked, a place
            where nothing is left holds NaN.

    Returns:
        The fused distribution, batch shape without `dim` (for several distributions, their batch shape), in at least
        `float32`.

    Raises:
        IndexError: If there is no such dimension.
        TypeError: If a single distribution comes without `dim`, several with it, `weight` is neither number nor tensor,
            or `mask` is not bool.
        ValueError: If there are no experts, if the batch shapes of several differ, if `weight` or `mask` does not
            broadcast to the batch shape, if `weight` has negative, infinite or NaN values, or if weights and mask
            leave no evidence or α ≤ 1.

    Example:
        >>> experts = NormalInverseGamma(torch.tensor([2.0, 4.0]), 1.0, 2.0, 1.0)
        >>> fused = fuse(experts, dim=0)
        >>> fused.loc, fused.nu, fused.alpha, fused.beta
        (tensor(3.), tensor(2.), tensor(4.5000), tensor(3.))
        >>> fuse(experts[0], experts[1]).loc
        tensor(3.)
        >>> fuse(experts, dim=0, mask=torch.tensor([True, False])).loc
        tensor(2.)
    """
    if others and isinstance(others[0], int):
        if dim is not None or len(others) > 1:
            raise TypeError("fuse takes one distribution and one dim, or several distributions and no dim")
        (dim,) = others
    elif others or dim is None:
        if dim is not None or not others:
            raise TypeError("fuse takes one distribution and one dim, or several distributions and no dim")
        nig, weight, mask = _stack(nig, others, weight, mask)
        dim = 0
    if not isinstance(nig, NormalInverseGamma):
        raise TypeError(f"fuse takes a NormalInverseGamma, or several as fuse(a, b, ...), got {type(nig).__name__}")
    dim = _batch_dimension(nig, dim)
    experts = nig.batch_shape[dim]
    if experts == 0:
        raise ValueError(f"fuse needs at least one expert, but dimension {dim} of batch shape {_shape(nig)} is empty")
    dtype = torch.promote_types(nig.loc.dtype, torch.float32)
    parameters = [p.to(dtype) for p in (nig.loc, nig.nu, nig.alpha_minus_one, nig.beta)]
    if validate_args is None:
        validate_args = Batch._validate_args and not torch.compiler.is_compiling()

    if isinstance(weight, Tensor):
        weight = _expanded("weight", weight, nig, dim).to(dtype)
    elif weight is not None:
        check_number("weight", weight, above=0, kind="a number or a tensor")
    if mask is not None:
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            raise TypeError(f"mask must be a bool tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
        mask = _expanded("mask", mask, nig, dim)
        parameters = [torch.where(mask, p, 0) for p in parameters]
        weight = torch.where(mask, 1.0 if weight is None else weight, 0.0).to(dtype)
    if isinstance(weight, Tensor) and validate_args and not bool(((weight >= 0) & weight.isfinite()).all()):
        raise ValueError(f"weight must be finite and not negative, but holds\n{weight}")

    arguments = [*parameters, weight] if isinstance(weight, Tensor) else parameters
    number = 1.0 if weight is None or isinstance(weight, Tensor) else weight
    if torch.compiler.is_compiling() or (torch.is_grad_enabled() and any(p.requires_grad for p in arguments)):
        fused = _fuse(*arguments, number=number, dim=dim, recorded=True)
    else:
        fused = _in_pieces(lambda *pieces: _fuse(*pieces, number=number, dim=dim, recorded=False), arguments, dim)
    # A total weight of 1 or more always leaves α > 1, so only less than that needs a look at the values.
    if validate_args and (isinstance(weight, Tensor) or number * experts < 1):
        _check_remainder(fused[1], fused[2])
    return nig._with(*fused)


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
    return local._with(
        (local.loc + share * gap).mean(dim),
        nu.mean(dim),
        (local.alpha_minus_one + global_.alpha_minus_one + 1.5).mean(dim),
        # ½ν₁(δ₁ − δ)² + ½ν₂(δ₂ − δ)² = ½ (ν₁ν₂/ν)(δ₁ − δ₂)²
        (local.beta + global_.beta + 0.5 * local.nu * share * gap.square()).mean(dim),
    )


def _shape(nig: NormalInverseGamma) -> tuple[int, ...]:
    return tuple(nig.batch_shape)


def _batch_dimension(nig: NormalInverseGamma, dim: int) -> int:
    dimensions = len(nig.batch_shape)
    if not -dimensions <= dim < dimensions:
        raise IndexError(f"there is no dimension {dim} in batch shape {_shape(nig)}")
    return dim % dimensions


def _stack(
    first: NormalInverseGamma, others: Sequence[Any], weight: Any, mask: Any
) -> tuple[NormalInverseGamma, Tensor | None, Tensor | None]:
    """Several distributions as one with a new first dimension, and their weights and masks likewise."""
    several = (first, *others)
    for number, one in enumerate(several):
        if not isinstance(one, NormalInverseGamma):
            raise TypeError(
                f"fuse takes one distribution and one dim, or several distributions, "
                f"but argument {number} is of type {type(one).__name__}"
            )
        if one.batch_shape != first.batch_shape:
            raise ValueError(
                f"all distributions must have the batch shape of the first, {_shape(first)}, "
                f"but argument {number} has {_shape(one)}"
            )
    for name, values in (("weight", weight), ("mask", mask)):
        if values is None:
            continue
        if not (isinstance(values, Sequence) or getattr(values, "ndim", 0) == 1) or len(values) != len(several):
            raise ValueError(f"{name} must be a sequence with one entry for each of {len(several)} distributions")
        for number, value in enumerate(values):
            shape = getattr(value, "shape", torch.Size())
            if not broadcasts_to(shape, first.batch_shape):
                raise ValueError(
                    f"{name} {number} of shape {tuple(shape)} does not broadcast to batch shape {_shape(first)}"
                )

    def stacked(values: Sequence[Any]) -> Tensor:
        tensors = [torch.as_tensor(value, device=first.loc.device) for value in values]
        return torch.stack([tensor.expand(first.batch_shape) for tensor in tensors])

    return (
        stack([one.to(first.loc.device) for one in several]),
        None if weight is None else stacked(weight),
        None if mask is None else stacked(mask),
    )


def _fuse(
    loc: Tensor,
    nu: Tensor,
    alpha_minus_one: Tensor,
    beta: Tensor,
    weight: Tensor | None = None,
    *,
    number: float,
    dim: int,
    recorded: bool,
) -> _FourTensors:
    """δ, ν, α − 1 and β of the experts along `dim`, with a tensor of weights or one number for all."""
    total: Tensor | float
    if weight is None:
        total = number * loc.shape[dim]
        weight_or_number: Tensor | float = number
    else:
        total = weight.sum(dim)
        weight_or_number = weight
    if weight is not None or number != 1:
        nu, alpha_minus_one, beta = weight_or_number * nu, weight_or_number * alpha_minus_one, weight_or_number * beta
    fused_nu = nu.sum(dim, keepdim=True)
    share = nu / fused_nu
    fused_loc = (share * loc).sum(dim, keepdim=True)
    deviation = loc - fused_loc
    # Where nothing is kept for a backward pass, its memory can be used again.
    squared = share * deviation.square() if recorded else deviation.mul_(deviation).mul_(share)
    spread = squared.sum(dim)
    fused_nu = fused_nu.squeeze(dim)
    return (
        fused_loc.squeeze(dim),
        fused_nu,
        alpha_minus_one.sum(dim) + 1.5 * (total - 1),
        beta.sum(dim) + 0.5 * fused_nu * spread,
    )


def _in_pieces(function: Callable[..., _FourTensors], tensors: Sequence[Tensor], dim: int) -> _FourTensors:
    """Apply `function`, which reduces `dim`, to slices of the longest other dimension where that is faster."""
    shape = tensors[0].shape
    others = [axis for axis in range(len(shape)) if axis != dim]
    if tensors[0].device.type != "cpu" or not others:
        return function(*tensors)
    axis = max(others, key=lambda axis: shape[axis])
    length = max(1, _VALUES_AT_ONCE * shape[axis] // max(1, tensors[0].numel()))
    if length >= shape[axis]:
        return function(*tensors)
    pieces = [
        function(*(tensor.narrow(axis, start, min(length, shape[axis] - start)) for tensor in tensors))
        for start in range(0, shape[axis], length)
    ]
    loc, nu, alpha_minus_one, beta = (torch.cat(parts, dim=axis - (axis > dim)) for parts in zip(*pieces, strict=True))
    return loc, nu, alpha_minus_one, beta


def _expanded(name: str, value: Tensor, nig: NormalInverseGamma, dim: int) -> Tensor:
    # With fewer dimensions it would stand for the last ones, which need not be those that hold the experts.
    if value.dim() not in (0, len(nig.batch_shape)) or not broadcasts_to(value.shape, nig.batch_shape):
        per_expert = tuple(nig.batch_shape[dim] if i == dim else 1 for i in range(len(nig.batch_shape)))
        raise ValueError(
            f"{name} of shape {tuple(value.shape)} does not broadcast, dimension by dimension, to batch shape "
            f"{_shape(nig)}; one {name} an expert has shape {per_expert}"
        )
    return value.expand(nig.batch_shape)


def _check_remainder(nu: Tensor, alpha_minus_one: Tensor) -> None:
    if bool((nu.isnan() | alpha_minus_one.isnan()).any()):
        raise ValueError("nig holds NaN in its nu or alpha in at least one place that is not masked out")
    if not bool((nu > 0).all()):
        raise ValueError("no evidence is left in at least one place: all its experts are masked out or have weight 0")
    if not bool((alpha_minus_one > 0).all()):
        smallest = alpha_minus_one.min().item()
        raise ValueError(
            f"the weights leave alpha <= 1 in at least one place (smallest alpha - 1: {smallest:g}); "
            f"use larger weights: a sum of at least 1 over the experts is always enough"
        )
