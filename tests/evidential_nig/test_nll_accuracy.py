"""The figures of the README: errors of `nig_nll` and of its gradients over twelve decades of every parameter."""

import itertools

import pytest
import torch

from evidential_nig import NormalInverseGamma, nig_nll

BOUND = {torch.float32: 1e-6, torch.float64: 1e-12}
MEASURED = {torch.float32: 4e-7, torch.float64: 1e-15}  # what is reached today; a regression shows here first


def grid(dtype):
    nu = [10.0**k for k in range(-6, 7, 2)]
    alpha_minus_one = [10.0**k for k in range(-6, 9, 2)]
    beta = [10.0**k for k in range(-8, 9, 2)]
    residual = [0.0, 1e-4, -1e-2, 1.0, -1e2, 1e4]
    corners = torch.tensor(list(itertools.product(nu, alpha_minus_one, beta, residual)), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    low, high = torch.tensor([-6.0, -6.0, -8.0, -6.0]), torch.tensor([6.0, 8.0, 8.0, 4.0])
    between = 10 ** (low + (high - low) * torch.rand(1500, 4, generator=generator)).double()
    return torch.cat([corners, between]).to(dtype).unbind(-1)


@pytest.mark.parametrize("dtype", BOUND)
def test_eq1_value_and_gradients_against_mpmath(dtype, reference_nll):
    nu, alpha_minus_one, beta, target = grid(dtype)
    parameters = [p.requires_grad_() for p in (torch.zeros_like(nu), nu, alpha_minus_one, beta)]
    loss = nig_nll(NormalInverseGamma.from_alpha_minus_one(*parameters), target, reduction="none")
    gradients = torch.autograd.grad(loss.sum(), parameters)

    worst = dict.fromkeys(("value", "loc", "nu", "alpha", "beta"), 0.0)
    computed = torch.stack([loss.detach(), *gradients], dim=-1).tolist()
    inputs = torch.stack([*(p.detach() for p in parameters), target], dim=-1).tolist()
    for row, point in zip(computed, inputs, strict=True):
        for (name, exact), result in zip(reference_nll(*point).items(), row, strict=True):
            if exact.scale == 0:
                assert result == 0
            else:
                worst[name] = max(worst[name], float(abs(result - exact.value) / exact.scale))
    assert max(worst.values()) <= BOUND[dtype], worst
    assert max(worst.values()) <= MEASURED[dtype], worst


def test_the_printed_form_of_eq1_fails_the_bound_in_single_precision(reference_nll):
    loc, nu, alpha, beta, target = (torch.tensor(v) for v in (0.0, 1.0, 1e6, 1.0, 0.5))
    omega = 2 * beta * (1 + nu)
    printed = (
        0.5 * torch.log(torch.pi / nu)
        + torch.lgamma(alpha)
        - torch.lgamma(alpha + 0.5)
        - alpha * torch.log(omega)
        + (alpha + 0.5) * torch.log(target**2 * nu + omega)
    )
    exact = float(reference_nll(0.0, 1.0, 1e6 - 1, 1.0, 0.5)["value"].value)
    assert abs(printed.item() - exact) > 0.1
    ours = nig_nll(NormalInverseGamma(loc, nu, alpha, beta), target)
    assert abs(ours.item() - exact) < 1e-6 * exact
