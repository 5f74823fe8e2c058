"""Exported files: ONNX for onnxruntime, and torch's own .pt2; written, described, and compared with the model."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clip_iqa_backbone.export.joint_graph import INPUT, OUTPUTS, ExportPrecision, JointGraph
from clip_iqa_backbone.export.onnx_graphs import need_onnx, onnx_graph, store_small, traced_program
from clip_iqa_backbone.fingerprints import image_tower_fingerprint
from clip_iqa_backbone.joint import JointProbability
from iqa_datasets.atomic_files import replacing

ExportFormat = Literal["onnx", "pt2"]

_KEY = "clip_iqa_backbone"
_FORMAT = 1
_PT2_KEY = f"{_KEY}.json"


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Args:
        path: The file.
        description: What it says of itself; see :func:`read_exported`.
        difference: Largest difference of a log-probability between the file, as its runtime computes it, and the model
            in double precision.
        views: Number of views that were compared.
    """

    path: Path
    description: Mapping[str, Any]
    difference: float
    views: int


def export_model(
    model: JointProbability,
    path: str | os.PathLike[str],
    *,
    to: ExportFormat | None = None,
    precision: ExportPrecision = "fp32",
    name: str = "",
    views: Tensor | None = None,
) -> Exported:
    """Write a model as a file that another runtime reads, and compare what it says there with the model.

    The file takes ``views``, uint8 (N, 3, S, S) for any N from 1 on, and gives ``log_probability`` (N, 5, 9, 11),
    ``quality`` (N, 5), ``scene`` (N, 9), ``distortion`` (N, 11) and ``embedding`` (N, D), all fp32. It holds the words
    and what else is needed to use it; see :func:`read_exported`. Cutting the views is left to whoever runs it.

    Args:
        model: The model; it stays as it is.
        path: The file to write.
        to: "onnx", or "pt2" for ``torch.export.load``; by default what the suffix of ``path`` says.
        precision: What the image tower's matrices and kernels are kept in: with "fp16" the file is half as large. What
            is computed is fp32 either way, and fp64 after the trunk. An ONNX file holds weights that are fp16 numbers
            as such in any case, which loses nothing.
        name: What the file calls the model.
        views: uint8 (N, 3, S, S) that the file is compared on; by default six with made-up content.

    Returns:
        The file, and how far what it says is from what the model says.

    Raises:
        ValueError: The format or the precision is unknown.
        ModuleNotFoundError: A package of ``clip-iqa-backbone[export]`` is not installed.
        RuntimeError: The file says something else than the model (in half precision, than the model with its weights
            rounded): by more than 1e-5 in log-probability and 2e-6, which is rounding, in a cosine times 1/κ.
    """
    path = Path(path)
    chosen = to or path.suffix.removeprefix(".")
    if chosen not in get_args(ExportFormat):
        raise ValueError(f"to must be one of {', '.join(get_args(ExportFormat))}, got {chosen!r}.")
    if precision not in get_args(ExportPrecision):
        raise ValueError(f"precision must be one of {', '.join(get_args(ExportPrecision))}, got {precision!r}.")
    if chosen == "onnx":
        need_onnx()
    if views is None:
        views = _made_up_views(model.image.input_size)
    graph = JointGraph(model, precision, fused=chosen == "pt2").eval()
    description = _description(model, precision, name)
    with replacing(path) as part:
        # Two views, as one would be taken for a constant.
        program = traced_program(graph, [views[:1].repeat(2, 1, 1, 1)], [{0: "N"}])
        if chosen == "onnx":
            _write_onnx(program, part, description)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the writer, about itself
                torch.export.save(program, part, extra_files={_PT2_KEY: json.dumps(description)})
        said = _log_probability(part, chosen, views.numpy())
        with torch.no_grad():
            own = graph(views)[0].numpy() if precision == "fp16" else None
        expected = _in_double(model, views)
        difference = float(np.abs(said - expected).max())
        off = difference if own is None else float(np.abs(said - own).max())
        bound = 1e-5 + 2e-6 * graph.scale
        if not off <= bound:
            raise RuntimeError(
                f"The exported file differs from the model by {off:.2g} in log-probability, where at most "
                f"{bound:.2g} is rounding; it was not written."
            )
    return Exported(path, description, difference, len(views))


def read_exported(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What an exported file says of itself.

    Returns:
        ``name``, ``input_size``, ``embed_dim``, ``precision``, ``qualities``, ``scenes``, ``distortions``,
        ``template``, ``inputs``, ``outputs``, ``image_tower`` (its fingerprint) and ``versions``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file of :func:`export_model`.
        ModuleNotFoundError: onnxruntime is not installed, and the file is an ONNX file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no exported file {path}.")
    try:
        if path.suffix == ".pt2":
            extra = {_PT2_KEY: ""}
            torch.export.load(path, extra_files=extra)
            text = extra[_PT2_KEY]
        else:
            text = _session(path).get_modelmeta().custom_metadata_map.get(_KEY, "")
    except ModuleNotFoundError:
        raise
    except Exception as error:  # whatever the two readers raise
        raise ValueError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
    if not text:
        raise ValueError(f"{path} does not say which model it is: it was not exported by clip-iqa-backbone.")
    found: dict[str, Any] = json.loads(text)
    return found


def _description(model: JointProbability, precision: str, name: str) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "name": name,
        "input_size": model.image.input_size,
        "embed_dim": model.image.embed_dim,
        "precision": precision,
        **model.vocabulary.to_dict(),
        "inputs": [INPUT],
        "outputs": list(OUTPUTS),
        "image_tower": image_tower_fingerprint(model.image),
        "versions": {package: version(package) for package in ("clip-iqa-backbone", "torch")},
    }


def _made_up_views(size: int) -> Tensor:
    """Views of different shade, contrast and grain."""
    generator = torch.Generator().manual_seed(0)
    shade, contrast = (torch.rand(6, 3, 1, 1, generator=generator) for _ in range(2))
    grain = torch.randn(6, 3, size, size, generator=generator)
    return (255 * (shade + 0.4 * contrast * grain)).clamp(0, 255).to(torch.uint8)


def _in_double(model: JointProbability, views: Tensor) -> npt.NDArray[Any]:
    double = copy.deepcopy(model).cpu().eval().double()
    double.precision = "fp32"  # no autocast
    with torch.no_grad():
        said: npt.NDArray[Any] = double(views).numpy()
    return said


def _write_onnx(program: torch.export.ExportedProgram, path: Path, description: Mapping[str, Any]) -> None:
    made = onnx_graph(program, [INPUT], OUTPUTS)
    store_small(made.graph)
    entry = made.metadata_props.add()
    entry.key, entry.value = _KEY, json.dumps(description)
    path.write_bytes(made.SerializeToString())


def _log_probability(path: Path, to: str, views: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What a file says of views; one by one and together, so that the batch is seen to be free."""
    if to == "pt2":
        program = torch.export.load(path).module()
        with torch.no_grad():
            run = [program(torch.from_numpy(part))[0].numpy() for part in (views[:1], views[1:]) if len(part)]
    else:
        session = _session(path)
        run = [session.run([OUTPUTS[0]], {INPUT: part})[0] for part in (views[:1], views[1:]) if len(part)]
    return np.concatenate(run)


def _session(path: Path) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ModuleNotFoundError("ONNX files need onnxruntime; install clip-iqa-backbone[export].") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
