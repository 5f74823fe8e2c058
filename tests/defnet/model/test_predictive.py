"""What the network says of quality as a distribution."""

import numpy as np
import pytest
import torch
from torch import Tensor

from defnet.model.evidence import Prediction
from defnet.model.predictive import quality_spread


def prediction_of(probability: Tensor) -> Prediction:
    """A prediction of nothing but quality levels."""
    none: dict = {}
    return Prediction(
        {"quality": probability}, probability.new_zeros(len(probability)), none, none, none, none, "expected"
    )


def test_the_spread_is_the_standard_deviation_of_a_quality_within_its_level() -> None:
    generator = np.random.default_rng(0)
    probability = generator.dirichlet(np.ones(5), size=6)
    levels = np.stack([generator.choice(np.arange(1, 6), size=200_000, p=row) for row in probability])
    drawn = levels + generator.uniform(-0.5, 0.5, size=levels.shape)
    given = torch.from_numpy(probability).float().requires_grad_()
    found = quality_spread(prediction_of(given))
    assert found.dtype == torch.float64
    assert not found.requires_grad
    np.testing.assert_allclose(found.numpy(), drawn.std(axis=1), rtol=0.01)


def test_one_level_has_the_smallest_spread_and_both_ends_the_largest() -> None:
    rows = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0, 0.5]])
    assert quality_spread(prediction_of(rows)).tolist() == pytest.approx([(1 / 12) ** 0.5, (4 + 1 / 12) ** 0.5])
