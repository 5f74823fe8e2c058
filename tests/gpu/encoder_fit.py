"""map-score-fusion on a device: the encoder and the observation model fitted by the paper's objective.

    python tests/gpu/encoder_fit.py [--device cuda] [--steps 500] [--images 10000] [--metrics 20] [--batch 256]

The package itself fits on a CPU, where its small operations are at home; this says from which batch on a GPU would pay,
and that what it computes there is the same.
"""

import copy

import torch
from measuring import arguments, begin_memory, gigabytes, seconds, show

from map_score_fusion.encoder import Encoder
from map_score_fusion.methods.map_estimation import LEARNING_RATE
from map_score_fusion.observation_model import ObservationModel

TOLERANCE = 1e-6
"""Of the loss in double precision, after the same steps on both devices."""


class Fit:
    """A fit on one device: the same batches in the same order on any."""

    def __init__(
        self, encoder: Encoder, observation: ObservationModel, scores: torch.Tensor, batch: int, device: torch.device
    ) -> None:
        self.encoder, self.observation = encoder.to(device), observation.to(device)
        self.scores, self.batch, self.at = scores.to(device), batch, 0
        parameters = [*self.encoder.parameters(), *self.observation.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)

    def loss(self, rows: slice) -> torch.Tensor:
        """The negative of the paper's Eq. 6 per image."""
        scores = self.scores[rows]
        latent = (self.encoder(scores) * scores).sum(1).clamp(0.0, 1.0)
        return -self.observation.log_posterior(latent, scores).mean()

    def step(self) -> None:
        """One step of Adam on the next batch."""
        loss = self.loss(slice(self.at, self.at + self.batch))
        self.at = (self.at + self.batch) % max(1, len(self.scores) - self.batch + 1)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


def main() -> None:
    """Fit, compare and print."""
    parser = arguments(__doc__, steps=500)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--batch", type=int, nargs="+", default=[256, 4096])
    options = parser.parse_args()
    device, cpu = torch.device(options.device), torch.device("cpu")
    generator = torch.Generator().manual_seed(0)
    quality = torch.rand(options.images, 1, generator=generator, dtype=torch.float64)
    noise = 0.1 * torch.randn(options.images, options.metrics, generator=generator, dtype=torch.float64)
    scores = (quality ** torch.linspace(0.5, 2.0, options.metrics, dtype=torch.float64) + noise).clamp(0.0, 1.0)
    for batch in options.batch:
        encoder = Encoder(options.metrics, torch.Generator().manual_seed(1))
        observation = ObservationModel(options.metrics, score_level=True)
        fits = [
            Fit(copy.deepcopy(encoder), copy.deepcopy(observation), scores, batch, where) for where in (device, cpu)
        ]
        first = fits[0].loss(slice(None)).item()
        # As many steps on both, so that they can be compared; few, since differences of the last bit grow.
        compared = min(options.steps, 20)
        for fit in fits:
            for _ in range(compared):
                fit.step()
        found, expected = (fit.loss(slice(None)).item() for fit in fits)
        begin_memory(device)
        took = [seconds(fit.step, fit.scores.device, options.steps, warm_up=0) for fit in fits]
        last = fits[0].loss(slice(None)).item()
        show(f"batches of {batch}: steps a second on {device}, on the CPU", f"{1 / took[0]:.0f}, {1 / took[1]:.0f}")
        show("  memory", gigabytes(device))
        show("  nats an image before and after", f"{first:.4f}, {last:.4f}")
        show(f"  off from the CPU after {compared} steps", f"{abs(found - expected):.1e}")
        if not (last < first and abs(found - expected) < TOLERANCE * max(1.0, abs(expected))):
            raise SystemExit(f"the loss went from {first} to {last}; {found} on {device}, {expected} on the CPU")


if __name__ == "__main__":
    main()
