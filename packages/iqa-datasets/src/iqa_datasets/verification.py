"""Looking at every file of a data set: is it there, whole, of the right size, labelled, and there only once?"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import official_folder
from iqa_datasets.images import ImageError, open_image_with_warnings
from iqa_datasets.loader_registry import loader_of, read_dataset
from iqa_datasets.workers import ordered_map

FAULTS: Final = {
    "labels": "the label files cannot be read as documented",
    "missing": "listed in the label files, but not there",
    "unreadable": "damaged, truncated or no image",
    "size": "not of the documented size, or not of its reference's",
    "stray": "an image that no label file lists",
    "duplicate": "the same pixels as another image, under another content",
}
"""Kinds of findings that make a data set wrong, and what each means."""

NOTES: Final = {
    "case": "the file's name differs in case from the label file's; it is taken for it",
    "format": "a copy in another format without loss; it is taken for the file that the label file names",
    "identical": "the same pixels as another image of the same content",
}
"""Kinds of findings that are no fault, and what each means."""

_CHUNK = 8  # files given to a thread at once


class Finding(NamedTuple):
    """One thing that `verify` found.

    Attributes:
        kind: a key of `FAULTS` or of `NOTES`.
        path: the file concerned.
        detail: what is wrong with it, as a clause that follows the path.
    """

    kind: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        name: the data set's id.
        root: its official folder.
        images: number of labelled images.
        references: number of reference images.
        decoded: number of files that were decoded whole.
        findings: faults and notes, in the order of `FAULTS` and `NOTES`, then of the data set.
    """

    name: str
    root: Path
    images: int
    references: int
    decoded: int
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> list[Finding]:
        """The findings that make the data set wrong."""
        return [finding for finding in self.findings if finding.kind in FAULTS]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


class _Checked(NamedTuple):
    path: str
    size: tuple[int, int]
    digest: bytes
    error: str


def verify(
    name: str,
    root: str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Callable[[Iterable[object], int], Iterable[object]] | None = None,
) -> Verification:
    """Check that a data set's folder holds what its label files say, by decoding every image and reference whole.

    All faults are listed, not only the first: files that are missing, truncated or damaged, of another size than the
    card or the reference has, images without a label, and images whose pixels equal another's of other content. Names
    that differ in case, and equal pixels within one content (a distortion without effect), are noted.

    Args:
        name: an id of `available`.
        root: the official folder.
        workers: number of threads, all cores if None.
        progress: shows how far it is, given the results as they come and the number of files.

    Raises:
        DatasetError: there is no such data set.
        FileNotFoundError: root is not this data set's official folder.

    Example:
        >>> import tempfile
        >>> from iqa_datasets.testing import make_fake
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp())
        >>> verify("live-challenge", fake.root, workers=1).ok
        True
    """
    loader = loader_of(name)
    folder = official_folder(root, loader.card, loader.also)
    try:
        _, (records, images) = read_dataset(loader, folder)
    except (DatasetError, FileNotFoundError) as error:
        # Without labels there is nothing to hold the files to.
        return Verification(name, folder, 0, 0, 0, (Finding("labels", str(folder), str(error)),))
    found = [Finding(*fault) for fault in images.faults]
    missing = {fault.path for fault in images.of_kind("missing")}

    references = dict.fromkeys(records["reference_path"].dropna())
    content_of = dict(zip(records["image_path"], records["content"], strict=True))
    with_reference = records[records["reference_path"].notna()]
    reference_of = dict(zip(with_reference["image_path"], with_reference["reference_path"], strict=True))
    # References first: an image is then held to the size of a reference that is known.
    paths = [path for path in dict.fromkeys([*references, *content_of]) if path not in missing]
    results: Iterable[object] = _check_all(paths, workers)
    if progress is not None:
        results = progress(results, len(paths))

    sizes: dict[str, tuple[int, int]] = {}
    first_with: dict[bytes, str] = {}
    decoded = 0
    for result in results:
        assert isinstance(result, _Checked)  # noqa: S101 - progress gives back what it got
        path = result.path
        if result.error:
            found.append(Finding("unreadable", path, result.error))
            continue
        decoded += 1
        sizes[path] = result.size
        wrong = _wrong_size(result.size, loader.card.image_sizes, sizes.get(reference_of.get(path, path)))
        if wrong:
            found.append(Finding("size", path, wrong))
        other = first_with.setdefault(result.digest, path)
        if other != path:
            same = content_of.get(path, path) == content_of.get(other, other) or reference_of.get(path) == other
            found.append(Finding("identical" if same else "duplicate", path, f"has the same pixels as {other}"))
    return Verification(name, folder, len(content_of), len(references), decoded, _in_order(found))


def _check_all(paths: list[str], workers: int | None) -> Iterator[_Checked]:
    remaining = iter(paths)
    chunks = iter(lambda: list(islice(remaining, _CHUNK)), [])
    for checked in ordered_map(_check, chunks, workers, threads=True):
        yield from checked


def _check(paths: list[str]) -> list[_Checked]:
    checked = []
    for path in paths:
        try:
            opened = open_image_with_warnings(path)
            checked.append(_Checked(path, opened.size, _digest(opened.image), ""))
        except ImageError as error:
            checked.append(_Checked(path, (0, 0), b"", error.reason))
    return checked


def _digest(image: Image.Image) -> bytes:
    pixels = np.ascontiguousarray(image)
    return hashlib.blake2b(pixels.data, digest_size=16, salt=f"{image.width}x{image.height}".encode()[:16]).digest()


def _wrong_size(
    size: tuple[int, int], allowed: tuple[tuple[int, int], ...], of_reference: tuple[int, int] | None
) -> str:
    if allowed and size not in allowed:
        listed = " or ".join(f"{width}x{height}" for width, height in allowed)
        return f"is {size[0]}x{size[1]}, must be {listed}"
    if of_reference is not None and size != of_reference:
        return f"is {size[0]}x{size[1]}, but its reference is {of_reference[0]}x{of_reference[1]}"
    return ""


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    rank = {kind: number for number, kind in enumerate((*FAULTS, *NOTES))}
    return tuple(sorted(findings, key=lambda finding: rank[finding.kind]))
