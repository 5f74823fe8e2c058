"""From an image file to its views: sub-images and the whole image, as pixels."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clip_iqa_backbone import CropPlan, ImageError, Views, make_views, open_image
from clip_iqa_backbone.views import MAX_UPSCALED_ASPECT
from defnet.data.seeding import pool_generator


def with_short_side(image: Image.Image, short_side: int | None) -> Image.Image:
    """Resize an image to a short side, its aspect ratio kept (antialiased bicubic, as LIQE does); None keeps it.

    Raises:
        ImageError: it is narrower than one to `MAX_UPSCALED_ASPECT` and would have to be enlarged.
    """
    if short_side is None or min(image.size) == short_side:
        return image
    short, long = sorted(image.size)
    if short < short_side and long > MAX_UPSCALED_ASPECT * short:
        raise ImageError(
            "<image>",
            f"is {image.width}x{image.height}: too narrow to enlarge its short side to {short_side} pixels "
            f"(the long side may be at most {MAX_UPSCALED_ASPECT} times the short one)",
        )
    width, height = (max(short_side, round(side * short_side / short)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=None)


def views_of_file(
    path: Path, plan: CropPlan, generator: np.random.Generator | None = None, short_side: int | None = None
) -> Views:
    """Open an image file and cut its views.

    Args:
        path: the file.
        plan: which crops.
        generator: source of chance of a random plan.
        short_side: resize the image to this short side first; see `with_short_side`.

    Raises:
        ImageError: the file cannot be used; the error names it.
    """
    try:
        return make_views(with_short_side(open_image(path), short_side), plan, generator=generator)
    except ImageError as error:
        raise ImageError(path, error.reason) from error


def cut_pool_views(
    path: Path, count: int, size: int, flip: bool, seed: int, short_side: int | None = None
) -> tuple[Tensor, Tensor]:
    """Random crops of one image for a training pool, every second one mirrored, and its global view with its mirror.

    Which crops depends on the seed and the file's name alone.

    Returns:
        uint8 tensors (count, 3, size, size) and (2 if flip else 1, 3, size, size).
    """
    plan = CropPlan(kind="random", count=count, size=size)
    views = views_of_file(path, plan, pool_generator(seed, path.name), short_side)
    local, global_view = views.local.clone(), views.global_view[None]
    if flip:
        local[1::2] = local[1::2].flip(-1)
        global_view = torch.cat([global_view, global_view.flip(-1)])
    return local, global_view


def cut_plan_views(path: Path, plan: CropPlan, short_side: int | None = None) -> tuple[Tensor, Tensor]:
    """The views used for scoring: uint8 tensors (N, 3, S, S) and (1, 3, S, S)."""
    views = views_of_file(path, plan, short_side=short_side)
    return views.local, views.global_view[None]
