"""What the model sees of an image, as arrays: crops at native resolution and the whole frame, made small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from clip_iqa_backbone.images.crops import CropPlan
from clip_iqa_backbone.images.open import ImageError, OpenedImage

MAX_UPSCALED_ASPECT = 64
"""Largest long side over short side of an image that must be scaled up; 224 x 14336 pixels at most for 224² crops."""


@dataclass(frozen=True)
class ViewArrays:
    """The views of one image as arrays, which need no torch; :class:`Views` are the same as tensors.

    Args:
        local: Crops, uint8 (N, 3, S, S).
        global_view: The whole frame squashed to a square, uint8 (3, S, S).
        width: Width of the image in pixels, before any scaling.
        height: Height of the image in pixels, before any scaling.
        boxes: Where each crop lies in the upright image, float64 (N, 4): left, top, right and bottom in its pixels,
            before any scaling. What is drawn over the image, or cut out of it again, goes by these.
        frame: Width and height of what the crops were cut from: the image, or its enlarged copy.
        scale: How many times as long as the image that frame is, by their widths; 1 where it is the image.
        upscaled: Whether the crops come from an enlarged copy because a side was shorter than a crop.
        warnings: What was said when the image was opened, as clauses without a full stop.
    """

    local: npt.NDArray[np.uint8]
    global_view: npt.NDArray[np.uint8]
    width: int
    height: int
    boxes: npt.NDArray[np.float64]
    frame: tuple[int, int]
    scale: float
    upscaled: bool
    warnings: tuple[str, ...] = ()


def cut_views(
    image: Image.Image | OpenedImage, plan: CropPlan, *, generator: np.random.Generator | None = None
) -> ViewArrays:
    """Cut the crops of a plan and make the global view.

    Crops are cut one by one: beyond the image itself, only what is returned is held in memory. An image with a side
    shorter than a crop is first enlarged (antialiased bicubic, aspect ratio kept) until its short side is one crop
    long; ``upscaled`` says so. The global view is the whole original image squashed to a square with antialiased
    bicubic interpolation.

    Args:
        image: An RGB image, as :func:`~iqa_datasets.open_image` returns it, or what
            :func:`~iqa_datasets.open_image_with_warnings` does: then errors name the file, width and height are
            the file's, and the warnings go into the views.
        plan: Which crops to cut.
        generator: Source of chance for ``CropPlan(kind="random")``.

    Returns:
        The views.

    Raises:
        iqa_datasets.ImageError: The image would have to be enlarged and is longer than ``MAX_UPSCALED_ASPECT`` times
            its short side.
        ValueError: The image is not RGB.

    Example:
        >>> views = cut_views(Image.new("RGB", (640, 480)), CropPlan(count=4))
        >>> views.local.shape, views.upscaled
        ((4, 3, 224, 224), False)
        >>> views.boxes[-1].tolist()
        [416.0, 256.0, 640.0, 480.0]
    """
    path, original = "<image>", None
    said: tuple[str, ...] = ()
    if not isinstance(image, Image.Image):
        path, said, original, image = image.path, tuple(image.warnings), image.size, image.image
    if image.mode != "RGB":
        raise ValueError(f"image must be RGB, got mode {image.mode}; open it with open_image.")
    width, height = original or image.size
    size = plan.size
    frame = image
    upscaled = min(image.size) < size
    if upscaled:
        frame = _enlarge(image, size, path)
    local = np.empty((plan.count, size, size, 3), dtype=np.uint8)
    corners = plan.boxes(frame.width, frame.height, generator)
    for index, (x, y) in enumerate(corners.tolist()):
        local[index] = np.asarray(frame.crop((x, y, x + size, y + size)))
    # reducing_gap stays off: it would average blocks first and change the result.
    squashed = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=None))
    return ViewArrays(
        local=np.ascontiguousarray(local.transpose(0, 3, 1, 2)),
        global_view=np.ascontiguousarray(squashed.transpose(2, 0, 1)),
        width=width,
        height=height,
        # Rounding gives each axis of an enlarged copy a scale of its own.
        boxes=np.hstack([corners, corners + size]) * np.tile([width / frame.width, height / frame.height], 2),
        frame=frame.size,
        scale=frame.width / width,
        upscaled=upscaled,
        warnings=said,
    )


def _enlarge(image: Image.Image, size: int, path: str) -> Image.Image:
    short, long = sorted(image.size)
    if long > MAX_UPSCALED_ASPECT * short:
        raise ImageError(
            path,
            f"is {image.width}x{image.height}: too narrow to enlarge its short side to {size} pixels "
            f"(the long side may be at most {MAX_UPSCALED_ASPECT} times the short one)",
        )
    scale = size / short
    width, height = (max(size, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=None)
