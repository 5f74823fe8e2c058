"""Loading a model to score images with, by the runtime that suits it."""

import os
import sys
from functools import partial
from hashlib import sha256
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from defnet.errors import CheckpointError, DEFNetError
from defnet.model.names import model_path
from defnet.model.shipped import DEFAULT_MODEL
from defnet.scoring.onnx_model import SUFFIX, OnnxModel
from defnet.scoring.onnx_scorer import OnnxScorer

if TYPE_CHECKING:
    import torch

    from defnet.scoring.scorer import Scorer

Runtime = Literal["torch", "onnx"]
"""What computes scores."""


@overload
def load_scorer(
    model: str | PathLike[str] = ...,
    *,
    device: "str | torch.device | None" = ...,
    crops: int | None = ...,
    runtime: Literal["torch"],
    threads: int | None = ...,
) -> "Scorer": ...
@overload
def load_scorer(
    model: str | PathLike[str] = ...,
    *,
    device: "str | torch.device | None" = ...,
    crops: int | None = ...,
    runtime: Literal["onnx"],
    threads: int | None = ...,
) -> OnnxScorer: ...
@overload
def load_scorer(
    model: str | PathLike[str] = ...,
    *,
    device: "str | torch.device | None" = ...,
    crops: int | None = ...,
    runtime: Runtime | None = ...,
    threads: int | None = ...,
) -> "Scorer | OnnxScorer": ...
def load_scorer(
    model: str | PathLike[str] = DEFAULT_MODEL,
    *,
    device: "str | torch.device | None" = None,
    crops: int | None = None,
    runtime: Runtime | None = None,
    threads: int | None = None,
) -> "Scorer | OnnxScorer":
    """Load a trained model to score images with.

    On a CPU a model that has an exported file beside its own (`lite2` comes with one; `defnet export MODEL --out FILE`
    writes one) is computed by onnxruntime, and torch is not imported: a `defnet.OnnxScorer`. All else is a
    `defnet.Scorer`. Scores of both are equal to 1e-5.

    Args:
        model: a shipped model's name, a model file, the folder of a training run, `hf-hub:ORG/NAME[@REVISION]`,
            `liqe:FILE`, a checkpoint of LIQE, or an exported file, which ends in `.onnx`.
        device: where to compute; by default CUDA where there is one, else the CPU.
        crops: number of sub-images an image is looked at with; by default the model's own (15). More crops cost time
            and sharpen the mean; the claimed certainty is the same.
        runtime: `torch` or `onnx`; None for the one that suits.
        threads: threads that compute on a CPU; see `defnet.OnnxScorer`. For torch it is that of the whole process.

    Raises:
        CheckpointError: there is no such model, its file is damaged, or its exported file is of other weights.
        DEFNetError: the model cannot be computed as asked.
    """
    if runtime is not None and runtime not in get_args(Runtime):
        raise DEFNetError(f"runtime must be 'torch' or 'onnx', got {runtime!r}")
    if threads is not None and threads < 1:
        raise DEFNetError(f"threads must be at least 1, got {threads}")
    name = fspath(model)
    if name.endswith(SUFFIX):
        return _exported_alone(Path(name), name, device, crops, runtime, threads)
    with model_path(model) as path:
        exported = path.with_suffix(SUFFIX)
        there = exported.is_file()
        if runtime == "onnx" and not there:
            raise DEFNetError(
                f"{name}: has no exported file {exported}; defnet export {name} --out FILE{SUFFIX} writes one"
            )
        if runtime != "torch" and there and _on_cpu(device, runtime):
            onnx = OnnxModel(exported)
            _check_fresh(onnx, path, name)
            load_torch = partial(_by_torch, path, name, "cpu", crops)
            return OnnxScorer(onnx, crops=crops, name=name, threads=threads, load_torch=load_torch)
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return _by_torch(path, name, device, crops)


def _by_torch(path: Path, name: str, device: "str | torch.device | None", crops: int | None) -> "Scorer":
    from defnet.scoring.scorer import load_torch_scorer

    return load_torch_scorer(path, name, device, crops)


def _exported_alone(
    path: Path,
    name: str,
    device: "str | torch.device | None",
    crops: int | None,
    runtime: Runtime | None,
    threads: int | None,
) -> OnnxScorer:
    if runtime == "torch":
        raise DEFNetError(f"{name}: is computed by onnxruntime alone; torch needs the model file that it was made of")
    if not path.is_file():
        raise CheckpointError(f"no exported file {name!r}")
    _on_cpu(device, "onnx")
    return OnnxScorer(OnnxModel(path), crops=crops, name=name, threads=threads)


def _check_fresh(exported: OnnxModel, model: Path, name: str) -> None:
    """Refuse an exported file of other weights than those of the model file beside it."""
    found = sha256(model.read_bytes()).hexdigest()
    if exported.info.weights != found:
        raise CheckpointError(
            f"{exported.path}: was made of other weights than those of {model.name} beside it (SHA-256 "
            f"{exported.info.weights[:16]}…, not {found[:16]}…); defnet export {name} --out {exported} makes it anew, "
            "and --runtime torch goes without it"
        )


def _on_cpu(device: "str | torch.device | None", runtime: Runtime | None) -> bool:
    """Whether the CPU is to compute, found without torch where it can be.

    Raises:
        DEFNetError: onnxruntime is to compute elsewhere.
    """
    if device is None:
        return runtime == "onnx" or not _cuda()
    if str(device) == "cpu":
        return True
    if runtime == "onnx":
        raise DEFNetError(
            f"device {str(device)!r} cannot be used here: onnxruntime computes on the CPU; --runtime torch"
        )
    return False


def _cuda() -> bool:
    """Whether torch has a CUDA device; it is asked only where there may be one."""
    if "torch" not in sys.modules:
        if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
            return False
        if sys.platform == "darwin":
            return False
        drivers = ("/dev/nvidiactl", "/dev/dxg")
        if sys.platform.startswith("linux") and not any(map(os.path.exists, drivers)):
            return False
    import torch

    return torch.cuda.is_available()
