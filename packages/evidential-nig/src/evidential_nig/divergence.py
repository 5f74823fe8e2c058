"""Kullback-Leibler divergence between normal-inverse-gamma distributions, registered with torch.distributions."""

from __future__ import annotations

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

    which is 0 where the two are equal and subtracts no large terms.

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
    mean = 0.5 * (excess((q.nu / p.nu).log()) + q.nu * (p.loc - q.loc).square() * (p.alpha / p.beta))
    log_alpha_ratio = (q.alpha / p.alpha).log()
    remainders = (
        stirling_remainder(q.alpha)
        - stirling_remainder(p.alpha)
        - (q.alpha_minus_one - p.alpha_minus_one) * stirling_remainder_slope(p.alpha)
    )
    variance = q.alpha * excess((q.beta / p.beta).log() - log_alpha_ratio) + 0.5 * excess(log_alpha_ratio) + remainders
    return mean + variance
