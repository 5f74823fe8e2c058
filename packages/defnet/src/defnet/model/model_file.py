"""Trained models as one safetensors file: weights, and as JSON everything that says what they are."""

from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clip_iqa_backbone import (
    FrozenTextFeatures,
    JointProbability,
    Vocabulary,
    rebuild_image_tower,
)
from defnet.errors import CheckpointError, ConfigError
from defnet.model.half_precision import to_half
from defnet.model.model_info import ModelInfo, ReliabilityInfo, parse_info
from defnet.model.names import model_path
from defnet.model.network import DEFNet
from defnet.model.shipped import DEFAULT_MODEL
from defnet.reliability.deviation import Deviation
from defnet.reliability.reliability import Reliability
from iqa_datasets.atomic_files import replacing

_KEY = "defnet"
_TEXT = "backbone.text."
_RELIABILITY = "reliability."


def save_model(path: str | PathLike[str], model: DEFNet, info: ModelInfo, *, half: bool = False) -> None:
    """Write a model for scoring, atomically.

    The text tower is kept as its 495 features only.

    Args:
        path: the file to write.
        model: what to save.
        info: what it says of itself.
        half: store matrices and kernels in half precision.

    Raises:
        ConfigError: the model's vocabulary is not the preset that its description names; a file holds only the name.
    """
    preset = info.config.backbone.vocabulary
    if model.backbone.vocabulary != Vocabulary.preset(preset):
        raise ConfigError(
            f"a model file holds only the name of its vocabulary, expected the words of {preset!r}, got others "
            f"({', '.join(model.backbone.vocabulary.qualities)}; …); train with one of the presets"
        )
    tensors = {name: value for name, value in model.state_dict().items() if not name.startswith(_TEXT)}
    tensors[f"{_TEXT}features"] = FrozenTextFeatures.of(model.backbone.text).features
    if half:
        tensors = to_half(tensors)
    info = info.model_copy(update={"image_tower": model.backbone.image.spec})
    with replacing(Path(path)) as part:
        save_file({name: t.contiguous() for name, t in tensors.items()}, part, {_KEY: info.model_dump_json()})


def add_reliability(
    source: str | PathLike[str], target: str | PathLike[str], reliability: Reliability, said: ReliabilityInfo
) -> None:
    """Write a model file again, with what it knows of its limits; all else stays, to the bit.

    Args:
        source: as for `load_model`; it may have such a section, which is replaced.
        target: the file to write, atomically; it may be the source.
        reliability: what it knows.
        said: what its description says of that.

    Raises:
        CheckpointError: there is no such model, or it is not a model file of this package.
    """
    with model_path(source) as file:
        info = _read_info(file).model_copy(update={"reliability": said})
        tensors = {name: tensor for name, tensor in _read_tensors(file).items() if not name.startswith(_RELIABILITY)}
        tensors |= {f"{_RELIABILITY}{name}": tensor.contiguous() for name, tensor in reliability.tensors().items()}
        with replacing(Path(target)) as part:
            save_file(tensors, part, {_KEY: info.model_dump_json()})


def _read_tensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def load_reliability(path: str | PathLike[str] = DEFAULT_MODEL) -> Reliability | None:
    """Load what a model knows of its limits; None for one that `defnet calibrate` has not seen.

    Args:
        path: as for `load_model`.

    Raises:
        CheckpointError: there is no such model, or this part of its file is damaged.
    """
    with model_path(path) as file:
        said = _read_info(file).reliability
        if said is None:
            return None
        with safe_open(file, framework="pt") as opened:
            names = [name for name in opened.keys() if name.startswith(_RELIABILITY)]  # noqa: SIM118
            tensors = {name.removeprefix(_RELIABILITY): opened.get_tensor(name) for name in names}
        try:
            return Reliability.from_tensors(tensors, Deviation(**said.deviation))
        except (CheckpointError, TypeError, ValueError) as error:
            raise CheckpointError(f"{file}: {error}") from error


def read_info(path: str | PathLike[str] = DEFAULT_MODEL) -> ModelInfo:
    """Read what a model file says of itself, without its weights.

    Args:
        path: a shipped model's name, a model file, the folder of a training run, `hf-hub:ORG/NAME[@REVISION]`, or
            `liqe:FILE`, a checkpoint of LIQE.

    Raises:
        CheckpointError: there is no such model, or it is not a model file of this package.
    """
    with model_path(path) as file:
        return _read_info(file)


def _read_info(path: Path) -> ModelInfo:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as a safetensors file: {error}") from error
    if _KEY not in metadata:
        raise CheckpointError(f"{path}: is not a DEFNet model: its metadata has no {_KEY!r} entry")
    try:
        return parse_info(metadata[_KEY])
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path}: its description is not that of a DEFNet model: {error}") from error


def load_model(
    path: str | PathLike[str] = DEFAULT_MODEL, device: torch.device | str = "cpu"
) -> tuple[DEFNet, ModelInfo]:
    """Load a model for scoring.

    Args:
        path: a shipped model's name, a model file, the folder of a training run, `hf-hub:ORG/NAME[@REVISION]`, or
            `liqe:FILE`, a checkpoint of LIQE.
        device: where to put it.

    Returns:
        The model in single precision and evaluation mode, and what its file says of it.

    Raises:
        CheckpointError: there is no such model, it is not one of this package, or its weights do not fit its
            configuration.
    """
    with model_path(path) as file:
        return _load(file, device)


def _load(path: Path, device: torch.device | str) -> tuple[DEFNet, ModelInfo]:
    info = _read_info(path)
    tensors = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in _read_tensors(path).items()
        if info.reliability is None or not name.startswith(_RELIABILITY)
    }
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: weight {name!r} holds NaN or infinite values")
    try:
        text = FrozenTextFeatures(tensors[f"{_TEXT}features"])
        image = rebuild_image_tower(info.image_tower)
        words = Vocabulary.preset(info.config.backbone.vocabulary)
        backbone = JointProbability(image, text, words, precision=info.config.tower_precision)
    except KeyError as error:
        raise CheckpointError(f"{path}: holds no tensor {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: the model that it describes cannot be made: {error}") from error
    model = DEFNet(backbone, info.config.model, score_from=info.config.score_from)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its configuration: {error}") from error
    return model.to(device).eval(), info
