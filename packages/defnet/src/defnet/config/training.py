"""Configuration of a whole training run."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from defnet.config.data import CropsConfig, DataConfig
from defnet.config.fields import Config, NonNegative, Positive, ScoreSource
from defnet.config.model import BackboneConfig, ModelConfig
from defnet.config.objective import ObjectiveConfig
from defnet.config.score import score_source
from defnet.config.start import StartConfig

VERSION = 2
"""Version of the configuration's fields; see `defnet.config.versions`."""

Decay = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Config):
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
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: Positive = 1e-8
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    max_grad_norm: Positive | None = None


class TrainConfig(Config):
    """A whole training run.

    Attributes:
        version: version of the configuration's fields, which files without one are brought up to.
        data: the data sets of the mixture.
        start: the trained model whose weights are the first ones; None starts from the backbone's own weights and new
            heads.
        epochs: number of epochs.
        steps_per_epoch: optimiser steps an epoch.
        seed: seed of every random choice.
        accumulate: parts that a step's images go through the towers in, one after the other: that much less memory, and
            the towers' forward pass twice where there is more than one part. The loss, its pairs and its gradient are
            those of the whole batch all the same. Of several processes each takes its own share in so many parts.
        checkpoint_every: steps between resumable checkpoints within an epoch; every epoch's end has one too.
        checkpoints_kept: how many checkpoints the run's folder holds, the last one among them. With more than one,
            a run can be taken back to where it was.
        precision: `fp32`, or `bf16` autocast over fp32 master weights; `auto` takes bf16 on a GPU that computes in
            it, else fp32, and is replaced by what it took in everything that is written.
        weights: precision of the matrices and kernels in the saved model. With `fp16`, a frozen trunk is rounded before
            training, and the rest before the variance scale is fitted.
        select_by: the validation figure that chooses among epochs, or `last`, which needs no validation images.
    """

    version: Literal[2] = 2
    data: Annotated[tuple[DataConfig, ...], Field(min_length=1)]
    start: StartConfig | None = None
    backbone: BackboneConfig = BackboneConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    crops: CropsConfig = CropsConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    epochs: Annotated[int, Field(ge=1)] = 80
    steps_per_epoch: Annotated[int, Field(ge=1)] = 200
    seed: Annotated[int, Field(ge=0)] = 0
    accumulate: Annotated[int, Field(ge=1)] = 1
    checkpoint_every: Annotated[int, Field(ge=1)] = 200
    checkpoints_kept: Annotated[int, Field(ge=1)] = 1
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    weights: Literal["fp32", "fp16"] = "fp32"
    select_by: Literal["srcc", "plcc", "srcc+plcc", "nll", "last"] = "srcc+plcc"

    @property
    def tower_precision(self) -> Literal["fp32", "bf16"]:
        """What the towers compute in; `auto` that nothing has replaced is fp32."""
        return "fp32" if self.precision == "auto" else self.precision

    @property
    def score_from(self) -> ScoreSource:
        """Where the score comes from; see `score_source`."""
        return score_source(self.model, self.objective)

    @model_validator(mode="after")
    def _check_score(self) -> Self:
        if self.score_from == "expected" and self.select_by == "nll":
            raise ValueError("select_by = 'nll' needs an uncertainty, and the expected quality of Eq. 5 has none")
        return self

    @model_validator(mode="after")
    def _check_data(self) -> Self:
        names = [source.name for source in self.data]
        if len(set(names)) != len(names):
            raise ValueError(f"each name may stand once in data, got {names}")
        if not any(source.is_judged for source in self.data):
            raise ValueError("no data set of the mixture is judged, so nothing chooses among epochs or calibrates")
        photographs = [source.name for source in self.data if source.of is None]
        for source in self.data:
            if source.of is not None and source.of not in photographs:
                raise ValueError(
                    f"{source.name} holds copies of {source.of!r}, which must be another data set of the mixture with "
                    f"photographs of its own: {', '.join(photographs) or 'there is none'}"
                )
        return self

    @model_validator(mode="after")
    def _check_taught(self) -> Self:
        # By the weights of its data sets alone a loss can be turned off that the score comes from.
        if self.score_from == "expected" and not any(source.pair_weight for source in self.data):
            raise ValueError("the score is q̂ of Eq. 5, which nothing teaches where every pair_weight in data is 0")
        if self.score_from != "expected" and not any(source.quality_evidence for source in self.data):
            raise ValueError(
                "the score is that of the evidence, which nothing teaches where every quality_evidence in data is 0; "
                "with model.score = 'expected' it is q̂ of Eq. 5, without an uncertainty"
            )
        return self

    @property
    def batch_size(self) -> int:
        """Images of a step, of all data sets."""
        return sum(source.batch_size for source in self.data)

    @model_validator(mode="after")
    def _check_accumulate(self) -> Self:
        if self.accumulate > self.batch_size:
            raise ValueError(f"a step's {self.batch_size} images cannot go in accumulate = {self.accumulate} parts")
        return self

    @model_validator(mode="after")
    def _check_pool(self) -> Self:
        for source in self.data:
            if self.crops.train_source != "pool":
                if source.pool_size is not None:
                    raise ValueError(
                        f"pool_size = {source.pool_size} of {source.name} is that of a pool, and there is none with "
                        f"crops.train_source = '{self.crops.train_source}'"
                    )
            elif self.model.train_crops > self.pool_size(source):
                named = "crops.pool_size" if source.pool_size is None else f"{source.name}'s pool_size"
                raise ValueError(
                    f"model.train_crops = {self.model.train_crops} sub-images cannot be drawn from a pool of "
                    f"{named} = {self.pool_size(source)}"
                )
        return self

    def pool_size(self, source: DataConfig) -> int:
        """Crops an image in the pool of one of the data sets."""
        return self.crops.pool_size if source.pool_size is None else source.pool_size

    @model_validator(mode="after")
    def _check_warmup(self) -> Self:
        steps = self.epochs * self.steps_per_epoch
        if self.optimizer.warmup_steps >= steps:
            raise ValueError(
                f"optimizer.warmup_steps = {self.optimizer.warmup_steps} leaves nothing of a run of {steps} steps"
            )
        return self

    @classmethod
    def from_toml(cls, path: str | Path) -> "TrainConfig":
        """Read and validate a TOML file.

        Raises:
            ConfigError: the file is missing, is not TOML, or a field is unknown or out of its range; the message
                names the file and each field.
        """
        from defnet.config.toml_files import read_toml

        return read_toml(Path(path))
