"""Images resized to a short side before they are looked at."""

from PIL import Image

from clip_iqa_backbone import MAX_UPSCALED_ASPECT, ImageError


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
