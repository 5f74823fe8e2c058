"""The model that training starts from."""

import torch

from clip_iqa_backbone import LiteConfig, create_backbone
from defnet.config.model import BackboneConfig
from defnet.config.training import TrainConfig
from defnet.errors import ConfigError
from defnet.model.network import DEFNet
from defnet.model.start import start_model


def build_model(config: TrainConfig, device: torch.device | str = "cpu") -> DEFNet:
    """Make the model that training starts from.

    Args:
        config: the whole configuration.
        device: where to put it.

    Raises:
        ConfigError: there is no such backbone, or its weights cannot be had.
        CheckpointError: there is no such model to start from.
    """
    options = config.backbone
    if config.start is not None:
        model = start_model(config)
        if options.logit_scale is not None:
            with torch.no_grad():
                model.backbone.logit_scale.fill_(options.logit_scale)
        return model.to(device)
    lite = _lite_config(options) if options.name == "lite" else None
    try:
        backbone = create_backbone(
            options.name,
            vocabulary=options.vocabulary,
            pretrained=options.pretrained,
            precision=config.tower_precision,
            lite=lite,
        )
    except ModuleNotFoundError as error:
        # One extra of the package that was asked for brings it.
        raise ConfigError(f"backbone: {error}".replace("clip-iqa-backbone[train]", "defnet[train]")) from error
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        raise ConfigError(f"backbone: {error}") from error
    if options.logit_scale is not None:
        with torch.no_grad():
            backbone.logit_scale.fill_(options.logit_scale)
    return DEFNet(backbone, config.model, score_from=config.score_from).to(device)


def _lite_config(options: BackboneConfig) -> LiteConfig:
    try:
        return LiteConfig(**options.lite, freeze_trunk=options.freeze_trunk)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"backbone.lite: {error}") from error
