"""From an image file to its views: sub-images and the whole image, as pixels."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from clip_iqa_backbone import CropPlan, ImageError, Views, make_views, open_image
from defnet.data.seeding import pool_generator
from defnet.data.short_side import with_short_side


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


def random_views_of_file(
    path: Path,
    count: int,
    size: int,
    generator: np.random.Generator,
    short_side: int | None = None,
    scales: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Open an image file and cut random crops of it, each at a scale of its own where scales are given.

    Args:
        path: the file.
        count: number of crops.
        size: their side in pixels.
        generator: source of chance.
        short_side: resize the image to this short side first; see `with_short_side`.
        scales: smallest and largest factor that the image is resized by before a crop is cut; see `scaled_crops`.

    Returns:
        The crops, uint8 (count, 3, size, size), and the whole image, uint8 (3, size, size).

    Raises:
        ImageError: the file cannot be used; the error names it.
    """
    if scales is None:
        views = views_of_file(path, CropPlan(kind="random", count=count, size=size), generator, short_side)
        return views.local, views.global_view
    try:
        image = with_short_side(open_image(path), short_side)
        whole = make_views(image, CropPlan(count=1, size=size))  # refuses what is too narrow, too
        return scaled_crops(image, count, size, scales, generator), whole.global_view
    except ImageError as error:
        raise ImageError(path, error.reason) from error


def scaled_crops(
    image: Image.Image, count: int, size: int, scales: tuple[float, float], generator: np.random.Generator
) -> Tensor:
    """Random crops, each of the image resized by a factor that is drawn for it alone (antialiased bicubic).

    Factors are log-uniform between the two scales, but never smaller than the one at which the image's short side is a
    crop long; where that is above both, it is the factor of all. Positions are uniform over the resized image.

    Args:
        image: an RGB image.
        count: number of crops.
        size: their side in pixels.
        scales: smallest and largest factor.
        generator: source of chance: the factors are drawn first, then each crop's position.

    Returns:
        uint8 (count, 3, size, size).
    """
    fits = size / min(image.size)
    low, high = (np.log(max(scale, fits)) for scale in scales)
    crops = np.empty((count, size, size, 3), dtype=np.uint8)
    for index, factor in enumerate(np.exp(generator.uniform(low, high, count))):
        width, height = (max(size, round(side * factor)) for side in image.size)
        x, y = generator.integers(0, [width - size, height - size], endpoint=True)
        across, down = image.width / width, image.height / height
        # Only the crop's own pixels are computed, from as much of the image around them as the filter reaches.
        box = (x * across, y * down, min((x + size) * across, image.width), min((y + size) * down, image.height))
        crops[index] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=None))
    return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))


def cut_pool_views(
    path: Path,
    count: int,
    size: int,
    flip: bool,
    seed: int,
    short_side: int | None = None,
    scales: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Random crops of one image for a training pool, every second one mirrored, and its global view with its mirror.

    Which crops depends on the seed and the file's name alone.

    Returns:
        uint8 tensors (count, 3, size, size) and (2 if flip else 1, 3, size, size).
    """
    local, whole = random_views_of_file(path, count, size, pool_generator(seed, path.name), short_side, scales)
    local, global_view = local.clone(), whole[None]
    if flip:
        local[1::2] = local[1::2].flip(-1)
        global_view = torch.cat([global_view, global_view.flip(-1)])
    return local, global_view


def cut_plan_views(path: Path, plan: CropPlan, short_side: int | None = None) -> tuple[Tensor, Tensor]:
    """The views used for scoring: uint8 tensors (N, 3, S, S) and (1, 3, S, S)."""
    views = views_of_file(path, plan, short_side=short_side)
    return views.local, views.global_view[None]
