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


def training_part(
    dataset: IQADataset, exclude: Sequence[str], name: str | None = None, *, whole: bool = False
) -> IQADataset:
    """The training part without the excluded images.

    Args:
        dataset: a data set with a session.
        exclude: paths relative to its folder, with forward slashes.
        name: what messages call it; its id by default.
        whole: take images of all parts.

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
    kept = dataset.select([path not in set(exclude) for path in paths])
    return kept if whole else kept.part("train")


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


def copies_of(copies: IQADataset, photographs: IQADataset, training: IQADataset, names: tuple[str, str]) -> IQADataset:
    """The degraded copies of a data set's training images, and these images among them.

    A copy's content is its photograph's path without its suffix, from the data set's folder or from one below it.
    Copies of photographs that lie there and are not of the data set, such as LIVE In the Wild's examples for raters,
    are left out.

    Args:
        copies: what `defnet degrade` made.
        photographs: the data set whose photographs they are copies of.
        training: the part of it that is trained on.
        names: what messages call the two.

    Raises:
        DataError: a content could be several photographs, or none is a training image.
    """
    known: dict[str, list[str]] = {}
    for path in photographs.records["image_path"]:
        official = official_path(photographs, path)
        steps = official.removesuffix(Path(official).suffix).split("/")
        for start in range(len(steps)):
            known.setdefault("/".join(steps[start:]), []).append(official)
    trained = {official_path(training, path) for path in training.records["image_path"]}
    chosen = []
    for content in copies.records["content"]:
        found = known.get(str(content), [])
        if len(found) > 1:
            raise DataError(
                f"{names[0]}: holds copies of {content!r}, which could be {' or '.join(found[:3])} of {names[1]}"
            )
        chosen.append(bool(found) and found[0] in trained)
    if not any(chosen):
        contents = copies.records["content"]
        raise DataError(
            f"{names[0]}: holds no copy of a training image of {names[1]}"
            + (f"; the first that it holds are of {contents.iloc[0]!r}" if len(contents) else "")
        )
    return copies.select(chosen)


def load_mixture(config: TrainConfig, roots: DataRoots) -> tuple[ImageTable, ImageTable]:
    """The training images and the validation images of all data sets of a configuration.

    There may be no validation image where the last epoch is kept (`select_by`): then nothing is calibrated in training,
    and `defnet calibrate` does it afterwards.

    Raises:
        DataError: a data set cannot be read, an image has no quality score, or no deviation where its ratings are
            uncertain, or no data set has two validation images where they choose among epochs.
    """
    datasets = [roots.load_source(source) for source in config.data]
    names = [source.name for source in config.data]
    train = [
        training_part(dataset, source.exclude, source.name, whole=source.of is not None)
        for dataset, source in zip(datasets, config.data, strict=True)
    ]
    for place, source in enumerate(config.data):
        if source.of is not None:
            parent = names.index(source.of)
            train[place] = copies_of(train[place], datasets[parent], train[parent], (source.name, source.of))
    validation = [
        dataset.select((dataset.records["session_part"] == "val") & source.is_judged)
        for dataset, source in zip(datasets, config.data, strict=True)
    ]
    largest = max(map(len, validation))
    if largest < 2 and config.select_by != "last":
        raise DataError(
            "choosing among epochs and calibration need at least two validation images of one data set, got "
            f"{largest}; select_by = 'last' keeps the last epoch without any"
        )
    if largest < 2:
        validation = [dataset.select([False] * len(dataset)) for dataset in validation]
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
