"""Smoke test of the installed evidential-nig wheel: python smoke_evidential_nig.py REPOSITORY."""

import torch
from installed import check_installed, expect

from evidential_nig import NIGHead, evidential_loss, fuse

check_installed("evidential-nig")

# A short evidential regression: the fit must improve, and several heads' beliefs fuse into one per example.
torch.manual_seed(0)
x = torch.linspace(-1, 1, 64)[:, None]
y = x**3 + 0.05 * torch.randn_like(x)
model = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), NIGHead(32, 1))
optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
losses = []
for _ in range(100):
    loss = evidential_loss(model(x), y, tau=0.1)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    losses.append(loss.item())
expect(losses[-1] < losses[0] - 0.5, f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f} only")
one = model(x).map(lambda parameter: parameter.detach().squeeze(-1))
fused = fuse(one.map(lambda parameter: torch.stack([parameter, parameter])), dim=0)
expect(torch.allclose(fused.loc, one.loc, atol=1e-6), "two experts that agree must fuse to what they agree on")
expect(bool((fused.epistemic < one.epistemic).all()), "two experts must be surer than one")
print(f"evidential-nig: evidential loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} steps")
