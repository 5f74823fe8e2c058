"""The paper's encoder: a small network that weighs an image's scores by looking at them (its sections 3.3 and 4.1)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LAYERS = 6
"""Layers of the network, each of as many units as there are metrics."""


class Encoder(nn.Module):
    """Six linear layers of width M, leaky rectifiers between them, and a softmax: one weight for each of M scores.

    The softmax is a decision where the paper says "a set of weights": it makes the fused score a mean of the scores, so
    that it stays in [0, 1], where the prior is.

    Args:
        metrics: M.
        generator: Draws the weights before fitting, uniform within ±1/√M as in `torch.nn.Linear`.
    """

    def __init__(self, metrics: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(metrics)
        weight = torch.empty(LAYERS, metrics, metrics, dtype=torch.float64).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(LAYERS, metrics, dtype=torch.float64).uniform_(-bound, bound, generator=generator)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, scores: Tensor, missing: Tensor | None = None) -> Tensor:
        """Return the weights (N, M) of the scores.

        Args:
            scores: Scaled scores (N, M) without NaN: missing ones are to be filled in by their expectation.
            missing: Which of them are filled in, (N, M): they get the weight 0. None if none is.

        Returns:
            Weights, at least 0, of the sum 1 in each row.
        """
        hidden = scores
        for layer in range(LAYERS):
            if layer:
                hidden = functional.leaky_relu(hidden)
            hidden = functional.linear(hidden, self.weight[layer], self.bias[layer])
        if missing is not None:
            hidden = hidden.masked_fill(missing, -math.inf)
        return torch.softmax(hidden, dim=-1)
