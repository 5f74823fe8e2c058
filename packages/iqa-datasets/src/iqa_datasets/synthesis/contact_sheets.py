"""A picture of each type of distortion at all its levels, for the eye to judge."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from iqa_datasets.atomic_files import replacing
from iqa_datasets.images import open_image
from iqa_datasets.synthesis.catalogue import LEVELS, Distortion

_TILE = (512, 384)  # KADID-10k's size, in which its settings are meant
_SHOWN = (384, 288)
_GAP, _HEAD = 6, 30


def contact_sheet(distortion: Distortion, photographs: Sequence[Path], *, seed: int = 0) -> Image.Image:
    """Return one row a photograph: the original, then levels 1 to 5, with setting and severity above.

    Photographs are scaled and cut to 512 × 384 and shown at three quarters of that.

    Args:
        distortion: a type of `DISTORTION_TYPES`.
        photographs: files, a row each.
        seed: for the random part.
    """
    columns = len(LEVELS) + 1
    width = columns * (_SHOWN[0] + _GAP) + _GAP
    sheet = Image.new("RGB", (width, _HEAD + len(photographs) * (_SHOWN[1] + _GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    titles = [f"{distortion.code} {distortion.title}: original"]
    titles += [
        f"level {level}: {distortion.settings[level - 1]:g}, severity {distortion.severity[level - 1]}"
        for level in LEVELS
    ]
    for column, title in enumerate(titles):
        pen.text((_GAP + column * (_SHOWN[0] + _GAP), 7), title, fill="black", font=font)
    for row, path in enumerate(photographs):
        original = ImageOps.fit(open_image(path, at_least=max(_TILE)), _TILE, Image.Resampling.LANCZOS)
        pixels = np.asarray(original)
        tiles = [original]
        for level in LEVELS:
            key = hashlib.blake2b(f"{seed}\n{path.name}\n{distortion.code}\n{level}".encode(), digest_size=8).digest()
            rng = np.random.default_rng(int.from_bytes(key, "big"))
            tiles.append(Image.fromarray(distortion.apply(pixels, level, rng)))
        top = _HEAD + row * (_SHOWN[1] + _GAP)
        for column, tile in enumerate(tiles):
            sheet.paste(tile.resize(_SHOWN, Image.Resampling.LANCZOS), (_GAP + column * (_SHOWN[0] + _GAP), top))
    return sheet


def write_contact_sheets(
    distortions: Sequence[Distortion], photographs: Sequence[Path], folder: Path, *, seed: int = 0
) -> Iterator[Path]:
    """Write a sheet a type, ``CODE-NAME.jpg``, yielding each path when it is written."""
    folder.mkdir(parents=True, exist_ok=True)
    for distortion in distortions:
        path = folder / f"{distortion.code}-{distortion.name}.jpg"
        with replacing(path) as part:
            contact_sheet(distortion, photographs, seed=seed).save(part, quality=88)
        yield path
