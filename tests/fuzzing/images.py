"""Damaged image files: each is read as a whole RGB image, or refused with a reason; nothing else may happen."""

import io
import warnings
from functools import cache

import numpy as np
from PIL import Image

from fuzzing.damage import damaged
from fuzzing.watched import FaultError
from iqa_datasets.images import ImageError, open_image_with_warnings


@cache
def whole_files() -> tuple[tuple[str, bytes], ...]:
    """Small images in every format, mode and compression that can be written here."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 48)[:, None, None] + np.zeros((48, 64, 3))
    colour = Image.fromarray((ramp + generator.integers(0, 55, ramp.shape)).astype(np.uint8))
    deep = Image.fromarray((np.asarray(colour.convert("L")).astype(np.uint16) << 8) + 7)
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [colour.rotate(turn) for turn in (0, 90, 180)]
    modes = {
        "RGB": colour,
        "16": deep,
        **{mode: colour.convert(mode) for mode in ("L", "1", "P", "RGBA", "LA", "CMYK")},
    }
    kinds: list[tuple[str, dict[str, object]]] = [
        ("PNG", {}), ("PNG", {"save_all": True, "append_images": frames}), ("JPEG", {"exif": exif}),
        ("JPEG", {"progressive": True, "quality": 30}), ("WEBP", {}), ("WEBP", {"lossless": True}),
        ("WEBP", {"save_all": True, "append_images": frames}), ("GIF", {}),
        ("GIF", {"save_all": True, "append_images": frames}), ("BMP", {}), ("PPM", {}), ("TGA", {}), ("ICO", {}),
        ("JPEG2000", {}), ("AVIF", {}), ("MPO", {"save_all": True, "append_images": frames}),
        ("TIFF", {"save_all": True, "append_images": frames}),
    ]  # fmt: skip
    compressions = ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    kinds += [("TIFF", {"compression": compression}) for compression in compressions]
    files = []
    for mode, image in modes.items():
        for kind, options in kinds:
            stream = io.BytesIO()
            try:
                image.save(stream, kind, **options)
            except (OSError, ValueError, KeyError, TypeError):  # no such mode in this format, or no such format
                continue
            files.append((f"{kind} {mode}", stream.getvalue()))
    return tuple(files)


def content_of(case: int) -> tuple[str, bytes]:
    """What a case's file was, and its bytes now."""
    files = whole_files()
    number, content = damaged([content for _, content in files], np.random.default_rng([1, case]))
    return files[number][0], content


def judge(case: int) -> str:
    """Open a case's file."""
    _, content = content_of(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what a decoder has to say belongs to the image's own warnings
        try:
            opened = open_image_with_warnings(content)
        except ImageError as error:
            if not error.reason.strip() or "\n" in error.reason:
                raise FaultError(f"is refused with the reason {error.reason!r}") from error
            return "refused"
    image = opened.image
    if image.mode != "RGB" or image.size != opened.size:
        raise FaultError(f"is read as {image.mode} of {image.size}, said to be {opened.size}")
    np.asarray(image)
    return "read with a warning" if opened.warnings else "read"
