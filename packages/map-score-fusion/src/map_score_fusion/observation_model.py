"""How the scores of several metrics come from one latent quality: the paper's observation model and its posterior.

A score is x = f(z) + n + n̂ (Eq. 1) with n ~ SN(0, g(z), α) and n̂ ~ N(0, σ²), so that x − f(z) ~ SN(0, ω̃, α̃) (Eq. 2).
Metrics are independent given z, and z is uniform on [0, 1] a priori.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from map_score_fusion import skew_normal
from map_score_fusion.curves import (
    INITIAL_HEIGHT,
    INITIAL_NOISE,
    INITIAL_RATE,
    INITIAL_SHIFT,
    expected_score,
    inverse_softplus,
    score_noise,
)

SMALLEST_SIGMA = 1e-3
"""Floor of σ, in units of the scaled scores: without one the likelihood has no maximum, with this one it is finite."""

INITIAL_SHAPE = -1.0
"""α before fitting: the longer tail is on the side of low scores, as the paper observes."""

NODES = 65
"""Equally spaced qualities in [0, 1] at which every posterior is looked at first."""

COARSE_NODES = 33
"""The same where missing scores are filled in, and for the second look at a posterior."""

GOLDEN_STEPS = 34
"""Golden-section steps by which a maximum on these is refined: they narrow two of the cells to 3e-9."""

LOG_RANGE = 20.0
"""How far below its maximum a log posterior still counts: what is left out weighs 2e-9 of it."""

QUADRATURE_NODES = 32
"""Gauss-Legendre nodes over the stretch of [0, 1] in which the posterior counts."""

CHUNK = 512
"""Images whose posteriors are looked at together: their log densities fit a processor's cache for some ten metrics."""


