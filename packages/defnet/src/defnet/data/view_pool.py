"""Views of many images, or what a frozen trunk made of them, computed once and kept on disk.

A pool is a folder with one safetensors file an image, each written atomically, so that a build that was interrupted
goes on where it stopped, and runs over other selections of the same images share what there is. The folder's name
stands for everything that the views depend on beside the image; the file's, for the image.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from defnet.errors import DataError
from iqa_datasets.atomic_files import replacing

_READERS = 2

Encode = Callable[[Tensor], Tensor]


class ViewPool:
    """Views (or features) of M images, memory-mapped: K local ones and G global ones an image.

    Attributes:
        files: the images' files, in the order of rows.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        if not files:
            raise ValueError("a pool needs at least one image")
        self.files = tuple(files)
        self._local: list[Tensor] = []
        self._global: list[Tensor] = []
        for file in files:
            try:
                with safe_open(file, framework="pt") as tensors:
                    self._local.append(tensors.get_tensor("local"))
                    self._global.append(tensors.get_tensor("global"))
            except (OSError, SafetensorError) as error:
                raise DataError(
                    f"{file}: is not a whole file of views ({error}); delete it, and it is made again"
                ) from error

    def __len__(self) -> int:
        return len(self._local)

    def select(self, rows: slice) -> "ViewPool":
        """The pool of some of the images."""
        return ViewPool(self.files[rows])

    def counts(self, row: int) -> tuple[int, int]:
        """K and G of an image."""
        return len(self._local[row]), len(self._global[row])

    def local(self, row: int) -> Tensor:
        """All local views of an image, (K, ...)."""
        return self._local[row]

    def global_view(self, row: int) -> Tensor:
        """All global views of an image, (G, ...)."""
        return self._global[row]


def build_pool(
    folder: Path,
    paths: Sequence[Path],
    cut: Callable[[Path], tuple[Tensor, Tensor]],
    key: dict[str, Any],
    *,
    encode: Encode | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> ViewPool:
    """Compute the pool, or what is missing of it.

    Args:
        folder: where pools lie; made if it does not exist.
        paths: image files, M of them, at least one.
        cut: makes the views of an image: uint8 (K, 3, S, S) and (G, 3, S, S).
        key: everything that the views depend on beside the image, as JSON.
        encode: turns views (n, 3, S, S) into features (n, F), kept in half precision; None keeps the pixels.
        advance: called with the number of images each time some are done.

    Raises:
        ImageError: an image cannot be read; what was computed before is kept.
        DataError: a file of the pool is damaged.
        ValueError: a feature does not fit half precision.
    """
    folder = folder / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{_image_key(path)}.safetensors" for path in paths]
    missing = [(path, file) for path, file in zip(paths, files, strict=True) if not file.exists()]
    advance(len(paths) - len(missing))
    with ThreadPoolExecutor(_READERS) as threads:
        # A bounded stretch at a time: views of all images at once would not fit into memory.
        for start in range(0, len(missing), 4 * _READERS):
            stretch = missing[start : start + 4 * _READERS]
            for (_, file), views in zip(stretch, threads.map(cut, [path for path, _ in stretch]), strict=True):
                local, global_view = views if encode is None else (_encode(encode, part) for part in views)
                with replacing(file) as part:
                    save_file({"local": local.contiguous(), "global": global_view.contiguous()}, part)
                advance(1)
    return ViewPool(files)


def _image_key(path: Path) -> str:
    """Stands for one version of one file."""
    status = path.stat()
    return hashlib.sha256(json.dumps([str(path), status.st_size, status.st_mtime_ns]).encode()).hexdigest()[:32]


def _encode(encode: Encode, views: Tensor) -> Tensor:
    half = encode(views).half()
    if not torch.isfinite(half).all():
        raise ValueError("a feature of the frozen trunk does not fit half precision")
    return half.cpu()
