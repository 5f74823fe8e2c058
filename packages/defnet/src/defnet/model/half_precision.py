"""Weights in half precision."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from defnet.errors import CheckpointError


def to_half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels in half precision, vectors (biases, batch statistics, scales) as they are.

    Raises:
        CheckpointError: a weight does not fit half precision.
    """
    half = {}
    for name, tensor in tensors.items():
        half[name] = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        if not torch.isfinite(half[name]).all():
            raise CheckpointError(f"weight {name!r} does not fit half precision")
    return half


def round_to_half(module: nn.Module) -> None:
    """Give every weight the value that it will have when it is read back from half precision."""
    state = module.state_dict()
    module.load_state_dict({name: value.to(state[name].dtype) for name, value in to_half(state).items()})
