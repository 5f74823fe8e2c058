"""What can be configured, as frozen and validated objects.

Each field is a point that the DEFNet paper states or leaves open, with the value chosen here as the default. The
objects are written whole into every checkpoint, so that a trained model says how it was made.
"""

import tomllib
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from defnet.errors import ConfigError

Task = Literal["quality", "scene", "distortion"]

TASKS: tuple[Task, ...] = ("quality", "scene", "distortion")
"""The three tasks, in the order of the joint probability's last three dimensions (Eq. 4)."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BackboneConfig(_Config):
    """Which image-text model stands under the heads, and which of its parts learn.

    Attributes:
        name: `lite`, an open_clip model name, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.
        pretrained: open_clip's tag of the weights to start from; for `lite`, `imagenet` or None.
        vocabulary: preset of the prompts, `defnet` (the paper's words) or `liqe`.
        lite: options of the compact tower; see `clip_iqa_backbone.LiteConfig`.
        freeze_trunk: keep the image tower's trunk as it starts; only its projection learns.
        freeze_text: keep the text tower as it starts.
        train_logit_scale: learn the temperature κ of Eq. 4.
        logit_scale: start of log(1/κ), or None for the model's own.
    """

    name: str = "lite"
    pretrained: str | None = None
    vocabulary: Literal["defnet", "liqe"] = "defnet"
    lite: dict[str, Any] = Field(default_factory=dict)
    freeze_trunk: bool = False
    freeze_text: bool = False
    train_logit_scale: bool = True
    logit_scale: float | None = None


class ModelConfig(_Config):
    """How probabilities become evidence.

    Attributes:
        tasks: the tasks learnt; quality always is one.
        features: what the normal-inverse-gamma heads see: the task's marginal probabilities (Eqs. 14 to 16), or those
            and the image embedding.
        global_head: whether the global view's evidence (Eq. 23) comes from heads of its own, so that it can be trusted
            more or less than a sub-image's, or from those of the sub-images.
        averaging: what Eq. 6 averages over sub-images: probabilities (the paper) or logits (LIQE).
        train_crops: number of sub-images in training; the evidence of N sub-images is tempered by train_crops / N
            where N is larger, so that more crops sharpen the mean and not the claim.
        initial_nu: the heads' starting ν.
        initial_alpha: the heads' starting α.
        initial_std: square root of the heads' starting aleatoric variance E[σ²], for quality on its scale of [1, 5].
        initial_probability_std: the same for the scene and distortion outputs, on [0, 1].
    """

    tasks: tuple[Task, ...] = TASKS
    features: Literal["marginals", "embedding"] = "marginals"
    global_head: Literal["separate", "shared"] = "separate"
    averaging: Literal["probabilities", "logits"] = "probabilities"
    train_crops: Annotated[int, Field(ge=1)] = 4
    initial_nu: Positive = 1.0
    initial_alpha: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 2.0
    initial_std: Positive = 0.5
    initial_probability_std: Positive = 0.3

    @model_validator(mode="after")
    def _check_tasks(self) -> Self:
        if "quality" not in self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks must be distinct and include 'quality', got {list(self.tasks)}")
        return self


class ObjectiveConfig(_Config):
    """The overall loss, Eq. 28.

    Attributes:
        cross: include the cross sub-region loss of Eq. 22.
        fusion: include the local-global loss of Eq. 27.
        lambda1: weight of the cross sub-region loss.
        lambda2: weight of the local-global loss.
        tau: weight of the evidence regulariser within an evidential loss (Eq. 3).
        thurstone: Eq. 8 as the paper has it, Φ(Δ/√2), or as LIQE's code does, Φ(Δ).
        pair_reduction: average pairs within each data set and then over data sets, or over all pairs.
        weighting: weights of the three tasks in Eq. 13: by dynamic weight average, or all equal to one.
        weighting_temperature: T of the dynamic weight average.
    """

    cross: bool = True
    fusion: bool = True
    lambda1: NonNegative = 0.1
    lambda2: NonNegative = 0.1
    tau: NonNegative = 0.05
    thurstone: Literal["sqrt2", "unit"] = "sqrt2"
    pair_reduction: Literal["dataset", "pairs"] = "dataset"
    weighting: Literal["dynamic", "equal"] = "dynamic"
    weighting_temperature: Positive = 2.0


class DataConfig(_Config):
    """One data set of the training mixture.

    Attributes:
        name: identifier known to `iqa_datasets.available()`.
        session: which session's parts to use.
        batch_size: images of this data set in each training step.
        exclude: file names left out of training, for example known duplicates of test images.
    """

    name: str
    session: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    exclude: tuple[str, ...] = ()


class CropsConfig(_Config):
    """Where sub-images come from.

    Attributes:
        train_source: `images` decodes each image afresh and cuts new random crops in every step; `pool` cuts
            `pool_size` random crops an image once and draws from them afresh in every step, which lets a frozen
            trunk's features be computed once.
        pool_size: crops an image in the pool.
        flip: horizontal flips, half of the time.
        test_plan: how crops are placed when scoring.
        test_count: number of crops when scoring.
    """

    train_source: Literal["images", "pool"] = "images"
    pool_size: Annotated[int, Field(ge=4)] = 32
    flip: bool = True
    test_plan: Literal["grid", "random", "liqe"] = "grid"
    test_count: Annotated[int, Field(ge=1)] = 15


class OptimizerConfig(_Config):
    """AdamW with a cosine over the whole run.

    Attributes:
        learning_rate: peak learning rate of the towers.
        head_learning_rate: peak learning rate of the evidence heads, or None for the same.
        weight_decay: decoupled weight decay, of matrices only.
        betas: Adam's two decay rates.
        eps: Adam's ε.
        warmup_steps: steps of linear warm-up.
        max_grad_norm: clip the gradient's norm to this, or None.
    """

    learning_rate: Positive = 5e-6
    head_learning_rate: Positive | None = None
    weight_decay: NonNegative = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: Positive = 1e-8
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    max_grad_norm: Positive | None = None


class TrainConfig(_Config):
    """A whole training run.

    Attributes:
        data: the data sets of the mixture.
        epochs: number of epochs.
        steps_per_epoch: optimiser steps an epoch.
        seed: seed of every random choice.
        checkpoint_every: steps between resumable checkpoints within an epoch; every epoch's end has one too.
        precision: `fp32`, or `bf16` autocast over fp32 master weights.
        weights: precision of the matrices and kernels in the saved model. With `fp16`, a frozen trunk is rounded before
            training, and the rest before the variance scale is fitted.
        select_by: the validation figure that chooses among epochs.
    """

    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    backbone: BackboneConfig = BackboneConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    crops: CropsConfig = CropsConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: Annotated[int, Field(ge=1)] = 80
    steps_per_epoch: Annotated[int, Field(ge=1)] = 200
    seed: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    precision: Literal["fp32", "bf16"] = "fp32"
    weights: Literal["fp32", "fp16"] = "fp32"
    select_by: Literal["srcc", "plcc", "srcc+plcc", "nll", "last"] = "srcc+plcc"

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        names = [source.name for source in self.data]
        if len(set(names)) != len(names):
            raise ValueError(f"each data set may stand once in data, got {names}")
        return self

    @classmethod
    def from_toml(cls, path: str | Path) -> "TrainConfig":
        """Read and validate a TOML file.

        Raises:
            ConfigError: the file is missing, is not TOML, or a field is unknown or out of its range; the message
                names the file and each field.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                content = tomllib.load(file)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: not valid TOML: {error}") from error
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            lines = [f"  {'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}" for e in error.errors()]
            raise ConfigError("\n".join([f"{path}: not a valid training configuration:", *lines])) from error


def load_train_config(name: str) -> TrainConfig:
    """The configuration in a TOML file, or a shipped one by name.

    Raises:
        ConfigError: there is no such file or name, or it is not valid.
    """
    if Path(name).is_file():
        return TrainConfig.from_toml(name)
    folder = files("defnet") / "configs"
    shipped = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in shipped:
        raise ConfigError(
            f"no configuration {name!r}: it is neither a TOML file nor a shipped one ({', '.join(shipped)})"
        )
    with as_file(folder / f"{name}.toml") as path:
        return TrainConfig.from_toml(path)
