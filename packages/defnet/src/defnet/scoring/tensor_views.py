"""The views of images that are tensors: cut and made small in torch, where they lie, with gradients.

What `clip_iqa_backbone.make_views` does to pictures of 8 bits with Pillow, this does to tensors: the same crops of the
same plan, and antialiased bicubic interpolation with the same kernel, along the rows and then along the columns, each
cut to the range of the samples. Pillow rounds to 8 bits after either step, and a model that has learnt from such views
sees the rounding in smooth images. Here rounding is a choice: with it the views are those of the file but for a tie in
a hundred thousand samples, without it they are a continuous function of the pixels.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from clip_iqa_backbone import MAX_UPSCALED_ASPECT, CropPlan
from defnet.scoring.image_error import ImageError

ROUNDING = 1e-3
"""How far outside [0, 1] samples may lie: a quarter of an 8-bit level, and the rounding of half precision."""


def unit_pixels(pixels: Tensor) -> Tensor:
    """Check a batch of images and give its samples as floating point in [0, 1].

    Args:
        pixels: (B, 3, H, W) or (3, H, W); uint8, or floating point in [0, 1] and at most `ROUNDING` beyond.

    Returns:
        (B, 3, H, W) on the same device, in single precision, or double where the pixels are.

    Raises:
        ImageError: the shape, the type or the range is another; the message says which and what is expected.
    """
    name = f"<tensor of shape {tuple(pixels.shape)}>"
    if pixels.ndim not in (3, 4) or pixels.shape[-3] != 3 or 0 in pixels.shape:
        raise ImageError(name, "expected (B, 3, H, W) or (3, H, W), with at least one image of at least one pixel")
    if pixels.ndim == 3:
        pixels = pixels[None]
    if pixels.dtype == torch.uint8:
        return pixels.float() / 255.0
    if not pixels.is_floating_point():
        raise ImageError(name, f"expected samples of uint8 or floating point in [0, 1], got {pixels.dtype}")
    low, high = (bound.item() for bound in torch.aminmax(pixels.detach()))
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # written so that NaN fails too
        raise ImageError(
            name, f"expected floating-point samples in [0, 1], got {low:.9g} to {high:.9g}; divide or clamp them first"
        )
    if pixels.dtype != torch.float64:
        pixels = pixels.float()
    return pixels.clamp(0.0, 1.0)


def tensor_views(
    pixels: Tensor, plan: CropPlan, *, short_side: int | None = None, rounded: bool = False
) -> tuple[Tensor, Tensor]:
    """Cut the crops of a plan and make the global view of every image of a batch.

    An image with a side shorter than a crop is first enlarged until its short side is one crop long.

    Args:
        pixels: what `unit_pixels` returned, (B, 3, H, W).
        plan: which crops to cut; the same for all images of the batch, as they have one size.
        short_side: resize the images to this short side first, or None for their own resolution.
        rounded: round to 8 bits wherever a file's views are rounded, the pixels themselves first.

    Returns:
        Crops (B, N, 3, S, S) and whole images squashed to a square (B, 3, S, S), differentiable with respect to the
        pixels; gradients pass through rounding as if it were not there.

    Raises:
        ImageError: the images would have to be enlarged and are too narrow for it.
    """
    size = plan.size
    if rounded:
        pixels = _round_to_8_bits(pixels)
    if short_side is not None:
        pixels = _with_short_side(pixels, short_side, rounded)
    frame = _with_short_side(pixels, size, rounded) if min(pixels.shape[-2:]) < size else pixels
    boxes = plan.boxes(frame.shape[-1], frame.shape[-2]).tolist()
    local = torch.stack([frame[..., y : y + size, x : x + size] for x, y in boxes], dim=1)
    return local, resize(pixels, size, size, rounded=rounded)


def _with_short_side(pixels: Tensor, side: int, rounded: bool) -> Tensor:
    """Scale images to a short side, their aspect ratio kept."""
    height, width = pixels.shape[-2:]
    short, long = sorted((height, width))
    if short < side and long > MAX_UPSCALED_ASPECT * short:
        raise ImageError(
            f"<tensor of shape {tuple(pixels.shape)}>",
            f"is {width}x{height}: too narrow to enlarge its short side to {side} pixels "
            f"(the long side may be at most {MAX_UPSCALED_ASPECT} times the short one)",
        )
    scale = side / short
    return resize(pixels, max(side, round(height * scale)), max(side, round(width * scale)), rounded=rounded)


def resize(pixels: Tensor, height: int, width: int, *, rounded: bool = False) -> Tensor:
    """Scale images with antialiased bicubic interpolation, as Pillow does.

    Args:
        pixels: (B, 3, H, W) in [0, 1].
        height: rows of the result.
        width: columns of the result.
        rounded: round to 8 bits along the rows and again along the columns, as Pillow does.

    Returns:
        (B, 3, height, width) in [0, 1].
    """
    # Pillow goes along the rows first and cuts what overshoots before it goes along the columns.
    for shape in ((pixels.shape[-2], width), (height, width)):
        if shape != tuple(pixels.shape[-2:]):
            pixels = F.interpolate(pixels, size=shape, mode="bicubic", antialias=True, align_corners=False)
            pixels = pixels.clamp(0.0, 1.0)
            if rounded:
                pixels = _round_to_8_bits(pixels)
    return pixels


def _round_to_8_bits(pixels: Tensor) -> Tensor:
    """Round samples in [0, 1] to 255 steps, halves up; gradients pass straight through."""
    with torch.no_grad():
        rounded = (pixels * 255.0 + 0.5).floor_().div_(255.0)
    return pixels + (rounded - pixels).detach() if pixels.requires_grad else rounded
