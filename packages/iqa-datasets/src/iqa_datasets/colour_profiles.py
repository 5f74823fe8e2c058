"""From the colours that an embedded profile means to sRGB, which the models and metrics expect."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_STRIP: Final = 4_000_000  # pixels that are converted at a time
_ALIKE: Final = 2  # steps of 255 by which a profile may differ from sRGB and still be taken for it


class ProfileError(ValueError):
    """An embedded profile that cannot be used: it is damaged, or not for pixels of this kind."""


def to_srgb(image: Image.Image, profile: bytes, *, in_place: bool = False) -> Image.Image:
    """Convert an image from the colours of its profile to sRGB.

    Relative colorimetric, with black point compensation, in 8 bits, by LittleCMS; what lies outside sRGB is clipped. A
    profile that says what sRGB says, to two steps of 255 in 729 colours, costs nothing: the pixels stay.

    Args:
        image: of mode L, RGB, RGBA or CMYK.
        profile: the bytes of the ICC profile.
        in_place: an RGB or RGBA image may be changed itself.

    Returns:
        The image, of mode RGB or RGBA; of mode L where a grey profile says what sRGB says.

    Raises:
        ProfileError: the profile is damaged, or for pixels of another kind.
    """
    space = profile[16:20]
    if space == b"GRAY" and image.mode in ("RGB", "RGBA"):
        raise ProfileError("it is for greyscale, the pixels are colours")
    if space == b"RGB " and image.mode == "L":
        # A grey photograph that kept the profile of its colours: the same tone curve, on three equal channels.
        return _apply(image.convert("RGB"), profile, in_place=True)
    return _apply(image, profile, in_place=in_place)


def _apply(image: Image.Image, profile: bytes, *, in_place: bool) -> Image.Image:
    mode = "RGB" if image.mode == "RGBA" else image.mode
    transform = _transform(profile, mode)
    if transform is None:
        return image
    rows = max(1, _STRIP // max(1, image.width))
    # Strips: the whole would be held three times, and a result of another mode once more.
    result = image if image.mode in ("RGB", "RGBA") else Image.new("RGB", image.size)
    if result is image and not in_place:
        result = image.copy()
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        strip = image.crop(box)
        colours = transform.apply(strip.convert("RGB") if image.mode == "RGBA" else strip)
        if image.mode == "RGBA":
            colours.putalpha(strip.getchannel("A"))
        result.paste(colours, box)
    return result


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the conversion to sRGB from pixels of this mode, None where it would change nothing.

    Cached, since a folder's photographs mostly have one profile. LittleCMS's transforms may be used by several threads.
    """
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(
            source,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        raise ProfileError(str(error) or "it is damaged") from error
    if mode == "CMYK":
        return transform
    probe = _probe(mode)
    difference = np.asarray(transform.apply(probe)).astype(int) - np.asarray(probe.convert("RGB"))
    return None if np.abs(difference).max() <= _ALIKE else transform


def _probe(mode: str) -> Image.Image:
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3))
