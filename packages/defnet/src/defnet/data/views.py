"""From an image file to its views: sub-images and the whole image, as pixels."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from clip_iqa_backbone import CropPlan, ImageError, Views, make_views, open_image
from defnet.data.seeding import pool_generator


def views_of_file(path: Path, plan: CropPlan, generator: np.random.Generator | None = None) -> Views:
    """Open an image file and cut its views.

    Raises:
        ImageError: the file cannot be used; the error names it.
    """
    try:
        return make_views(open_image(path), plan, generator=generator)
    except ImageError as error:
        raise ImageError(path, error.reason) from error


def cut_pool_views(path: Path, count: int, size: int, flip: bool, seed: int) -> tuple[Tensor, Tensor]:
    """Random crops of one image for a training pool, every second one mirrored, and its global view with its mirror.

    Which crops depends on the seed and the file's name alone.

    Returns:
        uint8 tensors (count, 3, size, size) and (2 if flip else 1, 3, size, size).
    """
    plan = CropPlan(kind="random", count=count, size=size)
    views = views_of_file(path, plan, pool_generator(seed, path.name))
    local, global_view = views.local.clone(), views.global_view[None]
    if flip:
        local[1::2] = local[1::2].flip(-1)
        global_view = torch.cat([global_view, global_view.flip(-1)])
    return local, global_view


def cut_plan_views(path: Path, plan: CropPlan) -> tuple[Tensor, Tensor]:
    """The views used for scoring: uint8 tensors (N, 3, S, S) and (1, 3, S, S)."""
    views = views_of_file(path, plan)
    return views.local, views.global_view[None]
