"""Which training images are left out together: contents dealt into folds, and families of distortions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from defnet.config.training import TrainConfig
from defnet.data.mixture import official_path
from defnet.data.table import ImageTable
from defnet.errors import DataError
from iqa_datasets import DISTORTIONS, IQADataset

_Rows = NDArray[np.int64]

_NO_FAMILY = "others"
_STREAM = 20
"""Keeps the shuffle of contents apart from other random choices of the same seed."""


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Training images that one model does not see, and that it then predicts.

    Attributes:
        name: a folder's name.
        kind: whether they are left out by what they show or by what was done to them.
        rows: their rows in the table of all training images, of every data set, ascending.
        families: the distortions, where these are left out.
    """

    name: str
    kind: Literal["contents", "families"]
    rows: _Rows
    families: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Roles:
    """What the images of a training mixture can say of its errors.

    Attributes:
        rated: rows of images that people have rated.
        pseudo: rows of images with ratings that nobody gave.
    """

    rated: _Rows
    pseudo: _Rows

    @classmethod
    def of(cls, config: TrainConfig, table: ImageTable) -> "Roles":
        """The roles of a configuration's training images. Degraded copies have no ratings, only an order."""
        numbers = table.dataset.numpy()
        judged = [number for number, source in enumerate(config.data) if source.is_judged]
        pseudo = [number for number, source in enumerate(config.data) if not source.judged and source.of is None]
        return cls(np.flatnonzero(np.isin(numbers, judged)), np.flatnonzero(np.isin(numbers, pseudo)))


def content_folds(table: ImageTable, roles: Roles, folds: int, seed: int) -> list[LeftOut]:
    """Deal the contents of rated and of pseudo-rated images into folds of about as many images, each data set's apart.

    Args:
        table: the training images, with contents.
        roles: which of them have ratings.
        folds: number of folds, at least 2.
        seed: seed of the order in which contents are dealt.

    Raises:
        DataError: the rated images have fewer contents than there are folds.
    """
    if table.content is None:
        raise ValueError("the table has no contents")
    content = table.content.numpy()
    if len(np.unique(content[roles.rated])) < folds:
        raise DataError(
            f"the rated training images show {len(np.unique(content[roles.rated]))} different contents, which cannot "
            f"be dealt into {folds} folds"
        )
    parts: list[list[_Rows]] = [[] for _ in range(folds)]
    for number in range(len(table.names)):
        rows = table.rows_of(number)
        rows = rows[np.isin(rows, np.concatenate([roles.rated, roles.pseudo]))]
        generator = np.random.default_rng([seed, _STREAM, number])
        shown, counts = np.unique(content[rows], return_counts=True)
        order = generator.permutation(len(shown))
        order = order[np.argsort(-counts[order], kind="stable")]
        sizes = np.zeros(folds, dtype=np.int64)
        for place in order:
            smallest = int(sizes.argmin())
            sizes[smallest] += counts[place]
            parts[smallest].append(rows[content[rows] == shown[place]])
    return [
        LeftOut(f"contents-{number}-of-{folds}", "contents", np.sort(np.concatenate(part)))
        for number, part in enumerate(parts, start=1)
    ]


def family_folds(table: ImageTable, roles: Roles, groups: int | None) -> list[LeftOut]:
    """Leave out images by their distortion, one family after the other, or several together.

    All images of a family are left out, of degraded copies too. A family that no rated and no pseudo-rated image has
    says nothing, and one without which a data set would have no image left is kept.

    Args:
        table: the training images.
        roles: which of them have ratings.
        groups: number of groups that the families are dealt into, by their numbers of images; None for each by itself.
    """
    distortion = table.distortion.numpy() > 0
    known = np.concatenate([roles.rated, roles.pseudo])
    families = [
        family
        for family, name in enumerate(DISTORTIONS)
        if name != _NO_FAMILY and distortion[known, family].any() and _leaves_some(table, distortion[:, family])
    ]
    families.sort(key=lambda family: -int(distortion[known, family].sum()))
    count = len(families) if groups is None else min(groups, len(families))
    dealt: list[list[int]] = [[] for _ in range(count)]
    for family in families if count else []:
        _smallest(dealt, distortion[known]).append(family)
    left = []
    for group in dealt:
        out = np.asarray(distortion[:, group].any(axis=1))
        if not _leaves_some(table, out):
            continue
        names = tuple(DISTORTIONS[family] for family in sorted(group))
        left.append(
            LeftOut(
                "without-" + "-and-".join(name.replace(" ", "-") for name in names),
                "families",
                np.flatnonzero(out),
                names,
            )
        )
    return left


def _smallest(groups: Sequence[list[int]], distortion: NDArray[np.bool_]) -> list[int]:
    return min(groups, key=lambda group: int(distortion[:, group].any(1).sum()) if group else -1)


def _leaves_some(table: ImageTable, out: NDArray[np.bool_]) -> bool:
    """Whether every data set has an image left."""
    return all((~out[table.rows_of(number)]).any() for number in range(len(table.names)))


def without(config: TrainConfig, table: ImageTable, datasets: Sequence[IQADataset], left: LeftOut) -> TrainConfig:
    """The configuration of the model that does not see the images left out; copies of them go with them.

    Args:
        config: the configuration of the model of all images.
        table: its training images.
        datasets: its data sets, whole.
        left: what is left out.
    """
    numbers = table.dataset.numpy()
    sources = []
    for number, (source, dataset) in enumerate(zip(config.data, datasets, strict=True)):
        out = [official_path(dataset, table.paths[row]) for row in left.rows if numbers[row] == number]
        sources.append(source.model_copy(update={"exclude": tuple(dict.fromkeys((*source.exclude, *out)))}))
    return config.model_copy(update={"data": tuple(sources)})
