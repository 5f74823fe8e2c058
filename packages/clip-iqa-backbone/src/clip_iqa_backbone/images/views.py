"""What the model sees of an image, as tensors: crops at native resolution and the whole frame, made small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from clip_iqa_backbone.images.crops import CropPlan
from clip_iqa_backbone.images.open import OpenedImage
from clip_iqa_backbone.images.view_arrays import cut_views


@dataclass(frozen=True)
class Views:
    """The views of one image.

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

    local: Tensor
    global_view: Tensor
    width: int
    height: int
    boxes: npt.NDArray[np.float64]
    frame: tuple[int, int]
    scale: float
    upscaled: bool
    warnings: tuple[str, ...] = ()


def make_views(
    image: Image.Image | OpenedImage, plan: CropPlan, *, generator: np.random.Generator | None = None
) -> Views:
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
        The views; :func:`cut_views` gives them as arrays.

    Raises:
        iqa_datasets.ImageError: The image would have to be enlarged and is longer than ``MAX_UPSCALED_ASPECT`` times
            its short side.
        ValueError: The image is not RGB.

    Example:
        >>> views = make_views(Image.new("RGB", (640, 480)), CropPlan(count=4))
        >>> views.local.shape, views.upscaled
        (torch.Size([4, 3, 224, 224]), False)
        >>> views.boxes[-1].tolist()
        [416.0, 256.0, 640.0, 480.0]
    """
    cut = cut_views(image, plan, generator=generator)
    tensors = {"local": torch.from_numpy(cut.local), "global_view": torch.from_numpy(cut.global_view)}
    return Views(**(vars(cut) | tensors))
