"""From an image that Pillow has open to 8-bit sRGB, upright: the frame asked for, within a budget of memory."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from iqa_datasets.colour_profiles import ProfileError, to_srgb
from iqa_datasets.decoder_messages import libtiff_lines, python_warnings, summary
from iqa_datasets.errors import ImageError
from iqa_datasets.image_frames import chosen_frame, current_frame
from iqa_datasets.image_sources import DAMAGE, check_size, first_line, refuse_truncated
from iqa_datasets.pixel_formats import (
    Range,
    SampleError,
    flattened,
    needed_bytes,
    scale_floats,
    scale_integers,
)

_TRANSPOSITIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SIDEWAYS: Final = (5, 6, 7, 8)

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF
_WHITE_IS_ZERO: Final = 0


@dataclass
class Decoded:
    """What `Reader` gives: see `iqa_datasets.images.OpenedImage`."""

    image: Image.Image
    name: str
    size: tuple[int, int]
    frame: int = 0
    frames: int = 1
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How images are to be read; the attributes are the arguments of `iqa_datasets.images.open_image`."""

    max_pixels: int
    max_memory: int
    background: tuple[int, int, int]
    data_range: Range | None
    frame: int
    at_least: int | None

    def image(self, image: Image.Image, name: str, messages: list[str] | None = None) -> Decoded:
        """Decode an image that Pillow has open.

        Args:
            image: The image.
            name: What messages call it.
            messages: What Pillow warned of when it opened the file; None where the image is the caller's own, which
                is left as it is: at its frame, with its size and colours.
        """
        said = list(messages or ())
        with python_warnings() as caught:
            try:
                found = self._decoded(image, name, caught, owned=messages is None)
            except SampleError as error:
                raise ImageError(name, str(error)) from None
        decoder = summary(said + caught)
        found.warnings += [f"the decoder says: {line}" for line in decoder]
        return found

    def _decoded(self, image: Image.Image, name: str, caught: list[str], *, owned: bool) -> Decoded:
        check_size(image.width, image.height, name, self.max_pixels)
        frames = current_frame(image) if owned and self.frame == 0 else chosen_frame(image, self.frame, name)
        check_size(image.width, image.height, name, self.max_pixels)
        stated = image.size
        if self.at_least is not None and image.format in ("JPEG", "MPO") and not owned:
            # draft() takes the next finer of 1/1, 1/2, 1/4, 1/8 that is no smaller than asked for on either side.
            scale = self.at_least / min(stated)
            if scale < 1:
                image.draft("RGB", (max(1, round(stated[0] * scale)), max(1, round(stated[1] * scale))))
        # A PNG file's tag may stand behind its pixels: asking for it here would decode them.
        turned = (image.format != "PNG" or "exif" in image.info) and _orientation(image) in _TRANSPOSITIONS
        need = needed_bytes(image, turned=turned)
        if need > self.max_memory:
            raise ImageError(
                name,
                f"has {stated[0]}x{stated[1]} pixels of mode {image.mode}, which take {need / 2**20:,.1f} MiB to "
                f"decode, more than the {self.max_memory / 2**20:,.1f} MiB allowed (max_memory)",
            )
        bits, inverted = _depth(image)
        self._load(image, name, caught)
        # After load(), because TIFF turns itself upright there and drops its tag.
        orientation = _orientation(image)
        notes = list(frames.warnings)
        result = self._rgb(image, bits, inverted, notes)
        result = self._srgb(result, name, notes, keep=image if owned else None)
        result = self._flat(result, name)
        if frames.count > 1 and _is_one_colour(result):
            notes.append(f"frame {frames.frame + 1} of {frames.count} is of one colour")
        if orientation in _TRANSPOSITIONS:
            result = result.transpose(_TRANSPOSITIONS[orientation])
        if not (owned and result is image):
            result.info = {}  # what it says is done: who reads the image again must not turn it twice
        turned_by_pillow = image.format == "TIFF" and not owned
        size = image.size if turned_by_pillow else stated[::-1] if orientation in _SIDEWAYS else stated
        return Decoded(result, name, size, frames.frame, frames.count, notes)

    def _load(self, image: Image.Image, name: str, caught: list[str]) -> None:
        by_libtiff = any(tile[0] == "libtiff" for tile in getattr(image, "tile", ()))
        lines: list[str] = []
        try:
            with refuse_truncated:
                if by_libtiff:
                    with libtiff_lines() as lines:
                        image.load()
                else:
                    image.load()
        except (*DAMAGE, Image.DecompressionBombError) as error:
            said = "; ".join([first_line(error), *summary(lines, 1)])
            raise ImageError(name, f"is damaged or truncated ({said})") from error
        caught += lines

    def _rgb(self, image: Image.Image, bits: int | None, inverted: bool, notes: list[str]) -> Image.Image:
        """Return an image of mode L, RGB, RGBA, CMYK or another that Pillow converts, of 8 bits."""
        if image.mode == "I" or image.mode.startswith("I;16"):
            # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
            samples, warning = scale_integers(np.asarray(image), self.data_range, bits, inverted=inverted)
            notes += [warning] if warning else []
        elif image.mode == "F":
            samples = scale_floats(np.asarray(image), self.data_range, inverted=inverted)
        else:
            return image
        scaled = Image.fromarray(samples)
        scaled.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
        return scaled

    def _srgb(self, image: Image.Image, name: str, notes: list[str], keep: Image.Image | None) -> Image.Image:
        """Convert to sRGB by the embedded profile, in place unless the image is one to keep."""
        profile = image.info.get("icc_profile")
        if not isinstance(profile, bytes) or not profile:
            return image
        try:
            if image.mode not in ("L", "RGB", "RGBA", "CMYK"):
                transparent = image.has_transparency_data
                image = self._converted(image, "RGBA" if transparent else "RGB", name)
            elif image.mode == "RGB" and "transparency" in image.info:
                image = self._converted(image, "RGBA", name)
            return to_srgb(image, profile, in_place=image is not keep)
        except ProfileError as error:
            notes.append(f"the embedded colour profile cannot be used ({first_line(error)}); taken as sRGB")
            return image

    def _flat(self, image: Image.Image, name: str) -> Image.Image:
        try:
            if image.has_transparency_data:
                return flattened(image, self.background)
        except DAMAGE as error:
            raise ImageError(name, f"has the pixel format {image.mode}, which cannot be turned into RGB") from error
        return self._converted(image, "RGB", name)

    def _converted(self, image: Image.Image, mode: str, name: str) -> Image.Image:
        try:
            return image if image.mode == mode else image.convert(mode)
        except DAMAGE as error:
            raise ImageError(name, f"has the pixel format {image.mode}, which cannot be turned into RGB") from error

    def array(self, array: npt.NDArray[Any]) -> Decoded:
        """Make an image of an array (H, W) or (H, W, C)."""
        name = f"<array of shape {'x'.join(map(str, array.shape))}>"
        if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
            raise ImageError(name, "is not (H, W) or (H, W, C) with 1, 3 or 4 channels")
        check_size(array.shape[1], array.shape[0], name, self.max_pixels)
        if self.frame != 0:
            raise ImageError(name, f"has no frame {self.frame}: it is one image")
        if array.ndim == 3 and array.shape[2] == 1:
            array = array[:, :, 0]
        warning = ""
        try:
            if array.dtype == np.bool_:
                samples = array.astype(np.uint8) * np.uint8(255)
            elif array.dtype == np.uint8 and self.data_range is None:
                samples = array
            elif array.dtype == np.uint16 or (np.issubdtype(array.dtype, np.integer) and self.data_range is not None):
                samples, warning = scale_integers(array, self.data_range)
            elif np.issubdtype(array.dtype, np.floating):
                samples = scale_floats(array, self.data_range)
            else:
                raise SampleError(
                    f"has samples of type {array.dtype}; use uint8, uint16, bool or floating point in [0, 1], "
                    "or give data_range=(lowest, highest)"
                )
        except SampleError as error:
            raise ImageError(name, str(error)) from None
        image = self._flat(Image.fromarray(np.ascontiguousarray(samples)), name)
        return Decoded(image, name, image.size, warnings=[warning] if warning else [])


def _orientation(image: Image.Image) -> int:
    if image.format in ("HEIF", "JXL", "JPEGXL") and not getattr(image, "jpeg", False):
        return 1  # these formats say it in their own header, by which the decoder has turned the image; EXIF is a copy
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except DAMAGE:
        return 1  # a broken block of metadata does not make the picture unreadable
    return orientation if isinstance(orientation, int) else 1


def _depth(image: Image.Image) -> tuple[int | None, bool]:
    """Return the bits of a sample, as far as the file says them, and whether its lowest value is white."""
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None, False
    bits = tags.get(_BITS_PER_SAMPLE, (None,))
    first = bits[0] if isinstance(bits, tuple) else bits
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    # Pillow turns shallow samples round itself.
    return first if first is not None and first <= 16 else None, deep and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _is_one_colour(image: Image.Image) -> bool:
    return all(high - low <= 2 for low, high in image.getextrema())  # type: ignore[misc]
