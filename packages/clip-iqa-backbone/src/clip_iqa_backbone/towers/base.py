"""The two halves of every backbone: one maps pixels to embeddings, the other sentences to embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from clip_iqa_backbone.training_modes import evaluating


class ImageTower(nn.Module, ABC):
    """Maps normalised pixels to embeddings, in two steps so that features that do not change can be stored.

    Args:
        input_size: Side of the square input in pixels.
        feature_dim: Size F of what :meth:`trunk` returns.
        embed_dim: Size D of what :meth:`project` returns.
        mean: Per-channel mean that pixels in [0, 1] are shifted by.
        std: Per-channel standard deviation that they are divided by.
    """

    mean: Tensor
    std: Tensor

    trunk_children: ClassVar[tuple[str, ...]] = ()
    """Names of the modules that :meth:`trunk` runs through; empty where a tower of one's own does not say."""

    def __init__(
        self, *, input_size: int, feature_dim: int, embed_dim: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.feature_dim = feature_dim
        self.embed_dim = embed_dim
        self.trunk_frozen = False
        # Not persistent: they belong to the architecture, not to the weights.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    @property
    def spec(self) -> dict[str, Any]:
        """Plain values for JSON that say which architecture this is; see :func:`rebuild_image_tower`.

        Raises:
            ValueError: The tower does not tell; a tower of one's own need not.
        """
        raise ValueError(f"{type(self).__name__} does not tell its architecture: it has no spec of its own.")

    def architecture(self, *, trunk_only: bool = False) -> str:
        """What the embeddings depend on beside weights, buffers and pixels, for the key of a cache.

        Args:
            trunk_only: Leave out what :meth:`trunk` does not use, where the tower says what that is.
        """
        parts = [f"{self.input_size} {self.feature_dim}"]
        if trunk_only and self.trunk_children:
            parts += [repr(getattr(self, name)) for name in self.trunk_children]
        else:
            parts.append(repr(self))
        heads = [module.num_heads for module in self.modules() if hasattr(module, "num_heads")]
        return "\n".join([*parts, f"heads={heads}"])

    def freeze_trunk(self, frozen: bool = True) -> None:
        """Stop, or let go on, the training of the trunk: of its weights and of whatever else moves in training.

        A frozen trunk stays in evaluation mode when the tower is trained, so that batch statistics stay what they are
        and dropout is off: its features can be stored.

        Raises:
            ValueError: The tower does not say which of its modules are its trunk.
        """
        if not self.trunk_children:
            raise ValueError(f"{type(self).__name__} does not say which modules are its trunk: set trunk_children.")
        self.trunk_frozen = frozen
        for name in self.trunk_children:
            getattr(self, name).requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch training mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.trunk_frozen:
            for name in self.trunk_children:
                getattr(self, name).eval()
        return self

    @abstractmethod
    def trunk(self, pixels: Tensor) -> Tensor:
        """Features (B, F) of normalised pixels (B, 3, S, S)."""

    @abstractmethod
    def project(self, features: Tensor) -> Tensor:
        """Embeddings (B, D), not normalised, of features (B, F)."""

    def forward(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, D), not normalised, of normalised pixels (B, 3, S, S)."""
        embeddings: Tensor = self.project(self.trunk(pixels))
        return embeddings


class TextTower(nn.Module, ABC):
    """Holds a vocabulary and maps it to one feature vector for each of its sentences.

    Args:
        count: Number of sentences.
        embed_dim: Size D of a feature vector.
    """

    def __init__(self, *, count: int, embed_dim: int) -> None:
        super().__init__()
        self.count = count
        self.embed_dim = embed_dim

    @abstractmethod
    def forward(self) -> Tensor:
        """Text features (count, D), not normalised, in the order of ``Vocabulary.prompts``."""

    def architecture(self) -> str:
        """What the features depend on besides weights, buffers and words, for the key of a cache."""
        return repr(self)


class FrozenTextFeatures(TextTower):
    """Text features that no longer change: all that inference needs of a text tower.

    Args:
        features: One row for each sentence, (count, D).

    Raises:
        ValueError: ``features`` is not a matrix of finite numbers.

    Example:
        >>> FrozenTextFeatures(torch.eye(495, 16))().shape
        torch.Size([495, 16])
    """

    features: Tensor

    def __init__(self, features: Tensor) -> None:
        if features.ndim != 2 or not features.is_floating_point():
            raise ValueError(
                "features must be a floating-point matrix (sentences, embed_dim), "
                f"got shape {tuple(features.shape)} and type {features.dtype}."
            )
        if not bool(torch.isfinite(features).all()):
            raise ValueError("features must be finite, but some are NaN or infinite.")
        super().__init__(count=features.shape[0], embed_dim=features.shape[1])
        self.register_buffer("features", features.detach().clone())

    @classmethod
    def of(cls, tower: TextTower) -> FrozenTextFeatures:
        """Freeze what a tower returns now, in evaluation mode; the tower itself is left as it was."""
        with evaluating(tower), torch.no_grad():
            return cls(tower())

    def forward(self) -> Tensor:
        """Text features (count, D), not normalised."""
        return self.features
