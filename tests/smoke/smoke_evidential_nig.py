"""Smoke test of the installed evidential-nig wheel: python smoke_evidential_nig.py REPOSITORY."""

import subprocess
import sys

import torch
from installed import check_installed, expect

from evidential_nig import NIGHead, evidential_loss, fuse
from evidential_nig.calibration import summarize
from evidential_nig.conformal import SplitConformal
from evidential_nig.multivariate import NIWHead, niw_nll
from evidential_nig.recalibration import VarianceScale
from evidential_nig.streaming import Summary

check_installed("evidential-nig", with_extras=("evidential_nig.plots", "evidential_nig.regressor"))

# torch alone is here, and torch complains of the missing NumPy; the package's own import must not.
silent = subprocess.run(
    [sys.executable, "-W", "error", "-c", "import evidential_nig"], capture_output=True, check=False
)
expect(silent.returncode == 0 and not silent.stderr, f"the import says {silent.stderr.decode()!r}")

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

# The uncertainty is what it says: intervals of a recalibrated model hold about as often as they claim.
with torch.no_grad():
    belief = model(x)
recalibrated = VarianceScale.fit(belief, y).apply(belief)
summary = summarize(recalibrated.predictive(), y)
expect(0.85 < summary.as_dict()["coverage_0.95"] <= 1, f"95 % intervals hold {summary.as_dict()['coverage_0.95']:.0%}")
lower, upper = SplitConformal.fit(belief, y).interval(belief, 0.9)
expect(0.9 <= ((lower <= y) & (y <= upper)).double().mean().item() <= 1, "conformal intervals must hold their share")
streamed = Summary()
for half in (slice(0, 32), slice(32, 64)):
    streamed.update(recalibrated[half].predictive(), y[half])
expect(abs(streamed.compute().crps - summary.crps) < 1e-12, "figures over batches must be those of all data")
expect(bool(niw_nll(NIWHead(1, 2)(x), torch.cat([y, -y], dim=1)).isfinite()), "the multivariate loss must be finite")
print(f"evidential-nig: evidential loss {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} steps")
