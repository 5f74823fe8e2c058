"""What stands for weights: a digest quick enough for every call, and a SHA-256 to keep results under."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clip_iqa_backbone.towers.base import ImageTower

_FORMAT = "1"
_ROW = 2048
_ROWS_AT_ONCE = 2048  # few launches, and 32 MiB beside the weights


def image_tower_fingerprint(tower: ImageTower, *, trunk_only: bool = False) -> str:
    """A SHA-256 over all that the outputs of an image tower follow from beside the pixels and the precision.

    That is its architecture (:meth:`ImageTower.architecture`: activation, patch size, layers, heads), how pixels are
    prepared for it (size, mean, deviation and whatever else its source says of that), and the name, type, shape and
    value of every weight and buffer. Training mode is no part of it. Equal towers have equal fingerprints wherever
    they came from, within one version of the libraries; a fused ``lite`` differs from the same one before.

    Args:
        tower: The image tower.
        trunk_only: Leave out what :meth:`ImageTower.trunk` does not use, as far as the tower says so: the key of stored
            features, which a training of the head leaves as they are.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> from clip_iqa_backbone import LiteConfig, LiteImageTower
        >>> tower = LiteImageTower(LiteConfig(stages=(0, 1)))
        >>> before = image_tower_fingerprint(tower, trunk_only=True)
        >>> tower.set_feature_statistics(torch.zeros(96), torch.full((96,), 2.0))
        >>> before == image_tower_fingerprint(tower, trunk_only=True)
        True
    """
    about = f"{_FORMAT}\n{type(tower).__name__}\n{tower.architecture(trunk_only=trunk_only)}\n"
    digest = hashlib.sha256(about.encode())
    children = tower.trunk_children
    for name, values in named_weights(tower):
        # The pixels' mean and deviation lie on the tower itself.
        if trunk_only and children and name not in ("mean", "std") and name.partition(".")[0] not in children:
            continue
        add_weight(digest, name, values)
    return digest.hexdigest()


def named_weights(module: nn.Module) -> Iterable[tuple[str, Tensor]]:
    """Parameters and buffers, those that are not saved included."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def add_weight(digest: hashlib._Hash, name: str, values: Tensor) -> None:
    """Put the name, type, shape and value of a weight into a digest."""
    digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
    digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)


@torch.no_grad()
def quick_digest(module: nn.Module, *, in_place: bool | None = None) -> bytes:
    """A digest of weights and buffers by name and content that does not carry them off their device.

    On a CPU SHA-256 over all of it. A gigabyte a second, where the processor has instructions for it, and without
    threads of torch's, which on a busy machine would wait for each other at every step. Elsewhere each row of 2048
    32-bit numbers is multiplied by as many fixed random 64-bit keys and summed modulo 2^64 (multilinear hashing: two
    rows that differ anywhere, also in their order, agree with a chance of at most 2^-33), and SHA-256 goes over the
    sums: 8 bytes travel for every 8192.

    Args:
        module: What holds the weights.
        in_place: Which of the two; None for the first on a CPU.

    Returns:
        32 bytes, which mean something within this process only.
    """
    digest = hashlib.sha256()
    sums: dict[torch.device, list[Tensor]] = {}
    for name, values in named_weights(module):
        if values.device.type == "cpu" if in_place is None else not in_place:
            add_weight(digest, name, values)
        else:
            digest.update(f"{name} {values.dtype} {tuple(values.shape)} {values.device}\n".encode())
            sums.setdefault(values.device, []).append(_row_sums(values.detach()))
    for rows in sums.values():
        digest.update(torch.cat(rows).cpu().numpy().data)
    return digest.digest()


def _row_sums(values: Tensor) -> Tensor:
    """Sums (rows,), int64, of the bits of ``values`` times the keys."""
    bits = values.contiguous().flatten().view(torch.uint8)
    if bits.storage_offset() % 4:
        bits = bits.clone()
    whole = bits.numel() - bits.numel() % (4 * _ROW)
    tail = F.pad(bits[whole:], [0, -bits.numel() % (4 * _ROW)])
    keys = _keys(values.device)
    sums = [
        (rows * keys).sum(dim=1)
        for part in (bits[:whole], tail)
        for rows in torch.split(part.view(torch.int32).view(-1, _ROW), _ROWS_AT_ONCE)
    ]
    return torch.cat(sums)


@functools.cache
def _keys(device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        generator = torch.Generator().manual_seed(0x1A2B3C4D)
        keys = torch.empty(_ROW, dtype=torch.int64).random_(-(2**63), None, generator=generator)
        return keys.to(device)