class ObservationModel(nn.Module):
    """f, g, α and σ of M metrics (the paper's Eq. 1), in float64, and what follows from them for an image's scores.

    Scores are scaled to [0, 1], (N, M), NaN where missing; missing scores leave the likelihood.

    Args:
        metrics: M.
        score_level: Whether there is a noise that depends on the score, g and α. Without it (the paper's "-m"), ω = 0:
            normal noise with one σ for each metric.
    """

    def __init__(self, metrics: int, *, score_level: bool) -> None:
        super().__init__()

        def parameter(*values: float) -> nn.Parameter:
            return nn.Parameter(torch.tensor(values, dtype=torch.float64)[:, None].repeat(1, metrics))

        self.score_level = score_level
        self.curve = parameter(inverse_softplus(-INITIAL_RATE), INITIAL_SHIFT, INITIAL_HEIGHT)
        self.log_sigma = parameter(math.log(INITIAL_NOISE))
        if score_level:
            self.noise_coefficients = parameter(0.0, 0.0, inverse_softplus(INITIAL_NOISE))
            self.shape = parameter(INITIAL_SHAPE)

    def curve_parameters(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return a < 0, b and c of each metric's f, each of shape (M,)."""
        raw_rate, shift, height = self.curve
        return -functional.softplus(raw_rate), shift, height

    def sigma(self) -> Tensor:
        """Return σ of each metric, shape (M,)."""
        return SMALLEST_SIGMA + torch.exp(self.log_sigma[0])

    def expected_score(self, latent: Tensor) -> Tensor:
        """Return f(z), shape (..., M), for qualities z (...)."""
        return expected_score(latent[..., None], *self.curve_parameters())

    def noise(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return ω̃ and α̃ of the noise about f(z), each of shape (..., M), for qualities z (...)."""
        sigma = self.sigma()
        if not self.score_level:
            scale = sigma.expand(*latent.shape, -1)
            return scale, torch.zeros_like(scale)
        return skew_normal.add_normal_noise(
            score_noise(latent[..., None], self.noise_coefficients), self.shape[0], sigma
        )

    def log_likelihood(self, latent: Tensor, scores: Tensor) -> Tensor:
        """Return log p(x | z) of each score, shape (..., M), 0 where it is missing, for qualities z (...)."""
        scale, shape = self.noise(latent)
        missing = torch.isnan(scores)
        noise = torch.where(missing, 0.0, scores - self.expected_score(latent))
        return torch.where(missing, 0.0, skew_normal.log_density(noise, scale, shape))

    def log_posterior(self, latent: Tensor, scores: Tensor) -> Tensor:
        """Return Σ_j log p(x_j | z) + log p(z), shape (...): the summand of one image in the paper's Eq. 6."""
        outside = (latent < 0.0) | (latent > 1.0)
        return self.log_likelihood(latent, scores).sum(-1).masked_fill(outside, -math.inf)

    def information(self, latent: Tensor) -> Tensor:
        """Return f'(z)² over the variance of the noise at z, shape (..., M): what each metric's score says of z."""
        rate, _, height = self.curve_parameters()
        slope = -rate * (height - self.expected_score(latent))
        return (slope / skew_normal.standard_deviation(*self.noise(latent))).square()

    @torch.no_grad()
    def map_estimate(self, scores: Tensor) -> Tensor:
        """Return the z (N,) in [0, 1] of the largest posterior, ½ where every score is missing.

        The best of `NODES` nodes, then golden-section search between its neighbours: right to 1e-8 unless the posterior
        has peaks narrower than a cell of the grid.
        """
        return torch.cat([self._map_estimate(chunk) for chunk in torch.split(scores, CHUNK)])

    @torch.no_grad()
    def conditional_expectation(self, scores: Tensor) -> Tensor:
        """Return the scores (N, M) with E[x | z] under the model in place of the missing ones.

        z is the largest posterior's given the scores that are not missing, on the grid and refined by a parabola
        through three nodes. Where every score is missing, z is ½.
        """
        missing = torch.isnan(scores)
        incomplete = missing.any(1)
        filled = scores.clone()
        filled[incomplete] = torch.cat([self._filled(chunk) for chunk in torch.split(scores[incomplete], CHUNK)])
        return filled

    @torch.no_grad()
    def posterior_deviation(self, scores: Tensor, estimate: Tensor) -> Tensor:
        """Return the root of E[(z − estimate)² | x], shape (N,): how far the quality is from an estimate (N,) of it.

        The integral is by Gauss-Legendre quadrature over the stretch where the posterior counts, found by looking at it
        on a grid over [0, 1] and on a second one over what the first left: 130 densities for each score.
        """
        pieces = zip(torch.split(scores, CHUNK), torch.split(estimate, CHUNK), strict=True)
        return torch.cat([self._posterior_deviation(*piece) for piece in pieces])

    def _map_estimate(self, scores: Tensor) -> Tensor:
        nodes = torch.linspace(0.0, 1.0, NODES, dtype=torch.float64)
        on_grid = self.log_posterior(nodes, scores[:, None])
        largest, best = on_grid.max(1)
        left, right = nodes[(best - 1).clamp(min=0)], nodes[(best + 1).clamp(max=NODES - 1)]
        ratio = (math.sqrt(5.0) - 1.0) / 2.0
        inner_left, inner_right = right - ratio * (right - left), left + ratio * (right - left)
        at_left, at_right = self.log_posterior(inner_left, scores), self.log_posterior(inner_right, scores)
        for _ in range(GOLDEN_STEPS):
            keep_left = at_left >= at_right
            left, right = torch.where(keep_left, left, inner_left), torch.where(keep_left, inner_right, right)
            new = torch.where(keep_left, right - ratio * (right - left), left + ratio * (right - left))
            at_new = self.log_posterior(new, scores)
            inner_left, inner_right = torch.where(keep_left, new, inner_right), torch.where(keep_left, inner_left, new)
            at_left, at_right = torch.where(keep_left, at_new, at_right), torch.where(keep_left, at_left, at_new)
        refined = (left + right) / 2.0
        estimate = torch.where(self.log_posterior(refined, scores) >= largest, refined, nodes[best])
        return torch.where(torch.isnan(scores).all(1), 0.5, estimate)

    def _filled(self, scores: Tensor) -> Tensor:
        nodes = torch.linspace(0.0, 1.0, COARSE_NODES, dtype=torch.float64)
        on_grid = self.log_posterior(nodes, scores[:, None])
        best = on_grid.argmax(1).clamp(1, COARSE_NODES - 2)
        before, at, after = (on_grid.gather(1, (best + step)[:, None])[:, 0] for step in (-1, 0, 1))
        curvature = (before - 2.0 * at + after).clamp(max=-1e-12)
        vertex = (0.5 * (before - after) / curvature).clamp(-1.0, 1.0)
        latent = torch.where(torch.isnan(scores).all(1), 0.5, nodes[best] + vertex * nodes[1])
        expected = self.expected_score(latent) + skew_normal.mean(*self.noise(latent))
        return torch.where(torch.isnan(scores), expected, scores)

    def _posterior_deviation(self, scores: Tensor, estimate: Tensor) -> Tensor:
        nodes = torch.linspace(0.0, 1.0, NODES, dtype=torch.float64)
        on_grid = self.log_posterior(nodes, scores[:, None])
        left, right = _counting_stretch(nodes.expand_as(on_grid), on_grid)
        closer = left[:, None] + (right - left)[:, None] * torch.linspace(0.0, 1.0, COARSE_NODES, dtype=torch.float64)
        left, right = _counting_stretch(closer, self.log_posterior(closer, scores[:, None]))
        abscissae, weights = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(QUADRATURE_NODES))
        latent = left[:, None] + (right - left)[:, None] * (abscissae + 1.0) / 2.0
        log_posterior = self.log_posterior(latent, scores[:, None])
        share = weights * torch.exp(log_posterior - log_posterior.max(1, keepdim=True).values)
        squared_error = (share * (latent - estimate[:, None]).square()).sum(1) / share.sum(1)
        return squared_error.sqrt()


def _counting_stretch(nodes: Tensor, log_posterior: Tensor) -> tuple[Tensor, Tensor]:
    """Ends (N,) of what is within `LOG_RANGE` of each row's maximum on its nodes (N, K), and a node more each way."""
    counts = log_posterior >= log_posterior.max(1, keepdim=True).values - LOG_RANGE
    last = nodes.shape[1] - 1
    first_counting = counts.to(torch.uint8).argmax(1)
    last_counting = last - counts.flip(1).to(torch.uint8).argmax(1)
    left = nodes.gather(1, (first_counting - 1).clamp(min=0)[:, None])[:, 0]
    right = nodes.gather(1, (last_counting + 1).clamp(max=last)[:, None])[:, 0]
    return left, right
