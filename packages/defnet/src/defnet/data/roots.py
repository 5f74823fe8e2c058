"""Where data sets lie on this machine."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from defnet.config.data import DataConfig, Session
from defnet.data.ratings import Ratings
from defnet.errors import DataError
from iqa_datasets import DatasetError, IQADataset, available, info, load

LABELS = "liqe-labels"
"""Conventional name of the folder of LIQE's label files."""

OWN = "folder"
"""The layout of a folder of one's own, which `iqa-dataset.toml` in it declares."""

_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class DataRoots:
    """Where the data sets lie on this machine; not part of the configuration, so that it travels.

    Attributes:
        root: folder that holds the data sets' official folders under their conventional names; None where `folders`
            or the configuration says where each one lies.
        labels: folder of LIQE's label files, or None for `root / "liqe-labels"`. They give scenes and distortions,
            and LIQE's sessions; a data set that they do not cover is read without.
        folders: folders of single data sets that lie elsewhere, by their name.
        ratings: tables of ratings beside folders of photographs, by their name.

    Raises:
        DataError: the folder of labels that was named does not exist.

    Example:
        >>> DataRoots("data", folders={"holiday": "photos/holiday"}).folders["holiday"].name
        'holiday'
    """

    root: Path | None = None
    labels: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    ratings: Mapping[str, Ratings] = field(default_factory=dict)

    def __init__(
        self,
        root: str | PathLike[str] | None = None,
        labels: str | PathLike[str] | None = None,
        folders: Mapping[str, str | PathLike[str]] | None = None,
        ratings: Iterable[Ratings] = (),
    ) -> None:
        object.__setattr__(self, "root", None if root is None else Path(root))
        object.__setattr__(self, "labels", None if labels is None else Path(labels))
        object.__setattr__(self, "folders", {name: Path(folder) for name, folder in (folders or {}).items()})
        object.__setattr__(self, "ratings", {table.name: table for table in ratings})
        if self.labels is not None and not self.labels.is_dir():
            raise DataError(f"{self.labels}: there is no such folder of LIQE's label files")

    @classmethod
    def parse(cls, places: Sequence[str], labels: str | PathLike[str] | None = None) -> "DataRoots":
        """Read what a command line says of where data lies.

        Args:
            places: each `DIR`, the folder of all data sets, at most once, or `NAME=DIR`, the folder of one. A folder
                whose own name has an equals sign is written with a slash before it, `./a=b`.
            labels: folder of LIQE's label files.

        Raises:
            DataError: two folders are given for all data sets, or for one.
        """
        root: str | None = None
        folders: dict[str, str] = {}
        for place in places:
            named = _NAMED.fullmatch(place)
            if named is None and root is not None:
                raise DataError(f"two folders of all data sets, {root} and {place}; a single one's is NAME=DIR")
            if named is not None and named[1] in folders:
                raise DataError(f"two folders of {named[1]}, {folders[named[1]]} and {named[2]}")
            if named is None:
                root = place
            else:
                folders[named[1]] = named[2]
        return cls(root, labels, folders)

    def load(
        self, name: str, session: Session | None = None, *, dataset: str | None = None, path: str | None = None
    ) -> IQADataset:
        """Load a data set with a session's parts.

        Args:
            name: an id known to `iqa_datasets.available()`, or what `folders` calls a folder.
            session: which split into parts, or None for all images without one.
            dataset: id of its layout, where the name is none; `folder` by default.
            path: its folder, where `folders` names none.

        Raises:
            DataError: nobody knows where it lies, or it cannot be read; the message says what is wrong with which
                file.
        """
        if name in self.ratings:
            return self.ratings[name].load(session)
        try:
            layout = dataset or (name if name in available() else OWN)
            folder = self._folder(name, layout, path, declared=dataset is not None)
            if not folder.is_dir():
                load(layout, folder)  # its error says what the folder should be
            return load(layout, folder, session=session, labels=self._labels(name, layout, session))
        except (DatasetError, OSError) as error:
            raise DataError(str(error)) from error

    def load_source(self, source: DataConfig) -> IQADataset:
        """Load a data set of a training mixture."""
        return self.load(source.name, source.session, dataset=source.dataset, path=source.path)

    def _folder(self, name: str, layout: str, path: str | None, *, declared: bool) -> Path:
        elsewhere = self.folders.get(name, path)
        if elsewhere is not None:
            return Path(elsewhere)
        if layout == OWN:
            if name != OWN and not declared:
                info(name)  # perhaps a misspelt id: its error suggests the right one
            raise DataError(f"{name}: is a folder of your own; say where, --data-root {name}=DIR or path = in [[data]]")
        if self.root is None:
            raise DataError(f"{name}: nobody knows where it lies; give --data-root DIR or --data-root {name}=DIR")
        return self.root / info(layout).folder

    def _labels(self, name: str, layout: str, session: Session | None) -> Path | None:
        """LIQE's label files, where they cover the data set."""
        folder = self.labels or (None if self.root is None else self.root / LABELS)
        covered = folder is not None and layout != OWN and (folder / "IQA_Database" / info(layout).folder).is_dir()
        if isinstance(session, int) and not covered:
            raise DataError(
                f"{name}: session {session} is one of LIQE's, and there are no LIQE label files of this data set in "
                f"{folder or 'any folder that was named'}; give their folder as --labels, or take our own split, "
                f"session 'seeded-{session}'"
            )
        return folder if covered else None
