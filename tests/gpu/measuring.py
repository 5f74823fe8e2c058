"""What the scripts of this folder measure with: time, memory, and what a device could do at most."""

import argparse
import time
from collections.abc import Callable

import torch

PEAK_TFLOPS = {
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10G": 70.0,
    "A10": 125.0,
    "RTX 4090": 165.2,
    "RTX 3090": 71.0,
}
"""Dense bf16 products with sums in fp32, as the makers' data sheets have them, by a part of the device's name."""


def arguments(description: str | None, *, steps: int) -> argparse.ArgumentParser:
    """The options that all scripts have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=steps, help="repetitions that are timed")
    return parser


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(function: Callable[[], object], device: torch.device, steps: int, *, warm_up: int = 1) -> float:
    """Mean seconds of a call, after some that are not counted."""
    for _ in range(warm_up):
        function()
    wait(device)
    began = time.perf_counter()
    for _ in range(steps):
        function()
    wait(device)
    return (time.perf_counter() - began) / steps


def begin_memory(device: torch.device) -> None:
    """Count the most memory from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gigabytes(device: torch.device) -> str:
    """The most memory that tensors held since `begin_memory`."""
    if device.type != "cuda":
        return "not counted"
    return f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB"


def peak_tflops(device: torch.device) -> float | None:
    """What the device does at most in bf16; None where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)


def show(what: str, value: object) -> None:
    """Print one figure."""
    print(f"{what:<64}{value}", flush=True)
