"""Splits into train, val and test: which there are, how our own are made, and what stands on both sides."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from iqa_datasets import fingerprints
from iqa_datasets.errors import DatasetError
from iqa_datasets.fingerprints import Progress
from iqa_datasets.liqe import SESSIONS
from iqa_datasets.records import IQADataset
from iqa_datasets.vocabulary import PARTS

OFFICIAL: Final = "official"
_FORM: Final = "a whole number from 1 to 10 (LIQE's), 'official', or 'seeded-SEED' (our own, such as 'seeded-1')"


@dataclass(frozen=True, slots=True)
class SeededSession:
    """Our own split: drawn with a seed, and disjoint by content.

    All images of one content, and all contents whose pictures are near-duplicates by perceptual hash, go to the same
    part. Contents are put in the order of a keyed hash of their names, so that a split depends on neither numpy's nor
    pandas' version nor on the order of files, and cut where the numbers of images come nearest to the fractions.

    Args:
        seed: another seed gives another split.
        fractions: shares of the images in train, val and test; a part with 0 stays empty.

    Raises:
        DatasetError: the seed is no whole number from 0 on, or the fractions are not three shares that add up to 1.

    Example:
        >>> str(SeededSession(3)), str(SeededSession(3, (0.8, 0, 0.2)))
        ('seeded-3', 'seeded-3:0.8/0/0.2')
    """

    seed: int
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, int | np.integer) or isinstance(self.seed, bool) or self.seed < 0:
            raise DatasetError(f"a seed must be a whole number from 0 on, got {self.seed!r}")
        shares = tuple(self.fractions)
        if len(shares) != 3 or not all(math.isfinite(share) and share >= 0 for share in shares):
            raise DatasetError(f"fractions must be three shares from 0 on for train, val and test, got {shares}")
        if abs(sum(shares) - 1) > 1e-6:
            raise DatasetError(f"the fractions for train, val and test must add up to 1, got {sum(shares):g}")

    def __str__(self) -> str:
        shares = "" if self.fractions == (0.7, 0.1, 0.2) else ":" + "/".join(f"{share:g}" for share in self.fractions)
        return f"seeded-{self.seed}{shares}"


def parse_session(session: object) -> int | str | SeededSession:
    """Return a session that a person asked for as one of LIQE's numbers, ``"official"`` or a `SeededSession`.

    Raises:
        DatasetError: it is none of these; the message says what there is.

    Example:
        >>> parse_session("seeded-3:0.8/0/0.2")
        SeededSession(seed=3, fractions=(0.8, 0.0, 0.2))
    """
    if isinstance(session, SeededSession):
        return session
    if isinstance(session, str) and session == OFFICIAL:
        return OFFICIAL
    if isinstance(session, int | np.integer) and not isinstance(session, bool) and session in SESSIONS:
        return int(session)
    if isinstance(session, str) and (found := re.fullmatch(r"seeded-(\d+)(?::([\d.]+)/([\d.]+)/([\d.]+))?", session)):
        if found[2] is None:
            return SeededSession(int(found[1]))
        try:
            shares = (float(found[2]), float(found[3]), float(found[4]))
        except ValueError:
            raise DatasetError(f"session {session!r} has a share that is not a number") from None
        return SeededSession(int(found[1]), shares)
    raise DatasetError(f"session must be {_FORM}, got {session!r}")


def pictures(records: pd.DataFrame) -> dict[str, str]:
    """Return the file that shows each content undistorted: its reference, or its first image where there is none."""
    shown: dict[str, str] = {}
    paths = records["reference_path"].fillna(records["image_path"])
    for content, path in zip(records["content"], paths, strict=True):
        shown.setdefault(content, path)
    return shown


def content_groups(records: pd.DataFrame, root: Path, progress: Progress | None = None) -> dict[str, str]:
    """Return what must stay together: for each content the smallest of those whose pictures are near-duplicates.

    Every picture of `pictures` is decoded, unless its hash is in the cache.

    Raises:
        DatasetError: a picture cannot be decoded.
    """
    shown = dict(sorted(pictures(records).items()))
    contents = list(shown)
    hashes = fingerprints.hash_files(list(shown.values()), cache=fingerprints.cache_file(root), progress=progress)
    pairs = [(pair.first, pair.second) for pair in fingerprints.near_duplicates(hashes)]
    first = fingerprints.groups(len(contents), pairs)
    return {content: contents[lowest] for content, lowest in zip(contents, first, strict=True)}


def seeded_parts(group: Sequence[str], session: SeededSession) -> list[str]:
    """Return the part of every image, given the group of images that each must stay with.

    Raises:
        DatasetError: there are fewer groups than parts to fill.
    """
    sizes = Counter(group)
    wanted = [part for part, share in zip(PARTS, session.fractions, strict=True) if share > 0]
    if len(sizes) < len(wanted):
        raise DatasetError(
            f"session {session} needs {len(wanted)} contents or more, one for each of {', '.join(wanted)}, "
            f"but there are {len(sizes)}"
        )
    key = str(session.seed).encode()
    order = sorted(sizes, key=lambda name: hashlib.blake2b(name.encode(), key=key).digest())
    running = np.cumsum([sizes[name] for name in order])
    # Cut k goes where the running number of images comes nearest to the k-th cumulative share, leaving each part
    # that is wanted at least one group.
    part_of: dict[str, str] = {}
    start, share = 0, 0.0
    for number, part in enumerate(wanted):
        share += session.fractions[PARTS.index(part)]
        left = len(wanted) - number - 1
        nearest = int(np.argmin(np.abs(running - share * running[-1]))) + 1
        stop = len(order) if left == 0 else min(max(nearest, start + 1), len(order) - left)
        part_of |= dict.fromkeys(order[start:stop], part)
        start = stop
    return [part_of[name] for name in group]


class Crossing(NamedTuple):
    """Two images that show the same picture, in different parts of a session.

    Attributes:
        kind: ``"content"`` (the data set says that both show the same), ``"identical"`` (no bit of the hashes differs)
            or ``"near"``.
        first: path of an image (of a reference, where images have one).
        second: path of the other; the same path, where one content stands in several parts.
        parts: parts in which the first and the second stand.
        distance: number of differing bits of the perceptual hash.
        images: number of images concerned.
    """

    kind: str
    first: str
    second: str
    parts: tuple[str, str]
    distance: int
    images: int


def crossings(dataset: IQADataset, *, progress: Progress | None = None) -> list[Crossing]:
    """Return what stands on both sides of a session: contents in several parts, and near-duplicates across parts.

    A content in several parts is given once for each two parts, with an image of either; near-duplicates are sought
    among `pictures`, one a content, and given for each two parts that they connect.

    Args:
        dataset: loaded with a session.
        progress: shows how far it is, given the hashes as they come and their number.

    Raises:
        DatasetError: no session was loaded, or a picture cannot be decoded.
    """
    if dataset.session is None:
        raise DatasetError(f"{dataset!r} has no session whose parts could be compared: load it with session={_FORM}")
    parted = dataset.records[dataset.records["session_part"].notna()]
    images: dict[str, dict[str, list[str]]] = {}
    for content, part, path in zip(parted["content"], parted["session_part"], parted["image_path"], strict=True):
        images.setdefault(content, {}).setdefault(part, []).append(path)
    with_reference = set(parted.loc[parted["reference_path"].notna(), "content"])
    shown = pictures(parted)

    found: list[Crossing] = []
    for content, by_part in images.items():
        for one, other in combinations(by_part, 2):
            first, second = by_part[one], by_part[other]
            paths = (shown[content],) * 2 if content in with_reference else (first[0], second[0])
            found.append(Crossing("content", *paths, (one, other), 0, len(first) + len(second)))

    contents = list(shown)
    hashes = fingerprints.hash_files(
        list(shown.values()), cache=fingerprints.cache_file(dataset.root), progress=progress
    )
    for pair in fingerprints.near_duplicates(hashes):
        one, other = contents[pair.first], contents[pair.second]
        for first_part, second_part in product(images[one], images[other]):
            if first_part != second_part:
                kind = "identical" if pair.distance == 0 and not pair.mirrored else "near"
                count = len(images[one][first_part]) + len(images[other][second_part])
                found.append(Crossing(kind, shown[one], shown[other], (first_part, second_part), pair.distance, count))
    return found
