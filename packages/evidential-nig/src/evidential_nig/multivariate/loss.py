"""The likelihood of observed vectors under normal-inverse-Wishart beliefs."""

from __future__ import annotations

import torch
from torch import Tensor

from evidential_nig.arguments import check_batch, check_choice
from evidential_nig.gamma_ratio import log_gamma_ratio
from evidential_nig.losses import REDUCTIONS, Reduction, reduce
from evidential_nig.multivariate.distribution import LOG_PI, NormalInverseWishart, solve


def niw_nll(
    niw: NormalInverseWishart,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log likelihood of observed vectors under the predictive multivariate Student t.

    Meinert and Lavin, 2021, Section 2.2, in a form that keeps its digits at every magnitude: with d = df − n + 1 and
    m = |L⁻¹ (y − δ)|² κ/(1 + κ),

        log(Γ(d/2)/Γ((d + n)/2)) + ½ n log(π (1 + 1/κ)) + Σ log Lᵢᵢ + ½ (d + n) log1p(m),

    where the logarithm of the gamma ratio is a sum of logarithms and, for odd n, one half step by the series that
    `nig_nll` uses. For n = 1 it is `nig_nll`.

    Args:
        niw: Predictions, batch shape (...).
        target: Observations y, shape exactly (..., n); converted to the dtype of the predictions.
        reduction: "none" keeps (...), "sum" adds up, "mean" divides that by the number of vectors or, with weights,
            by their sum.
        weight: One weight a vector, shape exactly (...). Where it is 0 the target is not looked at and may be NaN.

    Returns:
        The loss in at least `float32`, inside autocast too.

    Raises:
        ValueError: If a shape is not exactly that, or `reduction` is not one of the three.
        TypeError: If `niw` is no `NormalInverseWishart`, or `target` or `weight` is no tensor.

    Example:
        >>> niw = NormalInverseWishart(torch.zeros(2, 2), 1.0, 5.0, torch.eye(2))
        >>> niw_nll(niw, torch.tensor([[0.0, 0.0], [1.0, 1.0]]), reduction="none")
        tensor([1.1447, 3.2242])
    """
    if not isinstance(niw, NormalInverseWishart):
        raise TypeError(f"niw must be a NormalInverseWishart, got {type(niw).__name__}")
    check_choice("reduction", reduction, REDUCTIONS)
    check_batch("target", target, niw.loc.shape, of="shape of the distribution's loc")
    if weight is not None:
        check_batch("weight", weight, niw.batch_shape)
    dtype = torch.promote_types(niw.loc.dtype, torch.float32)
    loc, kappa, excess_df, scale_tril, target = (
        tensor.to(dtype) for tensor in (niw.loc, niw.kappa, niw.excess_df, niw.scale_tril, target)
    )
    if weight is not None:
        # 0 times NaN is NaN, in the gradients as well, so what has no weight is taken out before.
        target = torch.where((weight == 0).unsqueeze(-1), loc.detach(), target)
    n = loc.shape[-1]
    widening = kappa.reciprocal()
    standard = solve(scale_tril, target - loc) * (1 + widening).rsqrt().unsqueeze(-1)
    nll = (
        _log_gamma_steps(1 + 0.5 * excess_df, n)
        + 0.5 * n * (LOG_PI + torch.log1p(widening))
        + scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        + (1 + 0.5 * (excess_df + n)) * _log1p_of_squares(standard)
    )
    return reduce(nll, reduction, weight)


def _log_gamma_steps(x: Tensor, n: int) -> Tensor:
    """log(Γ(x)/Γ(x + n/2)): a half step for odd n, then whole ones by Γ(x + 1) = x Γ(x)."""
    steps = torch.arange(n // 2, dtype=x.dtype, device=x.device) + 0.5 * (n % 2)
    whole = -(x.unsqueeze(-1) + steps).log().sum(-1)
    return whole + log_gamma_ratio(x) if n % 2 else whole


def _log1p_of_squares(z: Tensor) -> Tensor:
    """log(1 + |z|²) without squaring what is large: nearly singular L make z exceed 1e19, whose square is infinite.

    With h = max(1, |zᵢ|), 1 + |z|² = h² (1 + (|z/h|² − 1 + 1/h²)); where h is 1, that is log1p(|z|²). The result does
    not depend on h, which so needs no gradient.
    """
    h = z.detach().abs().amax(-1, keepdim=True).clamp(1, torch.finfo(z.dtype).max)
    inverse = h.reciprocal()
    scaled = (z * inverse).square().sum(-1)
    h, inverse = h.squeeze(-1), inverse.squeeze(-1)
    return 2 * h.log() + torch.log1p(scaled + (inverse.square() - 1))
