"""The two curves of a metric over the latent quality z in [0, 1]: f, its expected score, and g, its score's noise."""

import math

import torch
from torch import Tensor
from torch.nn import functional

INITIAL_RATE = -1.0
"""a of f before fitting: a moderate bend."""

INITIAL_HEIGHT = 1.0 / -math.expm1(INITIAL_RATE)
"""c of f before fitting, and exp(−ab): with them f leads from 0 at z = 0 to 1 at z = 1, as scaled scores do."""

INITIAL_SHIFT = -math.log(INITIAL_HEIGHT) / INITIAL_RATE
"""b of f before fitting."""

INITIAL_NOISE = 0.1
"""ω and σ before fitting: a tenth of the scale, for every metric and quality."""


def expected_score(latent: Tensor, rate: Tensor, shift: Tensor, height: Tensor) -> Tensor:
    """Return f(z) = −exp(a(z − b)) + c (the paper's section 4.1), increasing and concave for a < 0.

    Args:
        latent: z, shape (..., 1) or whatever broadcasts.
        rate: a < 0, shape (M,).
        shift: b, shape (M,).
        height: c, shape (M,).
    """
    return height - torch.exp(rate * (latent - shift))


def score_noise(latent: Tensor, coefficients: Tensor) -> Tensor:
    """Return g(z) = softplus(az² + bz + c) > 0, the ω of a metric's score at this quality (the paper's section 4.1).

    The paper has the quadratic alone, which could become negative. Nothing says whether it rises or falls.

    Args:
        latent: z, shape (..., 1) or whatever broadcasts.
        coefficients: a, b and c, shape (3, M).
    """
    quadratic, linear, constant = coefficients
    return functional.softplus((quadratic * latent + linear) * latent + constant)


def inverse_softplus(value: float) -> float:
    """Return the number whose softplus is this value > 0."""
    return value + math.log(-math.expm1(-value))
