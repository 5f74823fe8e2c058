"""Views of many images, or what a frozen trunk made of them, computed once and kept on disk.

A pool is a folder of safetensors shards, each written atomically, so that a build that was interrupted goes on where it
stopped. Its key says what it was made from; a pool with another key is never reused.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from clip_iqa_backbone import CropPlan, make_views, open_image
from defnet.files import replace_when_done
from defnet.seeding import draw_generator

_SHARD = 32

Encode = Callable[[Tensor], Tensor]


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}:{value.dtype}:{tuple(value.shape)};".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def cut_pool_views(path: Path, count: int, size: int, flip: bool, seed: int, row: int) -> tuple[Tensor, Tensor]:
    """Random crops of one image for a training pool, every second one mirrored, and its global view with its mirror.

    Returns:
        uint8 tensors (count, 3, size, size) and (2 if flip else 1, 3, size, size).
    """
    plan = CropPlan(kind="random", count=count, size=size)
    views = make_views(open_image(path), plan, generator=draw_generator(seed, 0, row))
    local, global_view = views.local.clone(), views.global_view[None]
    if flip:
        local[1::2] = local[1::2].flip(-1)
        global_view = torch.cat([global_view, global_view.flip(-1)])
    return local, global_view


def cut_plan_views(path: Path, plan: CropPlan) -> tuple[Tensor, Tensor]:
    """The views used for scoring: uint8 tensors (N, 3, S, S) and (1, 3, S, S)."""
    views = make_views(open_image(path), plan)
    return views.local, views.global_view[None]


class ViewPool:
    """Views (or features) of M images, memory-mapped from shards: K local ones and G global ones an image."""

    def __init__(self, shards: Sequence[Path]) -> None:
        self._local: list[Tensor] = []
        self._global: list[Tensor] = []
        for shard in shards:
            with safe_open(shard, framework="pt") as file:
                self._local.append(file.get_tensor("local"))
                self._global.append(file.get_tensor("global"))

    def __len__(self) -> int:
        return sum(len(part) for part in self._local)

    @property
    def counts(self) -> tuple[int, int]:
        """K and G."""
        return self._local[0].shape[1], self._global[0].shape[1]

    def local(self, row: int) -> Tensor:
        """All local views of an image, (K, ...)."""
        return self._local[row // _SHARD][row % _SHARD]

    def global_view(self, row: int) -> Tensor:
        """All global views of an image, (G, ...)."""
        return self._global[row // _SHARD][row % _SHARD]


def build_pool(
    folder: Path,
    paths: Sequence[Path],
    cut: Callable[[int, Path], tuple[Tensor, Tensor]],
    key: dict[str, Any],
    *,
    encode: Encode | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> ViewPool:
    """Compute the pool, or the shards of it that are missing.

    Args:
        folder: where the shards go; made if it does not exist.
        paths: image files, M of them, at least one.
        cut: makes the views of image `row`: uint8 (K, 3, S, S) and (G, 3, S, S).
        key: everything that the pool depends on beside the files, as JSON.
        encode: turns views (n, 3, S, S) into features (n, F), kept in half precision; None keeps the pixels.
        advance: called with the number of images each time some are done.

    Raises:
        ImageError: an image cannot be read; the shards before it are kept.
        ValueError: a feature does not fit half precision.
    """
    files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    identity = json.dumps([key, files], sort_keys=True)
    folder = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    shards = [folder / f"{start:06d}.safetensors" for start in range(0, len(paths), _SHARD)]

    def views_of(row: int) -> tuple[Tensor, Tensor]:
        return cut(row, paths[row])

    with ThreadPoolExecutor(2) as threads:
        for number, shard in enumerate(shards):
            rows = range(number * _SHARD, min((number + 1) * _SHARD, len(paths)))
            if shard.exists():
                advance(len(rows))
                continue
            local, global_view = [], []
            for crops, whole in threads.map(views_of, rows):
                local.append(crops if encode is None else _encode(encode, crops))
                global_view.append(whole if encode is None else _encode(encode, whole))
                advance(1)
            with replace_when_done(shard) as part:
                save_file({"local": torch.stack(local), "global": torch.stack(global_view)}, part)
    return ViewPool(shards)


def _encode(encode: Encode, views: Tensor) -> Tensor:
    half = encode(views).half()
    if not torch.isfinite(half).all():
        raise ValueError("a feature of the frozen trunk does not fit half precision")
    return half.cpu()
