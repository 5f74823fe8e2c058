"""The curves f and g of the paper's section 4.1."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from map_score_fusion import curves


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


LATENT = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)[:, None]


def test_expected_score_is_the_papers_exponential() -> None:
    rate, shift, height = (double(values) for values in ([-0.5, -3.0], [0.2, -1.0], [1.0, 0.7]))
    expected = -np.exp(rate.numpy() * (LATENT.numpy() - shift.numpy())) + height.numpy()
    np.testing.assert_allclose(curves.expected_score(LATENT, rate, shift, height), expected, rtol=1e-14)


@given(st.floats(-20, -1e-3), st.floats(-2, 2), st.floats(-2, 2))
def test_expected_score_rises_for_negative_rates(rate: float, shift: float, height: float) -> None:
    values = curves.expected_score(LATENT[:, 0], *(double(value) for value in (rate, shift, height)))
    assert torch.all(values.diff() >= 0.0)


def test_expected_score_starts_as_a_curve_from_0_to_1() -> None:
    start = (curves.INITIAL_RATE, curves.INITIAL_SHIFT, curves.INITIAL_HEIGHT)
    ends = curves.expected_score(double([0.0, 1.0]), *(double(value) for value in start))
    np.testing.assert_allclose(ends, [0.0, 1.0], atol=1e-15)


def test_score_noise_is_the_softplus_of_the_papers_quadratic() -> None:
    coefficients = double([[3.0, -1.0], [-2.0, 0.5], [-1.0, 0.0]])
    z = LATENT.numpy()
    quadratic = np.array([3.0, -1.0]) * z**2 + np.array([-2.0, 0.5]) * z + np.array([-1.0, 0.0])
    found = curves.score_noise(LATENT, coefficients)
    np.testing.assert_allclose(found, np.log1p(np.exp(quadratic)), rtol=1e-14)
    assert torch.all(curves.score_noise(LATENT, 30 * coefficients) > 0.0)


@given(st.floats(1e-6, 50.0))
def test_inverse_softplus(value: float) -> None:
    again = torch.nn.functional.softplus(double(curves.inverse_softplus(value)))
    np.testing.assert_allclose(float(again), value, rtol=1e-9)


def test_gradcheck() -> None:
    inputs = [double(values).requires_grad_() for values in ([-0.5, -3.0], [0.2, -1.0], [1.0, 0.7])]
    assert torch.autograd.gradcheck(lambda *curve: curves.expected_score(LATENT, *curve), inputs)
    latent = LATENT[1:5].clone().requires_grad_()
    coefficients = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(curves.score_noise, (latent, coefficients))
