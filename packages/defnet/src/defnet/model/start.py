"""Going on from a trained model: its weights become the first ones of another run."""

from hashlib import sha256

import torch

from clip_iqa_backbone import JointProbability, LiteImageTower, Vocabulary, rebuild_image_tower
from defnet.config.model import BackboneConfig
from defnet.config.start import StartConfig
from defnet.config.training import TrainConfig
from defnet.errors import ConfigError
from defnet.model.model_file import load_model
from defnet.model.model_info import ModelInfo
from defnet.model.names import located_model
from defnet.model.network import DEFNet

_FREE = ("pretrained", "freeze_trunk", "freeze_projection", "freeze_text", "train_logit_scale", "logit_scale")
"""Fields of the backbone in which a run may differ from the model that it goes on from."""


def resolve_start(config: TrainConfig) -> TrainConfig:
    """Write the start's fingerprint into a configuration, and the revision that a hub's model has.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: the configuration has the fingerprint of another file.
    """
    if config.start is None:
        return config
    with located_model(config.start.model) as found, found.path.open("rb") as file:
        fingerprint = sha256(file.read()).hexdigest()
    wanted = config.start.fingerprint
    if wanted not in (None, fingerprint):
        raise ConfigError(
            f"start: {config.start.model} is another model than the configuration was written with: its file has the "
            f"SHA-256 {fingerprint[:16]}…, not {str(wanted)[:16]}…"
        )
    return config.model_copy(update={"start": StartConfig(model=found.name, fingerprint=fingerprint)})


def start_model(config: TrainConfig) -> DEFNet:
    """The network of a configuration with the weights of the model that it starts from.

    The text side is that model's text features, which a model file keeps in place of a text tower; they stay. Heads
    whose shape the configuration changes start anew.

    Raises:
        CheckpointError: there is no such model, or it is damaged.
        ConfigError: the configuration describes another network.
    """
    assert config.start is not None  # noqa: S101 - the caller asks
    model, info = load_model(config.start.model)
    _check_same_backbone(config.backbone, info, config.start.model)
    trained = model.backbone
    spec = info.image_tower
    if isinstance(trained.image, LiteImageTower):
        spec = spec | config.backbone.lite | {"freeze_trunk": config.backbone.freeze_trunk}
    try:
        image = rebuild_image_tower(spec)
        image.load_state_dict(trained.image.state_dict())
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"start: backbone does not fit {config.start.model}: {error}") from error
    backbone = JointProbability(
        image,
        trained.text,
        Vocabulary.preset(config.backbone.vocabulary),
        logit_scale=float(trained.logit_scale.detach()),
        precision=config.tower_precision,
    )
    started = DEFNet(backbone, config.model, score_from=config.score_from)
    _take_evidence(started, model)
    return started


def _take_evidence(started: DEFNet, trained: DEFNet) -> None:
    """Give the evidence heads, and what looks at the whole image before them, the trained weights where they fit.

    A frozen copy of the towers (`model.global_tower = "pretrained"`) is of those that this training starts from.
    """
    own = started.state_dict()
    with torch.no_grad():
        for name, weight in trained.state_dict().items():
            if not name.startswith(("backbone.", "global_tower.")) and name in own and own[name].shape == weight.shape:
                own[name].copy_(weight)


def _check_same_backbone(wanted: BackboneConfig, info: ModelInfo, name: str) -> None:
    found = info.config.backbone
    for field in BackboneConfig.model_fields:
        there, here = getattr(found, field), getattr(wanted, field)
        if field == "lite":  # what is dropped out in training is no part of the network
            there, here = ({k: v for k, v in options.items() if k != "dropout"} for options in (there, here))
        if field not in _FREE and there != here:
            raise ConfigError(
                f"start: {name} has backbone.{field} = {there!r}, and the configuration {here!r}; a run goes on with "
                "the backbone that its start has"
            )
