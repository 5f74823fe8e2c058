"""Text features on disk, so that a large text tower runs once for its weights and its vocabulary."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clip_iqa_backbone.fingerprints import add_weight, named_weights
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.base import FrozenTextFeatures, TextTower
from iqa_datasets.atomic_files import replacing

_FORMAT = "1"


def text_digest(tower: TextTower, vocabulary: Vocabulary) -> str:
    """A SHA-256 over all that the text features follow from.

    That is the value of every weight and buffer, the tower's architecture, the words and the sentence. A name is not
    part of it: two models of one name with different weights differ, one model under two names does not.

    Args:
        tower: The text tower.
        vocabulary: The words it was made for.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(f"{_FORMAT}\n{vocabulary.digest()}\n{tower.architecture()}\n".encode())
    for name, values in named_weights(tower):
        add_weight(digest, name, values)
    return digest.hexdigest()


def freeze_text_features(
    tower: TextTower, vocabulary: Vocabulary, *, cache_dir: str | os.PathLike[str] | None = None
) -> FrozenTextFeatures:
    """Replace a text tower by its features, from a file where it holds them already.

    Args:
        tower: The text tower.
        vocabulary: The words it was made for.
        cache_dir: Folder of the files, one for each :func:`text_digest`; None to compute and keep nothing. A file that
            is damaged, or holds the features of something else, is written anew.

    Returns:
        The features, on the tower's device.

    Example:
        >>> from clip_iqa_backbone import create_backbone
        >>> model = create_backbone("lite")
        >>> model.text = freeze_text_features(model.text, model.vocabulary)
    """
    if cache_dir is None:
        return FrozenTextFeatures.of(tower)
    digest = text_digest(tower, vocabulary)
    folder = Path(cache_dir)
    path = folder / f"text-features-{digest[:32]}.safetensors"
    shape = (tower.count, tower.embed_dim)
    features = _read(path, digest, shape)
    if features is None:
        frozen = FrozenTextFeatures.of(tower)
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, frozen.features, digest)
        return frozen
    weights = [*tower.parameters(), *tower.buffers()]
    return FrozenTextFeatures(features).to(weights[0].device if weights else None)


def _read(path: Path, digest: str, shape: tuple[int, int]) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("digest") != digest:
                return None
            features: Tensor = file.get_tensor("features")
    except (FileNotFoundError, SafetensorError):
        return None
    return features if features.shape == shape else None


def _write(path: Path, features: Tensor, digest: str) -> None:
    with replacing(path) as partial:
        save_file({"features": features.cpu().contiguous()}, partial, metadata={"digest": digest, "format": _FORMAT})
