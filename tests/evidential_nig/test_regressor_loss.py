"""What a fit of the regressor says of its training."""

import numpy as np
import pytest
import torch
from torch.optim import Adam

from evidential_nig import evidential_loss
from evidential_nig.regressor import EvidentialRegressor


def test_the_loss_of_an_epoch_is_the_mean_over_its_rows(monkeypatch):
    # A network that does not move has in every epoch the loss of one pass, whatever the batches, the last one smaller.
    generator = np.random.default_rng(0)
    X = generator.normal(size=(50, 2))
    y = X @ [1.0, -2.0] + 0.1 * generator.normal(size=50)
    monkeypatch.setattr(Adam, "step", lambda _: None)
    regressor = EvidentialRegressor((8,), epochs=3, batch_size=16, tau=0.1, calibration_fraction=0.0).fit(X, y)
    inputs, targets = torch.tensor((X - X.mean(0)) / X.std(0)), torch.tensor((y - y.mean()) / y.std())[:, None]
    with torch.no_grad():
        expected = evidential_loss(regressor.network_(inputs), targets, 0.1).item()
    assert regressor.loss_ == pytest.approx([expected] * 3, rel=1e-9)
