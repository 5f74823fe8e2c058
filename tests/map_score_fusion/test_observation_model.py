"""The paper's observation model (Eq. 1) and the posterior of the quality (Eqs. 3 to 6)."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from map_score_fusion.observation_model import SMALLEST_SIGMA, ObservationModel


def double(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def model_of(metrics: int, *, seed: int = 0, score_level: bool = True, noise: float = 0.1) -> ObservationModel:
    """A model with curves, noises and skews that differ between metrics, within what fits of tables give."""
    generator = np.random.default_rng(seed)
    model = ObservationModel(metrics, score_level=score_level).requires_grad_(False)
    model.curve += torch.from_numpy(generator.normal(0.0, 0.3, model.curve.shape))
    model.log_sigma += np.log(noise / 0.1) + torch.from_numpy(generator.normal(0.0, 0.5, model.log_sigma.shape))
    if score_level:
        model.noise_coefficients += torch.from_numpy(generator.normal(0.0, 1.0, model.noise_coefficients.shape))
        model.noise_coefficients[2] += 5.0 * np.log(noise / 0.1)
        model.shape += torch.from_numpy(generator.normal(0.0, 3.0, model.shape.shape))
    return model


def draw(model: ObservationModel, latent: np.ndarray, seed: int = 0) -> np.ndarray:
    """Scores of images of these qualities as Eq. 1 says, from f, g, α and σ of a score-level model."""
    generator = np.random.default_rng(seed)
    rate, shift, height = (value.numpy() for value in model.curve_parameters())
    quadratic, linear, constant = model.noise_coefficients.numpy()
    z = latent[:, None]
    curve = height - np.exp(rate * (z - shift))
    omega = np.log1p(np.exp(quadratic * z**2 + linear * z + constant))
    noise = stats.skewnorm.rvs(model.shape.numpy()[0], scale=omega, size=omega.shape, random_state=generator)
    return curve + noise + generator.normal(0.0, model.sigma().numpy(), omega.shape)


def log_posterior(model: ObservationModel, latent: float, scores: np.ndarray) -> float:
    return float(model.log_posterior(double(latent), torch.from_numpy(scores)))


@pytest.mark.parametrize("quality", [0.05, 0.5, 0.9])
def test_equation_1_scores_are_a_curve_and_two_noises(quality: float) -> None:
    model = model_of(4)
    scores = draw(model, np.full(20_000, quality))
    curve = model.expected_score(double(quality)).numpy()
    scale, shape = (value.numpy() for value in model.noise(double(quality)))
    for metric in range(4):
        distribution = stats.skewnorm(shape[metric], loc=curve[metric], scale=scale[metric])
        assert stats.kstest(scores[:, metric], distribution.cdf).pvalue > 0.01
        found = model.log_likelihood(double([quality] * 5), torch.from_numpy(scores[:5]))[:, metric]
        np.testing.assert_allclose(found, distribution.logpdf(scores[:5, metric]), rtol=1e-9)


def test_equation_3_the_prior_is_uniform_on_the_unit_interval() -> None:
    model = model_of(3)
    scores = draw(model, np.array([0.4]))
    for quality in (0.0, 0.3, 1.0):
        likelihood = model.log_likelihood(double([quality]), torch.from_numpy(scores)).sum()
        assert log_posterior(model, quality, scores[0]) == pytest.approx(float(likelihood), rel=1e-12)
    assert log_posterior(model, -1e-9, scores[0]) == -np.inf
    assert log_posterior(model, 1.0 + 1e-9, scores[0]) == -np.inf


def test_equation_6_is_a_sum_over_images_and_metrics() -> None:
    # Between Eqs. 3 and 6 (the lines between have no number of their own) are the two independences.
    model = model_of(3)
    latent = np.array([0.2, 0.5, 0.9])
    scores = draw(model, latent)
    summed = 0.0
    for image, quality in enumerate(latent):
        scale, shape = (value.numpy() for value in model.noise(double(quality)))
        curve = model.expected_score(double(quality)).numpy()
        for metric in range(3):
            summed += stats.skewnorm.logpdf(scores[image, metric], shape[metric], curve[metric], scale[metric])
    found = model.log_posterior(torch.from_numpy(latent), torch.from_numpy(scores)).sum()
    assert float(found) == pytest.approx(summed, rel=1e-9)


def test_without_score_level_noise_it_is_normal_with_sigma() -> None:
    model = model_of(3, score_level=False)
    scores = np.array([[0.2, 0.5, 0.9]])
    expected = stats.norm.logpdf(scores[0], model.expected_score(double(0.3)), model.sigma())
    np.testing.assert_allclose(model.log_likelihood(double([0.3]), torch.from_numpy(scores))[0], expected, rtol=1e-10)


@pytest.mark.parametrize("score_level", [True, False])
def test_gradcheck_of_the_objective(score_level: bool) -> None:
    model = model_of(3, score_level=score_level)
    scores = torch.from_numpy(draw(model_of(3), np.linspace(0.1, 0.9, 5)))
    scores[1, 2] = scores[3, 0] = torch.nan
    names = [name for name, _ in model.named_parameters()]
    latent = torch.linspace(0.15, 0.8, 5, dtype=torch.float64)

    class Posterior(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, latent: torch.Tensor) -> torch.Tensor:
            return self.model.log_posterior(latent, scores)

    def objective(latent: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        parameters = {f"model.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(Posterior(), parameters, (latent,))

    inputs = (latent, *model.parameters())
    assert torch.autograd.gradcheck(objective, tuple(value.clone().requires_grad_() for value in inputs))


def test_missing_scores_leave_the_likelihood() -> None:
    model = model_of(4)
    scores = draw(model, np.array([0.3]))
    fewer = scores.copy()
    fewer[0, 2] = np.nan
    terms = model.log_likelihood(double([0.6]), torch.from_numpy(scores))[0]
    left = model.log_likelihood(double([0.6]), torch.from_numpy(fewer))[0]
    np.testing.assert_array_equal(left, terms * double([1, 1, 0, 1]))


def test_the_noise_has_a_floor() -> None:
    model = ObservationModel(2, score_level=True).requires_grad_(False)
    model.log_sigma.fill_(-1000.0)
    model.noise_coefficients[2].fill_(-1000.0)
    scale, _ = model.noise(torch.linspace(0, 1, 5, dtype=torch.float64))
    np.testing.assert_allclose(scale, SMALLEST_SIGMA)
    assert torch.isfinite(model.log_posterior(double([0.5]), double([[0.0, 1.0]]))).all()


@pytest.mark.parametrize("noise", [0.3, 0.05, 0.005])
@pytest.mark.parametrize("score_level", [True, False])
def test_map_estimate_is_the_best_of_a_dense_search(noise: float, score_level: bool) -> None:
    model = model_of(5, noise=noise, score_level=score_level)
    scores = draw(model_of(5, noise=noise), np.random.default_rng(1).uniform(size=200))
    scores[::3, 1] = np.nan
    scores[1] += 5.0  # beyond what any quality explains
    scores[2] -= 5.0
    tensor = torch.from_numpy(scores)
    dense = torch.linspace(0.0, 1.0, 4001, dtype=torch.float64)
    searched = torch.stack([model.log_posterior(dense, row).max() for row in tensor])
    found = model.map_estimate(tensor)
    assert torch.all((found >= 0.0) & (found <= 1.0))
    assert torch.all(model.log_posterior(found, tensor) >= searched - 1e-7)
    if not score_level:  # else a quality where the noise is wide may explain them better than the end
        assert found[1] > 1.0 - 1e-7
        assert found[2] < 1e-7


def test_missing_scores_get_their_conditional_expectation() -> None:
    model = model_of(4, noise=0.08)
    scores = draw(model, np.random.default_rng(2).uniform(0.1, 0.9, 30))
    scores[:, 1] = np.nan
    scores[::2, 3] = np.nan
    filled = model.conditional_expectation(torch.from_numpy(scores)).numpy()
    np.testing.assert_array_equal(filled[~np.isnan(scores)], scores[~np.isnan(scores)])
    dense = torch.linspace(0.0, 1.0, 20_001, dtype=torch.float64)
    for row, before in zip(filled, scores, strict=True):
        quality = dense[model.log_posterior(dense, torch.from_numpy(before)).argmax()]
        scale, shape = (value.numpy() for value in model.noise(quality))
        curve = model.expected_score(quality).numpy()
        for metric in np.flatnonzero(np.isnan(before)):
            distribution = stats.skewnorm(shape[metric], curve[metric], scale[metric])
            expectation, _ = integrate.quad(
                lambda x, distribution=distribution: x * distribution.pdf(x), -4, 5, points=[curve[metric]], limit=200
            )
            # The parabola through three nodes of a grid of 1/32 finds the quality to some thousandths.
            assert row[metric] == pytest.approx(expectation, abs=0.005)


@pytest.mark.parametrize("noise", [0.5, 0.1, 0.01, 0.002])
def test_posterior_deviation_is_that_of_numerical_integration(noise: float) -> None:
    model = model_of(4, noise=noise)
    scores = draw(model, np.random.default_rng(3).uniform(size=12))
    scores[::4, 0] = np.nan
    estimate = np.random.default_rng(4).uniform(size=12)
    estimate[6:] = model.map_estimate(torch.from_numpy(scores))[6:]
    found = model.posterior_deviation(torch.from_numpy(scores), torch.from_numpy(estimate))
    dense = torch.linspace(0.0, 1.0, 40_001, dtype=torch.float64)
    for row, at, deviation in zip(scores, estimate, found.tolist(), strict=True):
        density = torch.exp((values := model.log_posterior(dense, torch.from_numpy(row))) - values.max()).numpy()
        squares = integrate.simpson(density * (dense.numpy() - at) ** 2) / integrate.simpson(density)
        assert deviation == pytest.approx(np.sqrt(squares), rel=1e-4)


def test_without_any_score_the_prior_is_left() -> None:
    model = model_of(3)
    scores = torch.full((2, 3), torch.nan, dtype=torch.float64)
    np.testing.assert_array_equal(model.map_estimate(scores), [0.5, 0.5])
    np.testing.assert_allclose(model.posterior_deviation(scores, double([0.5, 0.0])), [12**-0.5, 3**-0.5])


def test_information_is_the_squared_slope_over_the_variance() -> None:
    model = model_of(3)
    latent = double([0.2, 0.7])
    step = 1e-6
    slope = (model.expected_score(latent + step) - model.expected_score(latent - step)) / (2 * step)
    scale, shape = (value.numpy() for value in model.noise(latent))
    variance = stats.skewnorm.var(shape, scale=scale)
    np.testing.assert_allclose(model.information(latent), slope.numpy() ** 2 / variance, rtol=1e-6)
