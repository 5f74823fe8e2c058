"""evidential-nig on a device: losses and fusion of many distributions, forward and back, and whether they are right.

python tests/gpu/losses_and_fusion.py [--device cuda] [--steps 50] [--images 65536]
"""

import math
from collections.abc import Callable

import torch
from measuring import arguments, begin_memory, gigabytes, seconds, show

from evidential_nig import NormalInverseGamma, evidential_loss, fuse, fuse_local_global, kl_regularizer, nig_nll

VIEWS = 15
Evidence = NormalInverseGamma
TOLERANCE = 2e-4
"""Relative, of a mean over all images in single precision against double precision on the CPU."""


def raw(images: int, views: int, seed: int) -> list[torch.Tensor]:
    """Real outputs of a network, (images, views) each."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, views, generator=generator) for _ in range(4)]


def _every_view(loss: Callable[..., torch.Tensor]) -> Callable[[Evidence, Evidence, torch.Tensor], torch.Tensor]:
    return lambda experts, _, target: loss(experts, target[:, None].expand_as(experts.loc))


LOSSES: dict[str, Callable[[Evidence, Evidence, torch.Tensor], torch.Tensor]] = {
    "evidential loss of evidence fused over 15 views": lambda experts, _, target: evidential_loss(
        fuse(experts, dim=1), target, 0.05
    ),
    "evidential loss of local-global evidence": lambda experts, view, target: evidential_loss(
        fuse_local_global(experts, view, dim=1), target, 0.05
    ),
    "negative log likelihood of every view": _every_view(nig_nll),
    "KL regulariser of every view": _every_view(kl_regularizer),
}


def loss_of(name: str, local: list[torch.Tensor], whole: list[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    """One of the losses, a scalar, of what a network puts out for sub-images and for whole images."""
    experts = NormalInverseGamma.from_unconstrained(*local)
    view = NormalInverseGamma.from_unconstrained(*(parameter[:, 0] for parameter in whole))
    return LOSSES[name](experts, view, target)


def main() -> None:
    """Measure, compare and print."""
    parser = arguments(__doc__, steps=50)
    parser.add_argument("--images", type=int, default=65536)
    options = parser.parse_args()
    device = torch.device(options.device)
    local, whole = raw(options.images, VIEWS, 0), raw(options.images, 1, 1)
    target = torch.randn(options.images, generator=torch.Generator().manual_seed(2))
    moved = [[p.to(device).requires_grad_() for p in parameters] for parameters in (local, whole)]
    on_device = target.to(device)
    for name in LOSSES:
        exact = loss_of(name, [p.double() for p in local], [p.double() for p in whole], target.double()).item()

        def step(name: str = name) -> None:
            for parameter in (*moved[0], *moved[1]):
                parameter.grad = None
            loss_of(name, *moved, on_device).backward()

        found = loss_of(name, *moved, on_device).item()
        off = abs(found - exact) / abs(exact)
        begin_memory(device)
        took = seconds(step, device, options.steps, warm_up=3)
        gradients = [parameter.grad for parameter in moved[0] if parameter.grad is not None]
        finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        show(f"{name}: ms", f"{1e3 * took:.3f}")
        show("  million views a second, forward and back", f"{options.images * VIEWS / took / 1e6:.3g}")
        show("  memory", gigabytes(device))
        show("  off from double precision on the CPU", f"{off:.1e}")
        if not (math.isfinite(found) and finite and off < TOLERANCE):
            raise SystemExit(f"{name}: {found} on {device}, {exact} in double precision on the CPU")


if __name__ == "__main__":
    main()
