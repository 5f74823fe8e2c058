"""The images of one or more data sets with their ground truth as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """

    paths: tuple[Path, ...]
    quality: Tensor
    scenes: Tensor
    distortion: Tensor
    dataset: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def rows_of(self, dataset: int) -> NDArray[np.int64]:
        """Rows of one data set's images, in order."""
        return np.flatnonzero(self.dataset.numpy() == dataset)

    def select(self, rows: NDArray[np.int64]) -> "ImageTable":
        """The table of the chosen rows."""
        index = torch.from_numpy(rows)
        return ImageTable(
            paths=tuple(self.paths[row] for row in rows),
            quality=self.quality[index],
            scenes=self.scenes[index],
            distortion=self.distortion[index],
            dataset=self.dataset[index],
            names=self.names,
        )

    def targets(self, rows: NDArray[np.int64]) -> Targets:
        """Ground truth of the chosen rows."""
        index = torch.from_numpy(rows)
        return Targets(self.quality[index], self.scenes[index], self.distortion[index], self.dataset[index])

    @classmethod
    def from_datasets(cls, datasets: Sequence[IQADataset], names: Sequence[str] | None = None) -> "ImageTable":
        """Join the images of several data sets, in order.

        Args:
            datasets: the data sets.
            names: what to call them; their ids by default.

        Raises:
            DataError: an image has no quality score.
        """
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
            names=tuple(names or (images.name for images in datasets)),
        )


def images_by_part(**parts: ImageTable) -> dict[str, dict[str, int]]:
    """How many images of each data set every part has, by the data set's name."""
    names = dict.fromkeys(name for table in parts.values() for name in table.names)
    return {
        name: {part: len(table.rows_of(table.names.index(name))) for part, table in parts.items()} for name in names
    }
