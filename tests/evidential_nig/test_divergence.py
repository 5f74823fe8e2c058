"""The KL divergence against the textbook form at 50 digits, and its properties."""

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from torch.autograd import gradcheck
from torch.distributions import Independent, InverseGamma, Normal, kl_divergence

from evidential_nig import NormalInverseGamma

positive = st.floats(1e-3, 1e4)
parameters = st.tuples(st.floats(-100, 100), positive, positive, positive)


def make(*values, dtype=torch.float64):
    return NormalInverseGamma.from_alpha_minus_one(*(torch.tensor(value, dtype=dtype) for value in values))


def exact(p, q):
    """E over p of log p − log q, term by term, and the sum of the magnitudes of its two halves."""
    (loc_p, nu_p, less_p, beta_p), (loc_q, nu_q, less_q, beta_q) = ([mpf(x) for x in row] for row in (p, q))
    alpha_p, alpha_q = 1 + less_p, 1 + less_q
    mean = (nu_q / nu_p - 1 - mpmath.log(nu_q / nu_p) + nu_q * (loc_p - loc_q) ** 2 * alpha_p / beta_p) / 2
    variance = (
        (alpha_p - alpha_q) * mpmath.psi(0, alpha_p)
        - mpmath.loggamma(alpha_p)
        + mpmath.loggamma(alpha_q)
        + alpha_q * mpmath.log(beta_p / beta_q)
        + alpha_p * (beta_q / beta_p - 1)
    )
    return mean + variance


@given(parameters, parameters)
def test_against_mpmath(p, q):
    expected = float(exact(p, q))
    assert kl_divergence(make(*p), make(*q)).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("alpha_minus_one", [0.5, 1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("ratio", [0.5, 0.99, 1.001, 3.0])
def test_single_precision_keeps_its_digits_for_large_evidence(alpha_minus_one, ratio):
    p, q = (1.0, 2.0, alpha_minus_one, alpha_minus_one), (1.0, 2.0, alpha_minus_one * ratio, alpha_minus_one)
    rounded = [tuple(torch.tensor(row).tolist()) for row in (p, q)]
    computed = kl_divergence(make(*p, dtype=torch.float32), make(*q, dtype=torch.float32)).item()
    assert computed == pytest.approx(float(exact(*rounded)), rel=2e-4, abs=2e-6)


@given(parameters)
def test_it_is_zero_for_equal_distributions_and_not_negative(p):
    nig = make(*p)
    assert kl_divergence(nig, nig) == 0


@given(parameters, parameters)
def test_it_is_not_negative(p, q):
    for dtype in (torch.float32, torch.float64):
        assert kl_divergence(make(*p, dtype=dtype), make(*q, dtype=dtype)) >= -1e-6


def test_the_part_of_the_variance_is_that_of_inverse_gamma_distributions():
    torch.manual_seed(0)
    p, q = make(1.0, 2.0, 2.0, 4.0), make(-1.0, 0.5, 1.0, 2.0)
    first, second = InverseGamma(p.alpha, p.beta), InverseGamma(q.alpha, q.beta)
    variance = first.sample((400_000,))
    inner = kl_divergence(Normal(p.loc, (variance / p.nu).sqrt()), Normal(q.loc, (variance / q.nu).sqrt()))
    drawn = inner + first.log_prob(variance) - second.log_prob(variance)
    assert abs(kl_divergence(p, q) - drawn.mean()) < 4 * drawn.std() / 400_000**0.5


def test_independent_adds_up_and_shapes_broadcast(generator):
    rows = torch.rand(2, 3, 4, 4, generator=generator) + 0.2
    p, q = (NormalInverseGamma.from_alpha_minus_one(*row.unbind(-1)) for row in rows)
    each = kl_divergence(p, q)
    assert each.shape == (3, 4)
    torch.testing.assert_close(kl_divergence(Independent(p, 1), Independent(q, 1)), each.sum(-1))
    torch.testing.assert_close(kl_divergence(Independent(p, 2), Independent(q, 2)), each.sum())
    torch.testing.assert_close(kl_divergence(p, q[0])[1], kl_divergence(p[1], q[0]))


def test_gradcheck(generator):
    rows = [(torch.rand(3, generator=generator, dtype=torch.float64) + 0.2).requires_grad_() for _ in range(8)]

    def divergence(*values):
        p, q = (NormalInverseGamma.from_alpha_minus_one(*values[i : i + 4]) for i in (0, 4))
        return kl_divergence(p, q)

    assert gradcheck(divergence, rows, check_forward_ad=True)


def test_parameters_that_are_worlds_apart_are_far_and_not_nan():
    for first, second in (
        ((0.0, 1e-30, 2.0, 1.0), (0.0, 1e30, 2.0, 1.0)),
        ((0.0, 1.0, 2.0, 1e-30), (0.0, 1.0, 2.0, 1e30)),
    ):
        p, q = (make(*row, dtype=torch.float32) for row in (first, second))
        assert kl_divergence(p, q) > 1e30
        assert kl_divergence(q, p) > 60


def test_half_precision_is_computed_in_single():
    p, q = (make(*row, dtype=torch.float16) for row in ((0.0, 1.0, 3.0, 2.0), (1.0, 2.0, 1.0, 1.0)))
    assert torch.equal(kl_divergence(p, q), kl_divergence(p.to(torch.float32), q.to(torch.float32)))
