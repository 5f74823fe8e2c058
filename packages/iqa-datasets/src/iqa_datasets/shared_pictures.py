"""Pictures that two data sets share: the same, resized, mirrored, or one cut out of the other."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import gaussian_filter

from iqa_datasets import fingerprints
from iqa_datasets.images import open_image_with_warnings
from iqa_datasets.records import IQADataset
from iqa_datasets.sessions import pictures

CROP_SIMILARITY: Final = 0.7
"""Least correlation at which the middle of one picture is taken to lie in another."""

CROP_PAIRS: Final = 200_000
"""Up to so many pairs of pictures are searched for crops, which takes minutes; beyond, only hashes are compared."""

_LONG_SIDE = 128  # of the larger pictures, when both data sets are made smaller by one factor
_HEIGHT, _WIDTH = 80, 96
_SPREAD = 0.03  # least share of the middle that its detail is spread over (sum of squares squared by that of fourths)
_DETAIL = 3.0  # deviation in pixels of the blur that is subtracted: skies and gradients all look alike without that


class SharedPicture(NamedTuple):
    """A picture that stands in both data sets.

    Attributes:
        first: path in the first data set: a reference, or an image where there are no references.
        second: path in the second data set.
        kind: ``"identical"`` (no bit of the perceptual hash differs), ``"near"``, ``"mirrored"``, or ``"crop"`` (the
            middle of one lies in the other).
        distance: number of differing bits of the hash, of 255.
        similarity: correlation of the middle of one with the place in the other, for crops; else NaN.
        first_images: number of images in the first data set that were made from it.
        second_images: number of images in the second data set that were made from it.
    """

    first: str
    second: str
    kind: str
    distance: int
    similarity: float
    first_images: int
    second_images: int


class Overlap(NamedTuple):
    """What `overlap` found.

    Attributes:
        shared: the shared pictures, in order of the first data set.
        compared: number of pictures of the first and of the second data set.
        crops_sought: whether crops were sought; too many pairs of pictures are not (`CROP_PAIRS`).
    """

    shared: list[SharedPicture]
    compared: tuple[int, int]
    crops_sought: bool


def overlap(
    first: IQADataset,
    second: IQADataset,
    *,
    crops: bool = True,
    progress: Callable[[str], fingerprints.Progress] | None = None,
) -> Overlap:
    """Find the pictures that stand in both data sets.

    A model trained on one and tested on the other has seen the content of what both share, so that a cross-database
    figure needs it left out. Compared are the references, and images where there are no references. Perceptual hashes
    find copies, also resized, compressed or mirrored. Crops are sought by correlating the middle half of each picture
    with every place of the other, at the pixels' own scale and with heights or widths made equal; a crop that was
    also resized by another factor, or holds less than the middle half of the smaller picture, is not found.

    Args:
        first: a data set.
        second: another one.
        crops: whether to seek crops too.
        progress: given a word for what is done, a function that shows how far it is.

    Raises:
        DatasetError: a picture cannot be decoded.
    """
    sides = []
    for dataset in (first, second):
        shown = pictures(dataset.records)
        images = Counter(dataset.records["content"])
        paths: dict[str, int] = {}
        for content, path in shown.items():
            paths[path] = paths.get(path, 0) + images[content]
        hashes = fingerprints.hash_files(
            list(paths),
            cache=fingerprints.cache_file(dataset.root),
            progress=progress(f"hashes of {dataset.name}") if progress is not None else None,
        )
        sides.append((list(paths), list(paths.values()), hashes))
    (paths_1, counts_1, hashes_1), (paths_2, counts_2, hashes_2) = sides
    found: dict[tuple[int, int], SharedPicture] = {}
    for pair in fingerprints.near_duplicates(hashes_1, hashes_2):
        i, j = pair.first, pair.second
        kind = "mirrored" if pair.mirrored else "near" if pair.distance else "identical"
        found[i, j] = SharedPicture(paths_1[i], paths_2[j], kind, pair.distance, np.nan, counts_1[i], counts_2[j])
    sought = crops and len(paths_1) * len(paths_2) <= CROP_PAIRS
    if sought:
        similarities = _crop_similarities(paths_1, paths_2)
        for i, j in zip(*(axis.tolist() for axis in np.nonzero(similarities >= CROP_SIMILARITY)), strict=True):
            if (i, j) not in found:
                similarity = float(similarities[i, j])
                [bits] = np.bitwise_xor(hashes_1[i, :1], hashes_2[j, :1])
                distance = int(np.unpackbits(bits).sum())
                found[i, j] = SharedPicture(
                    paths_1[i], paths_2[j], "crop", distance, similarity, counts_1[i], counts_2[j]
                )
    return Overlap([found[key] for key in sorted(found)], (len(paths_1), len(paths_2)), sought)


class _Picture(NamedTuple):
    grey: Image.Image
    size: tuple[int, int]


def _crop_similarities(first: Sequence[str], second: Sequence[str]) -> NDArray[np.float64]:
    """Return how well the middle of one picture matches a place in the other: the most over scales, shape (N, M)."""
    ones, others = [_thumbnail(path) for path in first], [_thumbnail(path) for path in second]
    best = np.zeros((len(ones), len(others)))
    longest = max((max(picture.size) for picture in (*ones, *others)), default=1)
    scales: tuple[Callable[[_Picture], float], ...] = (
        lambda _: _LONG_SIDE / longest,
        lambda picture: _HEIGHT / picture.size[1],
        lambda picture: _WIDTH / picture.size[0],
    )
    for scale in scales:
        left = [_detail(picture, scale(picture)) for picture in ones]
        right = [_detail(picture, scale(picture)) for picture in others]
        best = np.maximum(best, _similarities(left, right))
        best = np.maximum(best, _similarities(right, left).T)
    return best


def _thumbnail(path: str) -> _Picture:
    opened = open_image_with_warnings(path, at_least=2 * _LONG_SIDE)
    image = opened.image.convert("L")
    image.thumbnail((2 * _LONG_SIDE, 2 * _LONG_SIDE), Image.Resampling.BOX)
    return _Picture(image, opened.size)


def _detail(picture: _Picture, scale: float) -> NDArray[np.float32]:
    width, height = (max(8, round(side * scale)) for side in picture.size)
    small = np.asarray(picture.grey.resize((width, height), Image.Resampling.BOX), dtype=np.float32)
    return small - gaussian_filter(small, _DETAIL)


def _similarities(
    templates: Sequence[NDArray[np.float32]], images: Sequence[NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Return the largest normalised cross-correlation of each template's middle half with any place in each image.

    Reference: J. P. Lewis, Fast Normalized Cross-Correlation, 1995.
    """
    best = np.zeros((len(templates), len(images)))
    shape = tuple(
        next_fast_len(max(image.shape[axis] for image in (*templates, *images)), real=True) for axis in (0, 1)
    )
    canvas = np.zeros((len(images), *shape), np.float32)
    for number, image in enumerate(images):
        canvas[number, : image.shape[0], : image.shape[1]] = image
    spectra = rfft2(canvas)
    sums, squares = (_summed_area(values) for values in (canvas, np.square(canvas)))
    heights = np.array([image.shape[0] for image in images])[:, None, None]
    widths = np.array([image.shape[1] for image in images])[:, None, None]
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    for number, whole in enumerate(templates):
        h, w = whole.shape[0] // 2, whole.shape[1] // 2
        template = whole[h // 2 : h // 2 + h, w // 2 : w // 2 + w]
        template = template - template.mean()
        power = float(np.square(template).sum())
        if power < h * w or power**2 < _SPREAD * h * w * float(np.power(template, 4).sum()):
            continue  # a blank sheet, or a single spot on one (a moon), is like many another
        # The window that starts at a pixel; those that begin within the last h or w of the canvas wrap around.
        places = (slice(None), slice(0, shape[0] - h + 1), slice(0, shape[1] - w + 1))
        products = irfft2(spectra * np.conj(rfft2(template, shape)), shape)[places]
        spread = _windows(squares, h, w) - _windows(sums, h, w) ** 2 / (h * w)
        fits = (rows[: shape[0] - h + 1] <= heights - h) & (columns[:, : shape[1] - w + 1] <= widths - w)
        # A window that varies far less or far more than the template is another picture, whatever the correlation.
        alike = fits & (spread > 0.25 * power) & (spread < 4 * power)
        ratio = np.where(alike, products, 0.0) / np.sqrt(np.where(alike, spread, 1.0) * power)
        flat = ratio.reshape(len(images), -1)
        best[number] = flat.max(axis=1)
        for other in np.flatnonzero(best[number] >= CROP_SIMILARITY).tolist():
            row, column = divmod(int(flat[other].argmax()), ratio.shape[2])
            # A blurred middle fits in many places; the rest of the picture then does not.
            whole_fit = _common_correlation(whole, images[other], row - h // 2, column - w // 2)
            best[number, other] = min(best[number, other], whole_fit)
    return best


def _common_correlation(one: NDArray[np.float32], other: NDArray[np.float32], row: int, column: int) -> float:
    """Return the correlation of what two pictures have in common when ``one`` starts at a place of ``other``."""
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + one.shape[0], other.shape[0]), min(column + one.shape[1], other.shape[1])
    a = one[top - row : bottom - row, left - column : right - column]
    b = other[top:bottom, left:right]
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(np.sqrt(np.square(a).sum() * np.square(b).sum()), 1e-6))


def _summed_area(values: NDArray[np.float32]) -> NDArray[np.float64]:
    table = np.pad(values.astype(np.float64), ((0, 0), (1, 0), (1, 0)))
    return table.cumsum(axis=1).cumsum(axis=2)


def _windows(table: NDArray[np.float64], h: int, w: int) -> NDArray[np.float32]:
    """Return the sum over the h × w window that starts at each pixel, from a summed-area table."""
    total = table[:, h:, w:] - table[:, :-h, w:] - table[:, h:, :-w] + table[:, :-h, :-w]
    return total.astype(np.float32)
