import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import iqa_datasets
from iqa_datasets import loader_registry
from iqa_datasets.loader_registry import loader_of
from iqa_datasets.testing import FakeDataset, make_fake

WITH_LABELS = [name for name in iqa_datasets.available() if loader_of(name).liqe is not None]
PICTURES = {".bmp", ".jp2", ".jpg", ".png", ".tiff"}


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep hashes out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IQA_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def no_loader_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the loaders that a test registers."""
    monkeypatch.setattr(loader_registry, "_ADDED", {})
    monkeypatch.setattr(loader_registry, "_CALLED", {})


class _Originals(dict[str, FakeDataset]):
    """Fakes by name, each written when it is first asked for."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        super().__init__()
        self._folders = folders

    def __missing__(self, name: str) -> FakeDataset:
        self[name] = make_fake(name, self._folders.mktemp(name), images=24 if name == "live-challenge" else 12)
        return self[name]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FakeDataset]:
    """Every data set's fake, written once; not to be changed."""
    return _Originals(tmp_path_factory)


def copy_of(original: FakeDataset, folder: Path, *, link: bool = False) -> FakeDataset:
    """Return a copy that a test may change; with links, pictures may be renamed and removed, but not written to."""

    def copy(source: str, target: str) -> None:
        if link and Path(source).suffix.lower() in PICTURES:
            os.link(source, target)
        else:
            shutil.copyfile(source, target)

    root = folder / original.root.name
    shutil.copytree(original.root, root, copy_function=copy)
    labels = None
    if original.labels is not None:
        labels = folder / original.labels.name
        shutil.copytree(original.labels, labels, copy_function=copy)
    return replace(original, root=root, labels=labels)


@pytest.fixture(params=iqa_datasets.available())
def fake(request: pytest.FixtureRequest, originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """A copy of each data set's fake: a test may damage its files, but pictures only remove or rename."""
    return copy_of(originals[request.param], tmp_path, link=True)


@pytest.fixture(params=WITH_LABELS)
def labelled(request: pytest.FixtureRequest, originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """As `fake`, of the data sets for which LIQE has label files."""
    return copy_of(originals[request.param], tmp_path, link=True)


@pytest.fixture
def copied(originals: dict[str, FakeDataset], tmp_path: Path) -> Callable[[str], FakeDataset]:
    """As `fake`, for a test that names its data set."""
    return lambda name: copy_of(originals[name], tmp_path, link=True)


@pytest.fixture
def clive(originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """A copy of the LIVE In the Wild fake that a test may damage."""
    return copy_of(originals["live-challenge"], tmp_path)


@pytest.fixture
def kadid(originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """A copy of the KADID-10k fake that a test may damage."""
    return copy_of(originals["kadid-10k"], tmp_path)


@pytest.fixture(scope="session")
def data_root() -> Path:
    if not (root := os.environ.get("IQA_DATA_ROOT")):
        pytest.skip("IQA_DATA_ROOT is not set: no real data")
    return Path(root)
