"""What Stirling's formula leaves over, so that densities and divergences of gamma kind keep their digits.

log Γ(x) is near 1.3e7 at x = 1e6, and in a density, an entropy or a Kullback-Leibler divergence nearly all of it is
taken away again. Written with

    log Γ(x) = (x − ½) log x − x + ½ log 2π + R(x),        ψ(x) = log x − 1/(2x) + R'(x),

the large terms cancel on paper, and what is left are R, which is near 1/(12x), and multiples of t − 1 − log t ≥ 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# B₂ₖ / (2k(2k − 1)), k = 1 …: R(x) ~ Σ of these times x^(1 − 2k). In double precision all eleven are used from x = 8
# on, in single precision four from x = 4 on: what is left out is below 1e-18 and 4e-9.
_REMAINDER = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
    43867 / 244188,
    -174611 / 125400,
    77683 / 5796,
)
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)

# 2 / (k + 2)!, k = 0 …: exp(l) − 1 − l = l²/2 · Σ of these times l^k. For |l| ≤ ½ what is left out is below 1e-17.
_EXCESS = tuple(2 / math.factorial(k + 2) for k in range(15))
_EXCESS_SERIES_TO = 0.5


def stirling_remainder(x: Tensor) -> Tensor:
    """R(x) = log Γ(x) − (x − ½) log x + x − ½ log 2π for x ≥ 1, `float32` or `float64`."""
    series_from, terms = _series(x)
    small = x.clamp_max(series_from)
    direct = torch.lgamma(small) - ((small - 0.5) * small.log() - small + _HALF_LOG_TWO_PI)
    w = x.clamp_min(series_from).reciprocal()
    return torch.where(x < series_from, direct, w * _polynomial(terms, w * w))


def stirling_remainder_slope(x: Tensor) -> Tensor:
    """R'(x) = ψ(x) − log x + 1/(2x) for x ≥ 1, `float32` or `float64`."""
    series_from, terms = _series(x)
    small = x.clamp_max(series_from)
    direct = torch.digamma(small) - small.log() + 0.5 / small
    w_squared = x.clamp_min(series_from).reciprocal().square()
    slope = tuple(-(2 * k + 1) * term for k, term in enumerate(terms))
    return torch.where(x < series_from, direct, w_squared * _polynomial(slope, w_squared))


def excess(log_ratio: Tensor) -> Tensor:
    """The function h(t) = t − 1 − log t at t = exp(`log_ratio`): 0 at 1, positive elsewhere, exact near 1 too."""
    near = log_ratio.clamp(-_EXCESS_SERIES_TO, _EXCESS_SERIES_TO)
    series = 0.5 * near * near * _polynomial(_EXCESS, near)
    return torch.where(log_ratio.abs() <= _EXCESS_SERIES_TO, series, torch.expm1(log_ratio) - log_ratio)


def _series(x: Tensor) -> tuple[float, tuple[float, ...]]:
    return (8.0, _REMAINDER) if x.dtype == torch.float64 else (4.0, _REMAINDER[:4])


def _polynomial(coefficients: tuple[float, ...], t: Tensor) -> Tensor:
    result = torch.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = result * t + coefficient
    return result
