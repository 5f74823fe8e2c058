"""From an image in whatever form to what the network sees of it."""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeGuard, Union, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import clip_iqa_backbone
from clip_iqa_backbone import CropPlan, ViewArrays, cut_views
from defnet.data.short_side import with_short_side
from defnet.scoring.pictures import Picture, thumbnail
from defnet.scoring.scores import Failure
from iqa_datasets.image_archives import ArchivedImage
from iqa_datasets.images import ImageError, OpenedImage, open_image_with_warnings

if TYPE_CHECKING:
    from torch import Tensor

# Not by strokes, as the name of what is not imported is text.
ImageSource = Union[str, PathLike[str], bytes, BinaryIO, Image.Image, NDArray[Any], ArchivedImage, "Tensor"]
"""A path, the bytes of a file or a binary stream of them, a PIL image, an array, an image in an archive
(`iqa_datasets.image_archives`), or a tensor (3, H, W)."""

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
        picture: what a page shows of it; None where that was not asked for.
    """

    path: str
    local: NDArray[np.uint8]
    global_view: NDArray[np.uint8]
    warnings: tuple[str, ...]
    frame: int = 1
    frames: int = 1
    file: FileState | None = None
    picture: Picture | None = None


Look = Callable[[], "Seen | Failure"]
"""Reads and cuts an image when it is called, in a thread of its own."""


def is_one_image(images: Any) -> bool:
    """Whether this is an image and not several; a tensor of four dimensions is several."""
    if is_tensor(images):
        return images.ndim != 4
    kinds = (str, PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, ArchivedImage)
    return isinstance(images, kinds) or hasattr(images, "read")


def is_tensor(image: Any) -> "TypeGuard[Tensor]":
    """Whether this is a tensor of torch's; where nobody has imported torch there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def file_state(path: str | PathLike[str]) -> FileState | None:
    """What a file is now, or None where there is none."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    whole = datetime.fromtimestamp(found.st_mtime_ns // 10**9, UTC)
    return FileState(found.st_size, f"{whole:%Y-%m-%dT%H:%M:%S}.{found.st_mtime_ns % 10**9:09d}Z")


def look(
    image: ImageSource,
    plan: CropPlan,
    short_side: int | None = None,
    frame: int = 0,
    path: str | None = None,
    thumbnail_bytes: int | None = None,
) -> Seen | Failure:
    """Read an image and cut its views.

    Args:
        image: the image.
        plan: which crops to cut.
        short_side: resize the image to this short side first, or None for its own resolution.
        frame: which frame of a file of several, counted from 0.
        path: what to call it, where that does not follow from the image.
        thumbnail_bytes: keep a picture for a page, its thumbnail of so many bytes at most (0: none); None: no picture.

    Returns:
        What is seen of it, or why it cannot be used.

    Raises:
        TypeError: `image` is no image in any form.
    """
    file = None
    if isinstance(image, str | PathLike):
        path, file = fspath(image), file_state(image)  # before it is read: what changes meanwhile is seen next time
    elif isinstance(image, ArchivedImage):
        path, file = image.path, FileState(image.size, image.modified)
    try:
        if isinstance(image, ArchivedImage):
            image = image.read()
        source = tensor_as_array(image) if is_tensor(image) else cast("clip_iqa_backbone.ImageSource", image)
        opened = open_image_with_warnings(source, frame=frame)
        views = cut_views(with_short_side(opened.image, short_side), plan)
    except (ImageError, clip_iqa_backbone.ImageError) as error:
        return Failure(path or error.path, error.reason)
    upscaled = (f"upscaled from {views.width}x{views.height}",) if views.upscaled else ()
    return Seen(
        path=path or "",
        local=views.local,
        global_view=views.global_view,
        warnings=opened.warnings + upscaled,
        frame=opened.frame + 1,
        frames=opened.frames,
        file=file,
        picture=None if thumbnail_bytes is None else _picture(opened, views, thumbnail_bytes),
    )


def _picture(opened: OpenedImage, views: ViewArrays, limit: int) -> Picture:
    """The boxes are in pixels of the file, whatever it was resized to before it was cut."""
    across, down = opened.size[0] / views.width, opened.size[1] / views.height
    boxes = tuple((x0 * across, y0 * down, x1 * across, y1 * down) for x0, y0, x1, y1 in views.boxes.tolist())
    return Picture(thumbnail(opened.image, limit), opened.size, boxes)


def looks(
    images: Iterable[ImageSource],
    plan: CropPlan,
    short_side: int | None = None,
    frames: Frames = "first",
    thumbnail_bytes: int | None = None,
) -> Iterator[Look]:
    """What to call for each image in turn, or for each frame of each; `look` has the arguments.

    Where all frames are wanted, the first is read here, to know how many there are.
    """
    for image in images:
        if frames == "first":
            yield partial(look, image, plan, short_side, thumbnail_bytes=thumbnail_bytes)
            continue
        # What can be read only once is kept for its other frames.
        source: ImageSource = image
        if image == "-":
            source = sys.stdin.buffer.read()
        elif not isinstance(image, str | PathLike | ArchivedImage) and hasattr(image, "read"):
            source = image.read()
        path = "-" if image == "-" else None
        first = look(source, plan, short_side, path=path, thumbnail_bytes=thumbnail_bytes)
        yield partial(_again, first)
        if isinstance(first, Seen):
            for frame in range(1, first.frames):
                yield partial(look, source, plan, short_side, frame, path, thumbnail_bytes)


def _again(seen: Seen | Failure) -> Seen | Failure:
    return seen


def tensor_as_array(pixels: "Tensor") -> NDArray[Any]:
    """One image (3, H, W) as an array (H, W, 3) for `open_image`, which rounds floating point to 8 bits."""
    if pixels.ndim != 3 or pixels.shape[0] != 3:
        raise ImageError(
            f"<tensor of shape {tuple(pixels.shape)}>", "expected (3, H, W), or (B, 3, H, W) where it is not in a list"
        )
    pixels = pixels.detach().cpu()
    if pixels.is_floating_point():
        pixels = pixels.float()  # numpy has no bfloat16
    array: NDArray[Any] = pixels.permute(1, 2, 0).contiguous().numpy()
    return array
