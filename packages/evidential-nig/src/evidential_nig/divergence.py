"""Kullback-Leibler divergence between normal-inverse-gamma distributions, registered with torch.distributions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import register_kl

from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.stirling import excess, stirling_remainder, stirling_remainder_slope


@register_kl(NormalInverseGamma, NormalInverseGamma)  # type: ignore[no-untyped-call, untyped-decorator]
def kl_nig_nig(p: NormalInverseGamma, q: NormalInverseGamma) -> Tensor:
    """KL(p ‖ q) of two distributions over (μ, σ²), in nats; shape: that of both batch shapes broadcast.

    Called through `torch.distributions.kl_divergence`, with both distributions inside `Independent` too. With
    h(t) = t − 1 − log t ≥ 0 and Stirling's remainder R,

        ½ h(ν_q/ν_p) + ½ ν_q (δ_p − δ_q)² α_p/β_p                                             for μ given σ²
        + α_q h(β_q α_p / (β_p α_q)) + ½ h(α_q/α_p) + R(α_q) − R(α_p) − (α_q − α_p) R'(α_p)   for σ²,

    which is 0 where the two are equal and takes no large terms from one another. In at least `float32`.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, kl_divergence
        >>> p = NormalInverseGamma(torch.tensor([0.0, 1.0]), 2.0, 3.0, 4.0)
        >>> q = NormalInverseGamma(torch.tensor([0.0, 0.0]), 2.0, 3.0, 4.0)
        >>> kl_divergence(p, q)
        tensor([0.0000, 0.7500])
        >>> kl_divergence(Independent(p, 1), Independent(q, 1))
        tensor(0.7500)
    """
    p, q = p._at_least_single(), q._at_least_single()
    mean = 0.5 * (excess(_log_ratio(q.nu, p.nu)) + q.nu * (p.loc - q.loc).square() * (p.alpha / p.beta))
    log_alpha_ratio = _log_ratio(q.alpha, p.alpha)
    remainders = (
        stirling_remainder(q.alpha)
        - stirling_remainder(p.alpha)
        - (q.alpha_minus_one - p.alpha_minus_one) * stirling_remainder_slope(p.alpha)
    )
    variance = (
        q.alpha * excess(_log_ratio(q.beta, p.beta) - log_alpha_ratio) + 0.5 * excess(log_alpha_ratio) + remainders
    )
    return (mean + variance).clamp_min(0)  # rounding alone can go below


def _log_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """log(a/b): of the ratio, which is exact where the two are close, unless that leaves the range of the format."""
    ratio = numerator / denominator
    within = (ratio > 0) & ratio.isfinite()
    return torch.where(within, torch.where(within, ratio, 1).log(), numerator.log() - denominator.log())
