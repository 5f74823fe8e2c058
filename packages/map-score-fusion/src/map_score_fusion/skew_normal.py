"""The skew-normal distribution SN(0, ω, α) of a score's noise: its density, its sum with normal noise, its moments.

With φ and Φ the standard normal density and distribution function, the density is 2/ω · φ(n/ω) · Φ(αn/ω). The paper
prints exp(−n²/(2ω̃)) in its Eq. 2, which does not integrate to one; what is meant, and is here, is exp(−n²/(2ω̃²)).
"""

import math
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.autograd.function import once_differentiable

from map_score_fusion.methods.base import FloatArray

_LOG_NORMALISATION = 0.5 * math.log(2.0 / math.pi)


class _LogNormalCdf(torch.autograd.Function):
    """log Φ, whose derivative is exact in the lower tail.

    torch's own takes it as exp(−x²/2 − log Φ(x)), which loses x²/2 times the rounding error: 2.5e-7 at x = −5e4.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        result: Tensor = torch.special.log_ndtr(x)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        # φ/Φ; erfcx overflows from x = 37 on, where that is 0.
        slope: Tensor = math.sqrt(2.0 / math.pi) / torch.special.erfcx(x * -math.sqrt(0.5))
        return gradients[0] * slope


def log_normal_cdf(x: Tensor) -> Tensor:
    """Return log Φ(x), of the same shape, exact to rounding in value and first derivative for any finite x."""
    result: Tensor = _LogNormalCdf.apply(x)
    return result


def log_density(noise: Tensor, scale: Tensor, shape: Tensor) -> Tensor:
    """Return the logarithm of the density of SN(0, scale, shape) at the noise (the paper's Eq. 2).

    Exact to rounding in value and in gradient however far in the tails, where ½ + erf/2 is 0.

    Args:
        noise: n, of a shape (...) that all three broadcast to.
        scale: ω̃ > 0.
        shape: α̃, negative where low scores are the longer tail.

    Returns:
        log p(n), shape (...).
    """
    standardised = noise / scale
    cumulative = log_normal_cdf(shape * standardised)
    return _LOG_NORMALISATION - torch.log(scale) - 0.5 * standardised.square() + cumulative


def add_normal_noise(scale: Tensor, shape: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parameters ω̃, α̃ of SN(0, scale, shape) + N(0, sigma²), which is skew-normal too (under Eq. 2).

    ω̃² = ω² + σ² and α̃ = αω/√(ω² + σ² + α²σ²).
    """
    variance = scale.square() + sigma.square()
    return variance.sqrt(), shape * scale / (variance + (shape * sigma).square()).sqrt()


def mean(scale: Tensor, shape: Tensor) -> Tensor:
    """Return the mean of SN(0, scale, shape): ωδ√(2/π) with δ = α/√(1 + α²)."""
    return scale * (shape / (1.0 + shape.square()).sqrt()) * math.sqrt(2.0 / math.pi)


def standard_deviation(scale: Tensor, shape: Tensor) -> Tensor:
    """Return the standard deviation of SN(0, scale, shape): ω√(1 − 2δ²/π) with δ² = α²/(1 + α²)."""
    squared_delta = shape.square() / (1.0 + shape.square())
    return scale * (1.0 - squared_delta * (2.0 / math.pi)).sqrt()


def quantile(scale: FloatArray, shape: FloatArray, level: float) -> FloatArray:
    """Return the value that SN(0, scale, shape) is below with the probability ``level``."""
    return np.asarray(stats.skewnorm.ppf(level, shape, scale=scale))


def central_interval(scale: FloatArray, shape: FloatArray, probability: float) -> tuple[FloatArray, FloatArray]:
    """Return the bounds between which SN(0, scale, shape) falls with this probability, with equal tails beyond."""
    tail = (1.0 - probability) / 2.0
    return quantile(scale, shape, tail), quantile(scale, shape, 1.0 - tail)
