"""Trained models as one safetensors file: weights, and as JSON everything that says what they are."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from clip_iqa_backbone import (
    FrozenTextFeatures,
    JointProbability,
    Vocabulary,
    rebuild_image_tower,
)
from defnet.config.training import TrainConfig
from defnet.errors import CheckpointError
from defnet.files import replace_when_done
from defnet.model.half_precision import to_half
from defnet.model.network import DEFNet

_KEY = "defnet"
_FORMAT = 1
_TEXT = "backbone.text."


class ModelInfo(BaseModel):
    """What a model file says of itself.

    Attributes:
        format: version of the layout of the file.
        config: how the model was trained.
        variance_scale: factor on β fitted on validation data under the inference crop plan.
        constant_std: standard deviation on validation data of the model's error, the rival of its own uncertainty.
        image_tower: the image tower's architecture, so that nothing but this file is needed to load it;
            `save_model` fills it in.
        epoch: the epoch, counted from 1, whose weights these are.
        validation: figures on the validation part that chose the epoch.
        versions: versions of the packages that trained it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = _FORMAT
    config: TrainConfig
    variance_scale: float = 1.0
    constant_std: float | None = None
    image_tower: dict[str, Any] = {}
    epoch: int = 0
    validation: dict[str, float] = {}
    versions: dict[str, str] = {}

    @field_validator("validation", mode="before")
    @classmethod
    def _undefined_figures(cls, figures: Any) -> Any:
        """A figure that could not be computed is NaN here and null in the file: JSON has no NaN."""
        if not isinstance(figures, dict):
            return figures
        return {name: math.nan if value is None else value for name, value in figures.items()}


def save_model(path: Path, model: DEFNet, info: ModelInfo, *, half: bool = False) -> None:
    """Write a model for scoring, atomically.

    The text tower is kept as its 495 features only.

    Args:
        path: the file to write.
        model: what to save.
        info: what it says of itself.
        half: store matrices and kernels in half precision.
    """
    tensors = {name: value for name, value in model.state_dict().items() if not name.startswith(_TEXT)}
    tensors[f"{_TEXT}features"] = FrozenTextFeatures.of(model.backbone.text).features
    if half:
        tensors = to_half(tensors)
    info = info.model_copy(update={"image_tower": model.backbone.image.spec})
    with replace_when_done(path) as part:
        save_file({name: t.contiguous() for name, t in tensors.items()}, part, {_KEY: info.model_dump_json()})


def read_info(path: Path) -> ModelInfo:
    """Read what a model file says of itself, without its weights.

    Raises:
        CheckpointError: there is no such file, or it is not a model file of this package.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as a safetensors file: {error}") from error
    if _KEY not in metadata:
        raise CheckpointError(f"{path}: is not a DEFNet model: its metadata has no {_KEY!r} entry")
    try:
        raw: dict[str, Any] = json.loads(metadata[_KEY])
        if raw.get("format") != _FORMAT:
            raise CheckpointError(
                f"{path}: has format {raw.get('format')}, this version of defnet reads format {_FORMAT}"
            )
        return ModelInfo.model_validate(raw)
    except (ValueError, AttributeError, ValidationError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{path}: its description is not that of a DEFNet model: {error}") from error


def load_model(path: Path, device: torch.device | str = "cpu") -> tuple[DEFNet, ModelInfo]:
    """Load a model for scoring.

    Returns:
        The model in single precision and evaluation mode, and what its file says of it.

    Raises:
        CheckpointError: the file is not a model of this package, or its weights do not fit its configuration.
    """
    info = read_info(path)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path}: weight {name!r} holds NaN or infinite values")
    try:
        text = FrozenTextFeatures(tensors[f"{_TEXT}features"])
        image = rebuild_image_tower(info.image_tower)
        words = Vocabulary.preset(info.config.backbone.vocabulary)
        backbone = JointProbability(image, text, words, precision=info.config.precision)
    except KeyError as error:
        raise CheckpointError(f"{path}: holds no tensor {error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: the model that it describes cannot be made: {error}") from error
    model = DEFNet(backbone, info.config.model)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its configuration: {error}") from error
    return model.to(device).eval(), info
