"""The images of one or more data sets with their ground truth as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defnet.config.data import DataConfig
from defnet.data.targets import Targets
from defnet.errors import DataError
from iqa_datasets import DISTORTIONS, SCENES, IQADataset


@dataclass(frozen=True)
class ImageTable:
    """The images of one or more data sets with their ground truth as arrays.

    Attributes:
        paths: files, M of them.
        quality: y_q in [1, 5], higher = better, (M,).
        scenes: multi-hot, (M, 9); zeros where not known.
        distortion: one-hot, (M, 11); zeros where not known.
        dataset: index of each image's data set, (M,).
        names: names of the data sets, by that index.
        content: number of what each image shows, (M,); images with the same number show the same. None where not asked.
        group: see `Targets`, (M,).
        quality_std: see `Targets`, (M,).
        pair_weight: see `Targets`, (M,).
        quality_evidence: see `Targets`, (M,).
    """

    paths: tuple[Path, ...]
    quality: Tensor
    scenes: Tensor
    distortion: Tensor
    dataset: Tensor
    names: tuple[str, ...]
    content: Tensor | None = None
    group: Tensor | None = None
    quality_std: Tensor | None = None
    pair_weight: Tensor | None = None
    quality_evidence: Tensor | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def rows_of(self, dataset: int) -> NDArray[np.int64]:
        """Rows of one data set's images, in order."""
        return np.flatnonzero(self.dataset.numpy() == dataset)

    def select(self, rows: NDArray[np.int64]) -> "ImageTable":
        """The table of the chosen rows."""
        index = torch.from_numpy(rows)
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {name: column[index] for name, column in columns.items() if isinstance(column, Tensor)}
        return ImageTable(**{**columns, **chosen, "paths": tuple(self.paths[row] for row in rows)})

    def targets(self, rows: NDArray[np.int64]) -> Targets:
        """Ground truth of the chosen rows."""
        index = torch.from_numpy(rows)
        columns = (getattr(self, field.name) for field in fields(Targets))
        chosen: list[Any] = [None if column is None else column[index] for column in columns]
        return Targets(*chosen)

    @classmethod
    def from_datasets(
        cls,
        datasets: Sequence[IQADataset],
        names: Sequence[str] | None = None,
        sources: Sequence[DataConfig] | None = None,
    ) -> "ImageTable":
        """Join the images of several data sets, in order.

        Args:
            datasets: the data sets.
            names: what to call them; their ids by default.
            sources: how each one's images are compared and weighed in training; None where they are not trained on.

        Raises:
            DataError: an image has no quality score, or no deviation where its data set's ratings are uncertain.
        """
        names = tuple(names or (images.name for images in datasets))
        paths: list[Path] = []
        quality, scenes, distortion, dataset = [], [], [], []
        for number, images in enumerate(datasets):
            for record in images:
                if record.quality is None:
                    raise DataError(
                        f"{record.image_path}: has no quality score, so it can be neither trained on nor judged"
                    )
                paths.append(Path(record.image_path))
                quality.append(record.quality)
                scenes.append([float(name in record.scenes) for name in SCENES])
                distortion.append([float(name == record.distortion) for name in DISTORTIONS])
                dataset.append(number)
        return cls(
            paths=tuple(paths),
            quality=torch.tensor(quality, dtype=torch.float32),
            scenes=torch.tensor(scenes, dtype=torch.float32).reshape(-1, len(SCENES)),
            distortion=torch.tensor(distortion, dtype=torch.float32).reshape(-1, len(DISTORTIONS)),
            dataset=torch.tensor(dataset, dtype=torch.int64),
            names=names,
            **({} if sources is None else _in_training(datasets, names, sources)),
        )


def _in_training(
    datasets: Sequence[IQADataset], names: Sequence[str], sources: Sequence[DataConfig]
) -> dict[str, Tensor]:
    """The columns that say how images are compared and weighed, from the configuration of their data sets."""
    contents: dict[tuple[int, str], int] = {}
    content, group = [], []
    deviation: list[NDArray[np.float64]] = []
    pair_weight, quality_evidence = [], []
    for number, (images, source) in enumerate(zip(datasets, sources, strict=True)):
        own = [contents.setdefault((number, record.content), len(contents)) for record in images]
        content += own
        group += own if source.pairs == "content" else [-1] * len(images)
        known = source.uncertain_ratings
        deviation.append(rating_deviations(images, names[number]) if known else np.zeros(len(images)))
        pair_weight += [source.pair_weight] * len(images)
        quality_evidence += [source.quality_evidence] * len(images)
    return {
        "content": torch.tensor(content, dtype=torch.int64),
        "group": torch.tensor(group, dtype=torch.int64),
        "quality_std": torch.from_numpy(np.concatenate(deviation)).float(),
        "pair_weight": torch.tensor(pair_weight, dtype=torch.float32),
        "quality_evidence": torch.tensor(quality_evidence, dtype=torch.float32),
    }


def rating_deviations(dataset: IQADataset, name: str) -> NDArray[np.float64]:
    """The published deviations of a data set's ratings on the scale of y_q, [1, 5].

    Args:
        dataset: the images.
        name: what messages call the data set.

    Raises:
        DataError: an image has none.
    """
    published = dataset.records["mos_std"].to_numpy(np.float64)
    missing = np.flatnonzero(np.isnan(published))
    scale = dataset.card.scale
    if len(missing) == len(published) or scale is None:
        raise DataError(
            f"{name}: uncertain_ratings takes the published deviations of the ratings, and this data set has none"
        )
    if len(missing):
        raise DataError(
            f"{dataset[int(missing[0])].image_path}: has no published deviation of its rating, which uncertain_ratings "
            f"takes ({len(missing)} of the {len(published)} training images of {name} have none)"
        )
    return published * (4 / (scale.high - scale.low))


def images_by_part(**parts: ImageTable) -> dict[str, dict[str, int]]:
    """How many images of each data set every part has, by the data set's name."""
    names = dict.fromkeys(name for table in parts.values() for name in table.names)
    return {
        name: {part: len(table.rows_of(table.names.index(name))) for part, table in parts.items()} for name in names
    }
