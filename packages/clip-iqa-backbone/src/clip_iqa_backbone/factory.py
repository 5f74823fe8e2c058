"""One function that makes a backbone from a name."""

from __future__ import annotations

import torch

from clip_iqa_backbone.joint import JointProbability, Precision
from clip_iqa_backbone.lite import LiteConfig, LiteImageTower, LiteTextTower
from clip_iqa_backbone.prompts import Vocabulary


def create_backbone(
    name: str,
    *,
    vocabulary: str | Vocabulary = "defnet",
    pretrained: str | None = None,
    precision: Precision = "fp32",
    device: str | torch.device | None = None,
    lite: LiteConfig | None = None,
) -> JointProbability:
    """Make a backbone."""
    words = Vocabulary.preset(vocabulary) if isinstance(vocabulary, str) else vocabulary
    if name != "lite":
        raise ValueError(name)
    config = LiteConfig() if lite is None else lite
    image = LiteImageTower(config)
    if pretrained == "imagenet":
        image.load_imagenet_trunk()
    elif pretrained is not None:
        image.load_imagenet_trunk(pretrained)
    text = LiteTextTower(words, config.embed_dim, config.word_dim, config.text_hidden)
    return JointProbability(image, text, words, precision=precision).to(device)
