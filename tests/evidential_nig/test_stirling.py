"""Stirling's remainder and t − 1 − log t against 50 digits."""

import mpmath
import pytest
import torch
from mpmath import mpf
from torch.autograd import gradcheck, gradgradcheck

from evidential_nig.stirling import excess, stirling_remainder, stirling_remainder_slope

# Where lgamma or digamma is taken apart (below 4 and 8), only the absolute error is that of the format.
ABSOLUTE = {torch.float32: 1e-6, torch.float64: 2e-15}
RELATIVE = {torch.float32: 3e-7, torch.float64: 3e-15}
arguments = 1 + 10.0 ** torch.arange(-6, 9, 0.25, dtype=torch.float64)


@pytest.mark.parametrize("dtype", ABSOLUTE)
def test_remainder_and_slope_against_mpmath(dtype):
    x = torch.cat([arguments, torch.tensor([3.999, 4.0, 7.999, 8.0], dtype=torch.float64)]).to(dtype)
    for computed, exact in (
        (
            stirling_remainder(x),
            lambda m: mpmath.loggamma(m) - (m - mpf(1) / 2) * mpmath.log(m) + m - mpmath.log(2 * mpmath.pi) / 2,
        ),
        (stirling_remainder_slope(x), lambda m: mpmath.psi(0, m) - mpmath.log(m) + 1 / (2 * m)),
    ):
        for argument, result in zip(x.tolist(), computed.tolist(), strict=True):
            expected = exact(mpf(argument))
            error = abs(result - expected)
            assert error <= ABSOLUTE[dtype], argument
            if argument >= 8:
                assert error <= RELATIVE[dtype] * abs(expected), argument


@pytest.mark.parametrize("dtype", RELATIVE)
def test_excess_keeps_its_digits_near_one(dtype):
    sizes = 10.0 ** torch.arange(-15, 1.8, 0.25, dtype=torch.float64)
    logs = torch.cat([sizes, -sizes, torch.tensor([0.5, -0.5, 0.5001], dtype=torch.float64)]).to(dtype)
    for log_ratio, result in zip(logs.tolist(), excess(logs).tolist(), strict=True):
        expected = mpmath.expm1(mpf(log_ratio)) - mpf(log_ratio)
        assert abs(result - expected) <= RELATIVE[dtype] * expected, log_ratio
    assert excess(torch.zeros((), dtype=dtype)) == 0


@pytest.mark.parametrize("function", [stirling_remainder, stirling_remainder_slope, excess])
def test_gradients_on_both_sides_of_the_seams(function):
    x = torch.tensor([1.2, 3.9, 7.5, 8.5, 300.0, 0.4, 0.6], dtype=torch.float64)
    x = x if function is excess else x.clamp_min(1.2)
    assert gradcheck(function, x.requires_grad_(), check_forward_ad=True)
    assert gradgradcheck(function, x)
