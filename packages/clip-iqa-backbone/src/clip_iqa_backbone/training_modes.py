"""Training and evaluation mode of layers for the length of one call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def evaluating(tower: nn.Module) -> Iterator[None]:
    """Put every layer into evaluation mode, and afterwards each back into the mode it was in."""
    training = [module for module in tower.modules() if module.training]
    tower.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextlib.contextmanager
def statistics_held(tower: nn.Module) -> Iterator[bool]:
    """Keep the running statistics of layers that do not learn where they are, and make those layers use them.

    A layer with running statistics (batch normalisation and its likes) learns where gradients are on and one of its
    own weights wants one; without weights of its own, one of the tower's. Only layers in training mode are touched.

    Yields:
        Whether a layer is left that normalises by what goes through it, so that views depend on each other.
    """
    keeping = [module for module in tower.modules() if module.training and _keeps_statistics(module)]
    learning = torch.is_grad_enabled()
    held = [module for module in keeping if not (learning and _learns(module, tower))]
    for module in held:
        module.training = False
    try:
        yield len(held) < len(keeping)
    finally:
        for module in held:
            module.training = True


def _keeps_statistics(module: nn.Module) -> bool:
    # By the names that torch and timm give them, whatever the class.
    return any(isinstance(module._buffers.get(name), torch.Tensor) for name in ("running_mean", "running_var"))


def _learns(module: nn.Module, tower: nn.Module) -> bool:
    own = list(module.parameters(recurse=False))
    return any(weight.requires_grad for weight in own or tower.parameters())
