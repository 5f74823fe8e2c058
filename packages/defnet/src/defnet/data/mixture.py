"""The data sets of a training mixture: their training and their validation images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.errors import DataError
from iqa_datasets import IQADataset


def official_path(dataset: IQADataset, path: str | Path) -> str:
    """An image's path relative to its data set's folder, with forward slashes."""
    return Path(path).relative_to(dataset.root).as_posix()


def training_part(dataset: IQADataset, exclude: Sequence[str], name: str | None = None) -> IQADataset:
    """The training part without the excluded images.

    Args:
        dataset: a data set with a session.
        exclude: paths relative to its folder, with forward slashes.
        name: what messages call it; its id by default.

    Raises:
        DataError: an excluded path is no image of the data set.
    """
    paths = [official_path(dataset, path) for path in dataset.records["image_path"]]
    unknown = sorted(set(exclude) - set(paths))
    if unknown:
        meant = [path for path in paths if path.rpartition("/")[2] == unknown[0].rpartition("/")[2]]
        hint = f" (is it {' or '.join(repr(path) for path in meant[:3])}?)" if meant else ""
        raise DataError(
            f"{name or dataset.name}: exclude names {unknown[0]!r}, which is not an image of this data set; "
            f"images are named by their paths from its folder{hint}"
        )
    return dataset.select([path not in set(exclude) for path in paths]).part("train")


def shared_content(dataset: IQADataset) -> tuple[str, ...]:
    """Paths, from the data set's folder, of training images whose content stands in another part too.

    Args:
        dataset: a data set with a session.
    """
    records = dataset.records
    training = records["session_part"] == "train"
    elsewhere = set(records.loc[~training, "content"].dropna())
    shared = records.loc[training & records["content"].isin(elsewhere), "image_path"]
    return tuple(official_path(dataset, path) for path in shared)


def load_mixture(config: TrainConfig, roots: DataRoots) -> tuple[ImageTable, ImageTable]:
    """The training images and the validation images of all data sets of a configuration.

    Raises:
        DataError: a data set cannot be read, an image has no quality score, or no deviation where its ratings are
            uncertain, or no data set has two validation images.
    """
    datasets = [roots.load_source(source) for source in config.data]
    names = [source.name for source in config.data]
    train = [
        training_part(dataset, source.exclude, source.name)
        for dataset, source in zip(datasets, config.data, strict=True)
    ]
    validation = [dataset.part("val") for dataset in datasets]
    largest = max(map(len, validation))
    if largest < 2:
        raise DataError(f"validation and calibration need at least two images of one data set, got {largest}")
    return ImageTable.from_datasets(train, names, config.data), ImageTable.from_datasets(validation, names)


def missing_labels(table: ImageTable, config: TrainConfig) -> Iterator[str]:
    """Say which tasks have no label to learn from."""
    targets = table.targets(np.arange(len(table)))
    for task in config.model.tasks:
        if not targets.labelled(task) and config.start is not None:
            yield (
                f"no training image has a {task} label, so what the model says of the {task} is what "
                f"{config.start.model} says, as far as learning the rest leaves it so"
            )
        elif not targets.labelled(task):
            yield (
                f"no training image has a {task} label, so what the model will say of the {task} is not learnt; "
                f"give LIQE's label files, or leave {task!r} out of model.tasks"
            )
