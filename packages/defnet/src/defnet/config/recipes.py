"""Configurations that the commands make: going on from a model, starting anew, and fitting heads alone.

They are ordinary configurations, written whole into the run's folder; what a command does not offer, a TOML file does.
"""

from math import ceil
from typing import Any, Literal

from defnet.config.data import CropsConfig, DataConfig
from defnet.config.fields import TASKS, Task
from defnet.config.model import BackboneConfig, ModelConfig
from defnet.config.objective import ObjectiveConfig
from defnet.config.start import StartConfig
from defnet.config.training import OptimizerConfig, TrainConfig
from defnet.errors import ConfigError

BATCH = 16
_POOL = 32
_LONGEST_EPOCH = 200


def source_of(name: str, session: int | str, images: int) -> DataConfig:
    """The one data set of a run, in batches of 16 or of all images, if there are fewer."""
    return DataConfig(name=name, session=session, batch_size=min(BATCH, images))


def going_on(
    start: str, trained: TrainConfig, source: DataConfig, images: int, *, epochs: int, seed: int
) -> TrainConfig:
    """Go on from a trained model: its network, its crops and its loss, with a tenth of the usual learning rates.

    The epoch is chosen on the validation part, whatever the model's own training did.

    Args:
        start: the model, as `StartConfig.model`.
        trained: its configuration.
        source: what to train on.
        images: number of training images.
        epochs: number of passes over them.
        seed: seed of every random choice.

    Raises:
        ConfigError: the model states no uncertainty.
    """
    if trained.score_from == "expected":
        raise ConfigError(
            f"{start} states no uncertainty, which training goes on with; defnet fit-heads gives it heads"
        )
    lite = trained.backbone.name == "lite"
    return trained.model_copy(
        update={
            "data": (source,),
            "start": StartConfig(model=start),
            "backbone": trained.backbone.model_copy(update={"logit_scale": None}),
            "optimizer": OptimizerConfig(
                learning_rate=1e-4 if lite else 5e-6,
                head_learning_rate=1e-3,
                weight_decay=trained.optimizer.weight_decay,
            ),
            **_length(images, source.batch_size, epochs),
            "seed": seed,
            "precision": "auto",
            "select_by": TrainConfig.model_fields["select_by"].default,
        }
    )


def anew(
    preset: TrainConfig, source: DataConfig, images: int, *, tasks: tuple[Task, ...], epochs: int, seed: int
) -> TrainConfig:
    """Start anew as a preset does, with the tasks that there are labels for.

    Args:
        preset: the configuration that says everything else.
        source: what to train on.
        images: number of training images.
        tasks: the tasks that are learnt.
        epochs: number of passes over them.
        seed: seed of every random choice.
    """
    return preset.model_copy(
        update={
            "data": (source,),
            "model": preset.model.model_copy(update={"tasks": tasks}),
            **_length(images, source.batch_size, epochs),
            "seed": seed,
            "precision": "auto",
        }
    )


def heads_of_model(
    start: str,
    trained: TrainConfig,
    source: DataConfig,
    images: int,
    *,
    features: Literal["marginals", "embedding"] | None,
    epochs: int,
    seed: int,
) -> TrainConfig:
    """Fit the evidence heads, and the calibration, of a trained model; all else of it stays.

    Args:
        start: the model, as `StartConfig.model`.
        trained: its configuration.
        source: what to fit to.
        images: number of training images.
        features: what the heads see; None for what the model's own do. Heads that see something else start anew.
        epochs: number of passes over the images.
        seed: seed of every random choice.
    """
    changes = {"evidence": True, "score": None, "features": features or trained.model.features}
    model = trained.model.model_copy(update=changes)
    return TrainConfig(
        data=(source,),
        start=StartConfig(model=start),
        backbone=_frozen(trained.backbone),
        model=model,
        objective=trained.objective if trained.objective.teaches_fusion else ObjectiveConfig(),
        crops=_pooled(trained.crops, model),
        optimizer=_heads_optimizer(),
        **_length(images, source.batch_size, epochs),
        seed=seed,
        weights=trained.weights,
    )


def heads_of_backbone(
    backbone: BackboneConfig,
    source: DataConfig,
    images: int,
    *,
    features: Literal["marginals", "embedding"] | None,
    tasks: tuple[Task, ...] = TASKS,
    epochs: int,
    seed: int,
) -> TrainConfig:
    """Fit evidence heads, and a calibration, to a backbone as it is.

    Args:
        backbone: the backbone; it is frozen whole.
        source: what to fit to.
        images: number of training images.
        features: what the heads see; None for the embedding beside the marginals: what a backbone that has not learnt
            quality says of it is too little.
        tasks: the tasks that heads are fitted for.
        epochs: number of passes over the images.
        seed: seed of every random choice.
    """
    model = ModelConfig(tasks=tasks, features=features or "embedding")
    return TrainConfig(
        data=(source,),
        backbone=_frozen(backbone),
        model=model,
        crops=_pooled(CropsConfig(), model),
        optimizer=_heads_optimizer(),
        **_length(images, source.batch_size, epochs),
        seed=seed,
    )


def _length(images: int, batch: int, epochs: int) -> dict[str, Any]:
    steps = min(_LONGEST_EPOCH, ceil(images / batch))
    return {"epochs": epochs, "steps_per_epoch": steps, "checkpoint_every": steps}


def _frozen(backbone: BackboneConfig) -> BackboneConfig:
    return backbone.model_copy(
        update={
            "freeze_trunk": True,
            "freeze_projection": True,
            "freeze_text": True,
            "train_logit_scale": False,
            "logit_scale": None,
        }
    )


def _pooled(crops: CropsConfig, model: ModelConfig) -> CropsConfig:
    size = max(_POOL, model.train_crops)
    return crops.model_copy(update={"train_source": "pool", "pool_size": size})


def _heads_optimizer() -> OptimizerConfig:
    # Without weight decay, which would draw the heads of tasks without labels to zero.
    return OptimizerConfig(learning_rate=1e-3, head_learning_rate=3e-3, weight_decay=0.0)
