"""Single precision as the least that sums are taken in."""

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """The tensor in single precision where it is in less; a double one stays double."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
