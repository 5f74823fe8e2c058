"""Likelihood of an observation that carries normal noise of a known deviation on top of the predictive Student t.

The predictive density is a mixture of normals over the precision: with u ~ Gamma(α, 1) and c = β(1 + 1/ν), y given u is
normal about δ with variance c/u. Noise of variance s² adds to it, so that with r = y − δ

    p(r) = ∫ Gamma(u; α, 1) · N(r; 0, s² + c/u) du,

whose integrand over t = log(u/α) is smooth for every s, from none to any: s² only ever widens the normal. It has one
peak, or two where the heavy tail of the Student t and a large error of the noise explain r about equally well. Its
slope by t is that of a cubic in u over a square, so that peaks and the valley between them are found by bisection
within brackets that are known in closed form.

Each of the up to four stretches between a tail, a peak and the valley falls monotonically. It is cut where the
integrand has fallen to e^−28 of its peak and integrated by Gauss and Legendre's rule with `_NODES` nodes. Nodes carry
no gradient: the integral does not depend on where they lie, and the derivatives of the sum are the rule's for the
derivatives. With 40 nodes a stretch the logarithm of p is right to about 2e-9.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions.utils import broadcast_all

from evidential_nig.gauss_legendre import gauss_legendre
from evidential_nig.stirling import excess, stirling_remainder

_NODES = 40
_FALL = 28.0
_HALVINGS = 40
_RULE = gauss_legendre(_NODES)


def noisy_nll(residual: Tensor, nu: Tensor, alpha: Tensor, beta: Tensor, std: Tensor) -> Tensor:
    """−log p(r), all arguments broadcast against each other; in double precision where the device has it.

    Args:
        residual: r = y − δ.
        nu: ν > 0.
        alpha: α ≥ 1.
        beta: β > 0.
        std: s ≥ 0, in units of r.

    Returns:
        Values of the broadcast shape, in the dtype that was computed in. Differentiable in all arguments.
    """
    wide = residual.dtype if residual.device.type == "mps" else torch.float64
    residual, nu, alpha, beta, std = broadcast_all(*(tensor.to(wide) for tensor in (residual, nu, alpha, beta, std)))
    spread = beta * (1 + nu.reciprocal())
    stretches = _stretches(*(tensor.detach() for tensor in (residual, alpha, spread, std)))
    nodes, weights = (torch.tensor(column, dtype=wide, device=residual.device) for column in zip(*_RULE, strict=True))
    start, length = stretches[0].unsqueeze(-1), (stretches[1] - stretches[0]).unsqueeze(-1)
    t = start + length * nodes  # (4, ..., nodes)
    logs = _log_integrand(t, *(tensor.unsqueeze(-1) for tensor in (residual, alpha, spread, std)))
    # A stretch of no length weighs nothing: log 0, without the gradient of one.
    empty = length <= 0
    scaled = torch.where(empty, -math.inf, logs + (weights * torch.where(empty, 1, length)).log())
    total = torch.logsumexp(scaled.movedim(0, -1).flatten(-2), -1)
    # log of αᵅ e^−α / Γ(α) by Stirling's formula, in which nothing large cancels, and the normal's ½ log 2π.
    return math.log(2 * math.pi) + stirling_remainder(alpha) - 0.5 * alpha.log() - total


def _log_integrand(t: Tensor, residual: Tensor, alpha: Tensor, spread: Tensor, std: Tensor) -> Tensor:
    """Logarithm of the integrand by t, up to a constant: that of the gamma density's part and of the normal's."""
    variance = std.square() + spread * (-t).exp() / alpha
    return -alpha * excess(t) - 0.5 * variance.log() - 0.5 * residual.square() / variance


def _stretches(residual: Tensor, alpha: Tensor, spread: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Where the four stretches begin and end, (4, ...); what there is none of has no length."""
    ratio = residual.square() / (2 * spread)
    noise = std.square() / spread
    low, high = -torch.log1p(ratio), torch.log1p(0.5 / alpha)  # all peaks lie between them
    # With z = 1 + (s²/c) u the slope has the sign of a cubic, whose own slope has its zeros at
    root = 1 + noise * alpha
    under = root.square() + 3 * (0.5 * noise - ratio)
    turn = under.clamp_min(0).sqrt()
    scale = (3 * noise * alpha).clamp_min(torch.finfo(alpha.dtype).tiny)
    between = [((root + sign * turn - 3) / scale).clamp_min(torch.finfo(alpha.dtype).tiny).log() for sign in (-1, 1)]
    between = [torch.minimum(torch.maximum(place, low), high) for place in between]

    def slope(t: Tensor) -> Tensor:
        u = alpha * t.exp()
        z = 1 + noise * u
        return alpha - u + 0.5 / z - ratio * u / z.square()

    two_peaks = (under > 0) & (slope(between[0]) < 0) & (slope(between[1]) > 0) & (between[0] < between[1])
    ends = torch.where(two_peaks, between[0], high), torch.where(two_peaks, between[1], low)
    rising = torch.stack([torch.ones_like(two_peaks), ~two_peaks, torch.ones_like(two_peaks)])
    first, valley, last = _bisect(
        lambda t: (slope(t) > 0) == rising,
        torch.stack([low, torch.where(two_peaks, between[0], low), ends[1]]),
        torch.stack([ends[0], torch.where(two_peaks, between[1], high), high]),
    )
    first, last = (torch.where(two_peaks, peak, valley) for peak in (first, last))

    def height(t: Tensor) -> Tensor:
        return _log_integrand(t, residual, alpha, spread, std)

    # Beyond the outer peaks the logarithm falls by at least α h(d) within d, h(d) = d − 1 + e^−d to the left and more
    # to the right, and h(d) ≥ F/α from d = F/α + √(2F/α) on.
    fall = _FALL / alpha
    reach = fall + (2 * fall).sqrt()
    peaks = torch.stack([first, first, last, last])
    far = torch.stack([low - reach, valley, valley, high + (2 * fall).sqrt()])
    floor = torch.maximum(height(first), height(last)) - _FALL
    # From each peak outward to where too little is left, or to the valley.
    near, away = peaks, far
    for _ in range(_HALVINGS):
        middle = 0.5 * (near + away)
        enough = height(middle) > floor
        near, away = torch.where(enough, middle, near), torch.where(enough, away, middle)
    # A peak that is itself that low counts for nothing, and so do its stretches.
    edge = torch.where(height(peaks) > floor, away, peaks)
    return torch.minimum(peaks, edge), torch.maximum(peaks, edge)


def _bisect(before: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Where `before` turns from true to false between `low`, where it is true, and `high`."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        left = before(middle)
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return 0.5 * (low + high)
