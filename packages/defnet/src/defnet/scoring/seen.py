"""From an image in whatever form to what the network sees of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import clip_iqa_backbone
from clip_iqa_backbone import CropPlan, make_views, open_image
from defnet.scoring.scores import Failure

ImageSource = str | PathLike[str] | bytes | BinaryIO | Image.Image | NDArray[Any] | Tensor
"""A path, the bytes of a file or a binary stream of them, a PIL image, an array or a tensor (3, H, W)."""

Frames = Literal["first", "all"]
"""Which frames of a file of several are scored."""


@dataclass(frozen=True)
class FileState:
    """By what a file is known to be the one that was scored.

    Attributes:
        size: its size in bytes.
        modified: when it was last written, in UTC to the nanosecond, as ISO 8601 writes it.
    """

    size: int
    modified: str


@dataclass(frozen=True)
class Seen:
    """An image's views, ready for the network.

    Attributes:
        path: the file's path; empty where there is none.
        local: sub-images, uint8 (N, 3, S, S).
        global_view: the whole image squashed, uint8 (3, S, S).
        warnings: what a reader of the score should know.
        frame: which frame of the file this is, counted from 1.
        frames: how many frames it has.
        file: what the file was when it was read; None where there is none.
    """

    path: str
    local: Tensor
    global_view: Tensor
    warnings: tuple[str, ...]
    frame: int = 1
    frames: int = 1
    file: FileState | None = None


Look = Callable[[], "Seen | Failure"]
"""Reads and cuts an image when it is called, in a thread of its own."""


def is_one_image(images: Any) -> bool:
    """Whether this is an image and not several; a tensor of four dimensions is several."""
    if isinstance(images, Tensor):
        return images.ndim != 4
    kinds = (str, PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray)
    return isinstance(images, kinds) or hasattr(images, "read")


def file_state(path: str | PathLike[str]) -> FileState | None:
    """What a file is now, or None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    whole = datetime.fromtimestamp(found.st_mtime_ns // 10**9, UTC)
    return FileState(found.st_size, f"{whole:%Y-%m-%dT%H:%M:%S}.{found.st_mtime_ns % 10**9:09d}Z")


def look(image: ImageSource, plan: CropPlan, frame: int = 0) -> Seen | Failure:
    """Read an image and cut its views.

    Args:
        image: the image.
        plan: which crops to cut.
        frame: which frame of a file of several, counted from 0.

    Returns:
        What is seen of it, or why it cannot be used.

    Raises:
        TypeError: `image` is no image in any form.
    """
    path, file = "", None
    if isinstance(image, str | PathLike):
        path, file = fspath(image), file_state(image)  # before it is read: what changes meanwhile is seen next time
    try:
        source = tensor_as_array(image) if isinstance(image, Tensor) else image
        opened = open_image(source)
        views = make_views(opened, plan)
    except clip_iqa_backbone.ImageError as error:
        return Failure(path or error.path, error.reason)
    warnings = (f"upscaled from {views.width}x{views.height}",) if views.upscaled else ()
    return Seen(path, views.local, views.global_view, warnings, file=file)


def looks(images: Iterable[ImageSource], plan: CropPlan, frames: Frames) -> Iterator[Look]:
    """What to call for each image in turn, or for each frame of each.

    Where all frames are wanted, the first is read here, to know how many there are.
    """
    for image in images:
        source = image if frames == "first" or not hasattr(image, "read") else image.read()
        if frames == "first":
            yield partial(look, source, plan)
            continue
        first = look(source, plan)
        yield partial(_again, first)
        if isinstance(first, Seen):
            for frame in range(1, first.frames):
                yield partial(look, source, plan, frame)


def _again(seen: Seen | Failure) -> Seen | Failure:
    return seen


def tensor_as_array(pixels: Tensor) -> NDArray[Any]:
    """One image (3, H, W) as an array (H, W, 3) for `open_image`, which rounds floating point to 8 bits."""
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise clip_iqa_backbone.ImageError(
            f"<tensor of shape {tuple(pixels.shape)}>", "expected (3, H, W), or (B, 3, H, W) where it is not in a list"
        )
    pixels = pixels.detach().cpu()
    if pixels.is_floating_point():
        pixels = pixels.float()  # numpy has no bfloat16
    array: NDArray[Any] = pixels.permute(1, 2, 0).contiguous().numpy()
    return array
