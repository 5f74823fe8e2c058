"""The skew-normal noise: its density (the paper's Eq. 2, corrected), its sum with normal noise, its moments."""

import itertools

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats

from map_score_fusion import skew_normal


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


SHAPES = [-30.0, -4.0, -1.0, 0.0, 0.3, 2.0, 50.0]
SCALES = [1e-3, 0.1, 2.0]


def density(noise: float, scale: float, shape: float) -> float:
    return float(skew_normal.log_density(*(double(value) for value in (noise, scale, shape))).exp())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equation_2_integrates_to_one(scale: float, shape: float) -> None:
    corners = [scale * bend for bend in (-12.0, -1.0, -0.1, 0.0, 0.1, 1.0, 12.0)]
    pieces = [integrate.quad(density, *ends, (scale, shape))[0] for ends in itertools.pairwise(corners)]
    assert sum(pieces) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equation_2_is_scipys_skewnorm(scale: float, shape: float) -> None:
    noise = scale * np.linspace(-5, 5, 41)
    found = skew_normal.log_density(torch.from_numpy(noise), double(scale), double(shape))
    np.testing.assert_allclose(found, stats.skewnorm.logpdf(noise, shape, scale=scale), rtol=1e-9, atol=1e-9)


def test_equation_2_as_printed_does_not_integrate_to_one() -> None:
    # exp(−n²/(2ω̃)) in place of exp(−n²/(2ω̃²)): what the correction is for.
    printed, _ = integrate.quad(lambda n: 2 / 0.1 * stats.norm.cdf(3 * n / 0.1) * np.exp(-(n**2) / 0.2) / 2.5066, -9, 9)
    assert abs(printed - 1.0) > 1.0


@pytest.mark.parametrize("standardised", [-1e8, -1e4, -300.0, -40.0, -8.0, -0.5, 0.0, 2.0, 40.0, 1e4, 1e8])
@pytest.mark.parametrize("shape", [-20.0, -1.0, 0.0, 5.0])
def test_value_and_gradients_are_exact_in_the_extreme_tails(standardised: float, shape: float) -> None:
    mpmath.mp.dps = 60
    scale = 0.05
    inputs = [double(value).requires_grad_() for value in (standardised * scale, scale, shape)]
    found = skew_normal.log_density(*inputs)
    gradients = torch.autograd.grad(found, inputs)

    n, w, a = (mpmath.mpf(value.item()) for value in inputs)
    z = n / w
    phi = mpmath.npdf(a * z)
    cumulative = mpmath.erfc(-a * z / mpmath.sqrt(2)) / 2
    mills = phi / cumulative
    expected = mpmath.log(2 / w) + mpmath.log(mpmath.npdf(z)) + mpmath.log(cumulative)
    derivatives = [(-z + a * mills) / w, (-1 + z**2 - a * z * mills) / w, z * mills]
    assert found.item() == pytest.approx(float(expected), rel=1e-12, abs=1e-12)
    for gradient, derivative in zip(gradients, derivatives, strict=True):
        # The terms of the second one, −1, z² and −αzm, may cancel: rounding is that of the largest.
        largest = float(1 + z**2 + abs(a * z * mills)) / scale
        assert gradient.item() == pytest.approx(float(derivative), rel=1e-10, abs=1e-14 * largest)


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(7, 3, dtype=torch.float64, generator=generator).requires_grad_()
    scale = (0.2 + torch.rand(7, 3, dtype=torch.float64, generator=generator)).requires_grad_()
    shape = (4 * torch.randn(3, dtype=torch.float64, generator=generator)).requires_grad_()
    sigma = (0.1 + torch.rand(3, dtype=torch.float64, generator=generator)).requires_grad_()

    def density_of_sum(noise, scale, shape, sigma):
        return skew_normal.log_density(noise, *skew_normal.add_normal_noise(scale, shape, sigma))

    assert torch.autograd.gradcheck(density_of_sum, (noise, scale, shape, sigma))


SUMS = [(0.1, -4.0, 0.05), (0.3, 6.0, 0.3), (0.02, -1.0, 0.5), (1.0, 0.0, 0.5), (0.5, 200.0, 0.01)]


@pytest.mark.parametrize(("scale", "shape", "sigma"), SUMS)
def test_sum_with_normal_noise_is_the_convolution(scale: float, shape: float, sigma: float) -> None:
    summed = [
        float(value) for value in skew_normal.add_normal_noise(*(double(value) for value in (scale, shape, sigma)))
    ]
    for position in (-2.0, -0.7, 0.0, 0.4, 1.5):
        at = position * summed[0]
        convolved, _ = integrate.quad(
            lambda n, at=at: stats.skewnorm.pdf(n, shape, scale=scale) * stats.norm.pdf(at - n, scale=sigma),
            -8 * scale,
            8 * scale,
            points=[0.0, at],
            limit=400,
        )
        assert density(at, *summed) == pytest.approx(convolved, rel=1e-6)


@pytest.mark.parametrize(("scale", "shape", "sigma"), SUMS)
def test_sum_with_normal_noise_by_simulation(scale: float, shape: float, sigma: float) -> None:
    generator = np.random.default_rng(11)
    drawn = stats.skewnorm.rvs(shape, scale=scale, size=40_000, random_state=generator)
    drawn = drawn + generator.normal(0.0, sigma, drawn.size)
    tensors = [double(value) for value in (scale, shape, sigma)]
    summed_scale, summed_shape = (float(value) for value in skew_normal.add_normal_noise(*tensors))
    test = stats.kstest(drawn, stats.skewnorm(summed_shape, scale=summed_scale).cdf)
    assert test.pvalue > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_moments_are_scipys(shape: float) -> None:
    tensors = double(0.3), double(shape)
    assert float(skew_normal.mean(*tensors)) == pytest.approx(stats.skewnorm.mean(shape, scale=0.3), abs=1e-12)
    assert float(skew_normal.standard_deviation(*tensors)) == pytest.approx(stats.skewnorm.std(shape, scale=0.3))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_central_interval_holds_its_probability_with_equal_tails(shape: float) -> None:
    lower, upper = skew_normal.central_interval(np.array([0.3]), np.array([shape]), 0.68)
    below, above = (integrate.quad(density, *ends, (0.3, shape))[0] for ends in ((-4, lower[0]), (upper[0], 4)))
    assert below == pytest.approx(0.16, abs=1e-6)
    assert above == pytest.approx(0.16, abs=1e-6)
