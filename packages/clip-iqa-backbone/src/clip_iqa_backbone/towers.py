"""The two halves of every backbone: one maps pixels to embeddings, the other sentences to embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


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

    def __init__(
        self, *, input_size: int, feature_dim: int, embed_dim: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.feature_dim = feature_dim
        self.embed_dim = embed_dim
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
        training = tower.training
        tower.eval()
        try:
            with torch.no_grad():
                return cls(tower())
        finally:
            tower.train(training)

    def forward(self) -> Tensor:
        """Text features (count, D), not normalised."""
        return self.features
