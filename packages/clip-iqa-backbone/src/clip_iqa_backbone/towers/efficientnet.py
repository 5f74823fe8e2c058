"""EfficientNet-Lite0, whose activations are read at every depth.

The network and the names of its weights are those of timm's ``tf_efficientnet_lite0`` (the tests hold the two together
weight by weight and output by output). It is written out here because importing timm brings torchvision and torch's
compiler with it: several seconds and 200 MB before the first image, where nothing else of them is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True)
class _Stage:
    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STEM_CHANNELS = 32
_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_HEAD_CHANNELS = 1280
_BN_EPS = 1e-3  # TensorFlow's, which the weights were trained with

STAGE_CHANNELS = (_STEM_CHANNELS, *(stage.channels for stage in _STAGES), _HEAD_CHANNELS)
"""Channels at each depth: the stem, the seven block stages, the last 1x1 convolution."""

CLASSIFIER_SHAPES = {"classifier.weight": (1000, _HEAD_CHANNELS), "classifier.bias": (1000,)}
"""What a file of ImageNet weights holds besides; nothing here uses it."""


class EfficientNetLite0(nn.Module):
    """The convolutions of EfficientNet-Lite0, up to a depth.

    Args:
        last_stage: Deepest stage to build, 0 for the stem alone to 8 for all.
    """

    def __init__(self, last_stage: int = len(_STAGES) + 1) -> None:
        super().__init__()
        self.conv_stem = _SameConv2d(3, _STEM_CHANNELS, 3, stride=2)
        self.bn1 = _norm(_STEM_CHANNELS)
        stages, channels = [], _STEM_CHANNELS
        for stage in _STAGES[:last_stage]:
            blocks = []
            for repeat in range(stage.repeats):
                blocks.append(_Block(channels, stage, stride=stage.stride if repeat == 0 else 1))
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)
        self.has_head = last_stage > len(_STAGES)
        if self.has_head:
            self.conv_head = _SameConv2d(channels, _HEAD_CHANNELS, 1)
            self.bn2 = _norm(_HEAD_CHANNELS)

    def forward(self, pixels: Tensor) -> Iterator[Tensor]:
        """Activations (B, C, H, W) of each stage in turn, of normalised pixels (B, 3, S, S)."""
        x = F.relu6(self.bn1(self.conv_stem(pixels)))
        yield x
        for stage in self.blocks:
            x = stage(x)
            yield x
        if self.has_head:
            yield F.relu6(self.bn2(self.conv_head(x)))

    def fuse(self) -> None:
        """Fold each batch normalisation, with the statistics it has now, into the convolution before it."""
        _fuse(self, "conv_stem", "bn1")
        for module in self.modules():
            if isinstance(module, _Block):
                for conv, norm in module.pairs:
                    _fuse(module, conv, norm)
        if self.has_head:
            _fuse(self, "conv_head", "bn2")


class _SameConv2d(nn.Conv2d):
    """Convolution without bias, padded as TensorFlow pads: the odd pixel goes to the right and the bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # At stride 1 both sides get the same, which the convolution does by itself.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        nn.init.normal_(self.weight, std=math.sqrt(2 / (kernel * kernel * outputs / groups)))

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            bottom, right = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
            x = F.pad(x, [right // 2, right - right // 2, bottom // 2, bottom - bottom // 2])
        return super().forward(x)


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, narrow. The first stage does not widen."""

    def __init__(self, inputs: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        width = inputs * stage.expansion
        self.pairs: tuple[tuple[str, str], ...]
        if stage.expansion == 1:
            self.conv_dw = _SameConv2d(width, width, stage.kernel, stride, groups=width)
            self.bn1 = _norm(width)
            self.conv_pw = _SameConv2d(width, stage.channels, 1)
            self.bn2 = _norm(stage.channels)
            self.pairs = (("conv_dw", "bn1"), ("conv_pw", "bn2"))
        else:
            self.conv_pw = _SameConv2d(inputs, width, 1)
            self.bn1 = _norm(width)
            self.conv_dw = _SameConv2d(width, width, stage.kernel, stride, groups=width)
            self.bn2 = _norm(width)
            self.conv_pwl = _SameConv2d(width, stage.channels, 1)
            self.bn3 = _norm(stage.channels)
            self.pairs = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3"))
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        for conv, norm in self.pairs[:-1]:
            # In place: what the normalisation returned is needed by nobody else.
            x = F.relu6(getattr(self, norm)(getattr(self, conv)(x)), inplace=True)
        conv, norm = self.pairs[-1]
        x = getattr(self, norm)(getattr(self, conv)(x))
        return x + shortcut if self.residual else x


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=_BN_EPS)


def _fuse(parent: nn.Module, conv: str, norm: str) -> None:
    batch_norm = cast("nn.BatchNorm2d", getattr(parent, norm))
    setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), batch_norm))
    setattr(parent, norm, nn.Identity())
