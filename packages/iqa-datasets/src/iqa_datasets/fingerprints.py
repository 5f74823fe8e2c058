"""Perceptual hashes of images, and pairs of images that show the same picture."""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zipfile import BadZipFile

import numpy as np
import platformdirs
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

from iqa_datasets.atomic_files import replacing
from iqa_datasets.images import open_image_with_warnings
from iqa_datasets.workers import ordered_map

BITS: Final = 255
NEAR: Final = 64
"""Largest number of differing bits at which two images are taken for the same picture, of `BITS`.

Chance gives 127.5 ± 8. Measured on LIVE In the Wild (benchmarks/near_duplicates.py): of its 674,541 pairs the nearest
that show different scenes differ in 70 bits. 99 of 100 copies after JPEG at quality 10, halving, blur, noise, or half
the contrast differ in at most 28, after brightening by half in 51, after a crop to 96 % of each side in 54. A crop to
90 % is not found.
"""

_SIDE, _KEPT = 32, 16
_KEEP_EVERY = 5000  # new hashes between writes of the cache
_BLOCK = 4096  # rows compared at once: 4096 x 4096 float32 products are 64 MiB

Progress = Callable[[Iterable[NDArray[np.uint8]], int], Iterable[NDArray[np.uint8]]]


class NearDuplicate(NamedTuple):
    """Two images that show the same picture.

    Attributes:
        first: position in the first list.
        second: position in the second list (in the first, where there is only one).
        distance: number of differing bits, of `BITS`.
        mirrored: whether one is the mirror image of the other.
    """

    first: int
    second: int
    distance: int
    mirrored: bool


def perceptual_hash(image: Image.Image) -> NDArray[np.uint8]:
    """Return the hash of an image and of its mirror image, packed bits of shape (2, 32).

    The image is made grey and averaged to 32 × 32; of its discrete cosine transform the 16 × 16 lowest frequencies
    without the mean are kept, and each gives one bit: whether it lies above their median.

    Reference: C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, section 3.2.1
    (the DCT based hash), with 255 bits in place of 64.
    """
    resample = Image.Resampling.BOX if min(image.size) >= _SIDE else Image.Resampling.BILINEAR
    small = np.asarray(image.convert("L").resize((_SIDE, _SIDE), resample), dtype=np.float64)
    spectra = dctn(np.stack([small, small[:, ::-1]]), axes=(1, 2), norm="ortho")[:, :_KEPT, :_KEPT]
    frequencies = spectra.reshape(2, -1)[:, 1:]
    bits = frequencies > np.median(frequencies, axis=1, keepdims=True)
    return np.packbits(bits, axis=1)


def hash_file(path: str) -> NDArray[np.uint8]:
    """Return `perceptual_hash` of an image file. JPEG files are decoded coarsely, which moves a few bits at most."""
    # Twice the side that is kept, so that averaging and not the decoder's scaling decides.
    return perceptual_hash(open_image_with_warnings(path, at_least=4 * _SIDE).image)


def hash_files(
    paths: Sequence[str],
    *,
    workers: int | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> NDArray[np.uint8]:
    """Return the hashes of image files, shape (N, 2, 32), decoding only those that the cache does not know.

    Args:
        paths: absolute paths.
        workers: number of threads, all cores if None.
        cache: a ``.npz`` file of hashes by path, size and time of change, read if it is there, and written when new
            hashes were made, every few thousand of them and at the end, also of an interruption. A damaged one is made
            anew; one that cannot be written is done without. None: no cache.
        progress: shows how far it is, given the hashes as they come and their number.

    Raises:
        DatasetError: an image cannot be decoded.
        FileNotFoundError: an image is not there.
    """
    keys = []
    for path in paths:
        status = Path(path).stat()
        keys.append(f"{path}\n{status.st_size}\n{status.st_mtime_ns}")
    known = _read_cache(cache) if cache is not None else {}
    new = [row for row, key in enumerate(keys) if key not in known]
    hashes: Iterable[NDArray[np.uint8]] = ordered_map(hash_file, [paths[row] for row in new], workers, threads=True)
    if progress is not None:
        hashes = progress(hashes, len(new))
    try:
        for done, (row, value) in enumerate(zip(new, hashes, strict=True), start=1):
            known[keys[row]] = value
            if cache is not None and done % _KEEP_EVERY == 0:
                _write_cache(cache, known)
    finally:  # also what was hashed before a damaged image or an interruption
        if cache is not None and new and known:
            _write_cache(cache, known)
    return np.stack([known[key] for key in keys]) if keys else np.empty((0, 2, 32), np.uint8)


def cache_file(root: Path) -> Path:
    """Return where a data set's hashes are kept: below the folder that ``IQA_DATASETS_CACHE`` names, or the user's."""
    folder = os.environ.get("IQA_DATASETS_CACHE") or platformdirs.user_cache_dir("iqa-datasets", appauthor=False)
    digest = hashlib.blake2b(os.fsencode(root), digest_size=8).hexdigest()
    return Path(folder) / "perceptual-hashes" / f"{root.name}-{digest}.npz"


def near_duplicates(
    hashes: NDArray[np.uint8], others: NDArray[np.uint8] | None = None, *, near: int = NEAR
) -> list[NearDuplicate]:
    """Return all pairs of images that differ in at most ``near`` bits, as they are or mirrored, nearest first.

    Args:
        hashes: hashes of `hash_files`, shape (N, 2, 32).
        others: hashes to compare them with, shape (M, 2, 32); None compares them with one another.
        near: largest number of differing bits.
    """
    left = _signs(hashes[:, 0])
    found = []
    for mirrored in (False, True):
        right = _signs((hashes if others is None else others)[:, int(mirrored)])
        for start in range(0, len(left), _BLOCK):
            for other in range(0 if others is not None else start, len(right), _BLOCK):
                products = left[start : start + _BLOCK] @ right[other : other + _BLOCK].T
                rows, columns = np.nonzero(products >= BITS - 2 * near)
                for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                    if others is not None or start + row < other + column:
                        distance = round((BITS - float(products[row, column])) / 2)
                        found.append(NearDuplicate(start + row, other + column, distance, mirrored))
    best: dict[tuple[int, int], NearDuplicate] = {}
    for pair in sorted(found, key=lambda pair: (pair.distance, pair.mirrored, pair.first, pair.second)):
        best.setdefault((pair.first, pair.second), pair)
    return list(best.values())


def groups(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.intp]:
    """Return, for each of ``count`` items, the smallest that pairs connect it with, shape (count,)."""
    parent = list(range(count))

    def root_of(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for first, second in pairs:
        low, high = sorted((root_of(first), root_of(second)))
        parent[high] = low
    return np.array([root_of(item) for item in range(count)], dtype=np.intp)


def _signs(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    bits = np.unpackbits(packed, axis=1, count=BITS)
    return bits.astype(np.float32) * 2 - 1


def _read_cache(cache: Path) -> dict[str, NDArray[np.uint8]]:
    try:
        with np.load(cache, allow_pickle=False) as content:
            return dict(zip(content["keys"].tolist(), content["hashes"], strict=True))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        return {}


def _write_cache(cache: Path, known: dict[str, NDArray[np.uint8]]) -> None:
    # Where it cannot be kept, the hashes are made again the next time.
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with replacing(cache) as part:
            np.savez_compressed(part, keys=np.array(list(known)), hashes=np.stack(list(known.values())))
