"""Targets beyond all predicted quantiles, on either side, cannot be mended by a map of probabilities."""

import pytest
import torch

from evidential_nig.recalibration import IsotonicQuantiles


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_targets_beyond_one_end_are_refused_whichever_it_is(side):
    generator = torch.Generator().manual_seed(0)
    predictive = torch.distributions.Normal(torch.zeros(200, dtype=torch.float64), 1.0)
    target = torch.randn(200, generator=generator, dtype=torch.float64)
    target[:40] = side * 40.0  # more than the n/segments = 14 that one line of the map has
    with pytest.raises(ValueError, match=r"in 40 of 200 cases.*fit and apply a VarianceScale before"):
        IsotonicQuantiles.fit(predictive, target)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_as_many_as_one_line_of_the_map_has_are_mended(side):
    predictive = torch.distributions.Normal(torch.zeros(100, dtype=torch.float64), 1.0)
    target = torch.linspace(-2, 2, 100, dtype=torch.float64)
    target[:10] = side * 40.0
    assert IsotonicQuantiles.fit(predictive, target, segments=10)
    target[:11] = side * 40.0
    with pytest.raises(ValueError, match="in 11 of 100 cases"):
        IsotonicQuantiles.fit(predictive, target, segments=10)
