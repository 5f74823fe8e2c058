"""Which photographs are good enough to be references, and the pieces that are cut from them."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from defnet.errors import DataError
from iqa_datasets import DatasetError, find_images, open_image
from iqa_datasets.atomic_files import replacing
from iqa_datasets.fingerprints import hash_files, near_duplicates
from iqa_datasets.workers import ordered_map

LOWEST_JPEG_QUALITY: Final = 75
"""A JPEG file below this quality, of the scale of the IJG's encoder, shows its blocks and is no reference."""

FEWEST_BITS: Final = 0.4
"""Bits a pixel below which a file of another lossy format is taken for compressed to ruin."""

LARGEST_SCALE: Final = 4.0
"""Pieces show at most this many times the detail of the whole photograph brought to their size."""

_LOSSY: Final = frozenset({".webp", ".avif", ".heic", ".heif", ".jxl"})

_LUMINANCE_SUM: Final = 3688
"""Of the 64 entries of table K.1 of ITU-T T.81, which the IJG's encoder scales by its quality."""


class Refused(NamedTuple):
    """A photograph that is not used.

    Attributes:
        path: the file.
        reason: why not.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Photographs:
    """The photographs of a folder.

    Attributes:
        folder: where they lie.
        chosen: those that are used, as paths from the folder with forward slashes, in order.
        refused: those that are not, and why.
    """

    folder: Path
    chosen: tuple[str, ...]
    refused: tuple[Refused, ...]


def choose_photographs(
    folder: str | PathLike[str], size: tuple[int, int], *, workers: int | None = None
) -> Photographs:
    """Find the photographs below a folder that can be references.

    Refused are files that cannot be read; photographs that are smaller than the pieces to be cut; JPEG files of a
    quality below 75, and other lossy ones of fewer than 0.4 bits a pixel; and all but the first, by name, of those that
    show the same picture (`iqa_datasets.fingerprints`).

    Args:
        folder: where they lie; folders in it are searched.
        size: width and height of the pieces.
        workers: threads; all cores if None.

    Raises:
        DataError: there is no such folder, or nothing in it is good enough.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of photographs")
    found = find_images([str(folder)]).paths
    reasons = dict(zip(found, ordered_map(_Unfit(size), found, workers, threads=True), strict=True))
    good = sorted(path for path in found if not reasons[path])
    hashes = hash_files([str(Path(path).absolute()) for path in good], workers=workers)
    for pair in sorted(near_duplicates(hashes), key=lambda pair: (pair.second, pair.first)):
        first, second = good[pair.first], good[pair.second]
        if not reasons[first] and not reasons[second]:
            reasons[second] = f"shows the same picture as {Path(first).relative_to(folder)}"
    chosen = tuple(Path(path).relative_to(folder).as_posix() for path in good if not reasons[path])
    refused = tuple(Refused(path, reason) for path, reason in sorted(reasons.items()) if reason)
    if not chosen:
        why = f"; the first of {len(refused)}: {refused[0].path} {refused[0].reason}" if refused else ""
        raise DataError(f"{folder}: holds no photograph that could be a reference{why}")
    return Photographs(folder, chosen, refused)


@dataclass(frozen=True)
class _Unfit:
    size: tuple[int, int]

    def __call__(self, path: str) -> str:
        """Why a file cannot be a reference; empty where it can."""
        try:
            image = open_image(path)
        except DatasetError as error:
            return str(getattr(error, "reason", error))
        if image.width < self.size[0] or image.height < self.size[1]:
            return f"is {image.width}x{image.height}, smaller than the {self.size[0]}x{self.size[1]} of a piece"
        quality = jpeg_quality(path)
        if quality is not None and round(quality) < LOWEST_JPEG_QUALITY:
            return f"is a JPEG file of quality {quality:.0f}, below {LOWEST_JPEG_QUALITY}: its blocks would show"
        bits = 8 * Path(path).stat().st_size / (image.width * image.height)
        if Path(path).suffix.lower() in _LOSSY and bits < FEWEST_BITS:
            return f"has {bits:.2f} bits a pixel, fewer than {FEWEST_BITS}: it is compressed to ruin"
        return ""


def jpeg_quality(path: str | PathLike[str]) -> float | None:
    """The quality, from 1 to 100, at which the IJG's encoder makes a JPEG file's luminance table; None for other files.

    Other encoders have tables of their own; the figure is then that of the table whose mean is nearest. Below about 25
    the table's largest entries are cut to 255, and the figure is too high.
    """
    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
    except (OSError, UnidentifiedImageError, ValueError):
        return None
    if not tables:
        return None
    scale = 100 * sum(tables[min(tables)]) / _LUMINANCE_SUM
    return float(np.clip(5000 / scale if scale > 100 else (200 - scale) / 2, 1, 100))


def cut_pieces(
    photographs: Photographs, out: Path, *, size: tuple[int, int], pieces: int, seed: int
) -> Iterable[tuple[str, list[Path]]]:
    """Cut pieces of each photograph at mixed scales, as PNG files; those that are there are kept.

    A piece's scale lies between the whole photograph brought to the size (and cut at its longer side) and
    `LARGEST_SCALE` times that, never above the photograph's own resolution, evenly in its logarithm; scale and place
    depend on the seed, the photograph's name and the piece's number alone. So a judge sees fine and coarse detail, as
    it does when it looks at crops of large photographs.

    Args:
        photographs: the photographs.
        out: folder to write to.
        size: width and height.
        pieces: number of each photograph.
        seed: another seed gives other places and scales.

    Yields:
        Each photograph's name and its pieces' files.

    Raises:
        DataError: two photographs would have pieces of one name, or one cannot be read any more.
    """
    stems = [Path(name).with_suffix("").as_posix() for name in photographs.chosen]
    counts = Counter(stems)
    twice = [name for name, stem in zip(photographs.chosen, stems, strict=True) if counts[stem] > 1]
    if twice:
        raise DataError(f"{photographs.folder}: {' and '.join(twice[:2])} differ in their endings alone; rename one")
    for name, stem in zip(photographs.chosen, stems, strict=True):
        files = [out / f"{stem}-{number + 1}.png" for number in range(pieces)]
        if not all(file.is_file() for file in files):
            try:
                image = open_image(photographs.folder / name)
            except DatasetError as error:
                raise DataError(str(error)) from error
            for number, file in enumerate(files):
                if not file.is_file():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with replacing(file) as part:
                        _piece(image, size, seed, name, number).save(part, compress_level=1)
        yield name, files


def _piece(image: Image.Image, size: tuple[int, int], seed: int, name: str, number: int) -> Image.Image:
    key = hashlib.blake2b(f"{seed}\n{name}\n{number}".encode(), digest_size=16).digest()
    generator = np.random.default_rng(int.from_bytes(key, "big"))
    cover = max(size[0] / image.width, size[1] / image.height)
    scale = cover * math.exp(generator.uniform(0, math.log(min(LARGEST_SCALE, 1 / cover))))
    width, height = size[0] / scale, size[1] / scale
    left = generator.uniform(0, max(0.0, image.width - width))
    top = generator.uniform(0, max(0.0, image.height - height))
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    return image.resize(size, Image.Resampling.LANCZOS, box=box)
