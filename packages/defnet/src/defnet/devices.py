"""Where to compute."""

import torch

from defnet.errors import DEFNetError


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, or by default CUDA where there is one, else the CPU.

    Raises:
        DEFNetError: there is no such device here.
    """
    try:
        chosen = torch.device(device if device is not None else "cuda" if torch.cuda.is_available() else "cpu")
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise DEFNetError(f"device {str(device)!r} cannot be used here: {first_line}") from error
    return chosen


def device_name(device: torch.device) -> str:
    """What a device is called in tables and results: a GPU's own name, else its type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
