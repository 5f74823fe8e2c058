"""What `precision = "auto"` comes to."""

import torch

from defnet.config.training import TrainConfig


def resolve_precision(config: TrainConfig, device: torch.device, found: TrainConfig | None) -> TrainConfig:
    """Replace `auto` by what it comes to, so that a run, wherever it goes on, computes in one precision.

    Args:
        config: what is asked for.
        device: where to compute: bf16 on a GPU that computes in it, else fp32.
        found: the configuration of the run that is gone on with, whose precision stands.
    """
    if config.precision != "auto":
        return config
    if found is not None and found.precision != "auto":
        precision = found.precision
    else:
        precision = "bf16" if device.type == "cuda" and _computes_in_bf16(device) else "fp32"
    return config.model_copy(update={"precision": precision})


def _computes_in_bf16(device: torch.device) -> bool:
    # Not torch.cuda.is_bf16_supported(): it counts emulation, which is slower than single precision.
    return torch.cuda.get_device_capability(device) >= (8, 0)
