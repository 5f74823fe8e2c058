"""Where data sets lie on this machine, and the parts of them that a run uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from defnet.errors import DataError
from iqa_datasets import IQADataset, info, load


@dataclass(frozen=True)
class DataRoots:
    """Where the data sets lie on this machine; not part of the configuration, so that it travels.

    Attributes:
        root: folder that holds the data sets' official folders under their conventional names.
        labels: folder of LIQE's label files, or None for `root / "liqe-labels"`.
        folders: folders of single data sets that lie elsewhere, by name.
    """

    root: Path
    labels: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)

    def load(self, name: str, session: int) -> IQADataset:
        """Load a data set with a session's parts."""
        folder = self.folders.get(name) or self.root / info(name).folder
        return load(name, folder, session=session, labels=self.labels or self.root / "liqe-labels")


def training_part(dataset: IQADataset, exclude: Sequence[str]) -> IQADataset:
    """The training part without the excluded files.

    Raises:
        DataError: an excluded name is not a file of the data set.
    """
    names = [Path(path).name for path in dataset.records["image_path"]]
    unknown = sorted(set(exclude) - set(names))
    if unknown:
        raise DataError(f"{dataset.name}: exclude names {unknown[0]!r}, which is not an image of this data set")
    keep = [name not in exclude for name in names]
    return dataset.select(keep).part("train")
