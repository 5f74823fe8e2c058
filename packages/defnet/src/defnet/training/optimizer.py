"""What learns, and how fast: frozen parts, groups of parameters and the learning rate's course."""

from typing import Any

import torch
from torch import nn

from clip_iqa_backbone import FrozenTextFeatures, LiteImageTower
from defnet.config.training import TrainConfig
from defnet.model.network import DEFNet


def learning_rate_factor(step: int, total: int, warmup: int) -> float:
    """Factor on the peak learning rate: linear warm-up, then a cosine from 1 to 0 over the rest of the run."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    return float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress, dtype=torch.float64))))


def parameter_groups(model: DEFNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Towers and heads, each with its peak learning rate; weight decay on matrices and kernels only."""
    options = config.optimizer
    heads = {id(p) for p in model.evidence_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rate = options.learning_rate
            if id(parameter) in heads and options.head_learning_rate is not None:
                rate = options.head_learning_rate
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def make_optimizer(model: DEFNet, config: TrainConfig) -> torch.optim.AdamW:
    """The optimiser of what learns."""
    return torch.optim.AdamW(parameter_groups(model, config), betas=config.optimizer.betas, eps=config.optimizer.eps)


def freeze(model: DEFNet, config: TrainConfig) -> None:
    """Take what the configuration keeps as it starts out of training."""
    options = config.backbone
    backbone = model.backbone
    if options.freeze_text:
        backbone.text.requires_grad_(False)
    if options.freeze_trunk and not isinstance(backbone.image, LiteImageTower):
        # An open_clip tower has its whole image encoder in the trunk.
        backbone.image.requires_grad_(False)
    if options.freeze_projection:
        backbone.image.requires_grad_(False)
        for module in backbone.image.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0  # what stays as it is gives the same embedding of a view every time
        if options.freeze_text:
            backbone.text = FrozenTextFeatures.of(backbone.text)  # which else goes through its tower at every step
    backbone.logit_scale.requires_grad_(options.train_logit_scale)
