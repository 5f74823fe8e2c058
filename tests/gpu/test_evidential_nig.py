"""A short training of evidential-nig on the GPU; `nox -s "gpu(evidential-nig)"` runs it."""

import pytest
import torch
from torch import nn

from evidential_nig import NIGHead, evidential_loss

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def test_evidential_regression_trains_and_agrees_with_the_cpu() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-4, 4, 512, device=CUDA)[:, None]
    y = x**3 / 16 + 0.1 * torch.randn_like(x)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), NIGHead(64, 1)).to(CUDA)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    first = evidential_loss(model(x), y, tau=0.1).item()
    for _ in range(300):
        optimiser.zero_grad()
        evidential_loss(model(x), y, tau=0.1).backward()
        optimiser.step()
    last = evidential_loss(model(x), y, tau=0.1).item()
    assert last < first - 1
    # The same weights on the CPU: the device computes the same loss, it was not merely some loss that fell.
    on_cpu = evidential_loss(model.cpu()(x.cpu()), y.cpu(), tau=0.1).item()
    assert last == pytest.approx(on_cpu, rel=1e-3, abs=1e-3)
