import mpmath
import pytest
import torch
from mpmath import mpf
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual

from evidential_nig.gamma_ratio import log_gamma_ratio

TOLERANCE = {torch.float32: 6e-7, torch.float64: 2e-15}


def arguments(dtype):
    small = torch.logspace(-4, 0, 80, dtype=torch.float64)
    return torch.cat([small, 1 + torch.logspace(-8, 15, 400, dtype=torch.float64)]).to(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_value_and_derivative_against_mpmath(dtype, reference_gamma_ratio):
    x = arguments(dtype).requires_grad_()
    value = log_gamma_ratio(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    for point, computed, computed_slope in zip(x.tolist(), value.tolist(), slope.tolist(), strict=True):
        exact, exact_slope = reference_gamma_ratio(mpf(point))
        # The value crosses zero near 1.3, where only its absolute error can be bounded.
        assert abs(computed - exact) <= TOLERANCE[dtype] * (abs(exact) + mpf(1) / 2), point
        assert abs(computed_slope - exact_slope) <= TOLERANCE[dtype] * abs(exact_slope), point


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_compiled_path_is_as_accurate(dtype, reference_gamma_ratio):
    x = arguments(dtype)[80:].requires_grad_()
    compiled = torch.compile(log_gamma_ratio, fullgraph=True, backend="aot_eager")
    value = compiled(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    for point, computed, computed_slope in zip(x.tolist(), value.tolist(), slope.tolist(), strict=True):
        exact, exact_slope = reference_gamma_ratio(mpf(point))
        assert abs(computed - exact) <= TOLERANCE[dtype] * (abs(exact) + mpf(1) / 2), point
        assert abs(computed_slope - exact_slope) <= 5 * TOLERANCE[dtype] * abs(exact_slope), point


def test_second_derivative_is_the_difference_of_trigammas():
    x = torch.logspace(0, 8, 30, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(log_gamma_ratio(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    for point, computed in zip(x.tolist(), curvature.tolist(), strict=True):
        exact = mpmath.psi(1, point) - mpmath.psi(1, mpf(point) + mpf(1) / 2)
        assert abs(computed - exact) <= 1e-13 * abs(exact), point


def test_gradcheck_in_both_modes():
    x = torch.tensor([0.3, 1.0, 1.7, 12.0, 900.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(log_gamma_ratio, x, check_forward_ad=True)
    assert gradgradcheck(log_gamma_ratio, x)


def test_forward_mode_equals_reverse_mode():
    x = torch.logspace(0, 6, 20, dtype=torch.float64)
    reverse = torch.func.vmap(torch.func.grad(log_gamma_ratio))(x)
    with dual_level():
        forward = unpack_dual(log_gamma_ratio(make_dual(x, torch.ones_like(x)))).tangent
    assert torch.equal(forward, reverse)


def test_the_difference_of_two_lgammas_loses_what_the_series_keeps(reference_gamma_ratio):
    alpha = torch.tensor([1e4, 1e6])
    exact = torch.tensor([float(reference_gamma_ratio(mpf(a))[0]) for a in alpha.tolist()])
    obvious = torch.lgamma(alpha) - torch.lgamma(alpha + 0.5)
    assert ((obvious - exact).abs() > torch.tensor([1e-3, 0.3])).all()
    assert ((log_gamma_ratio(alpha) - exact).abs() < 1e-6).all()
