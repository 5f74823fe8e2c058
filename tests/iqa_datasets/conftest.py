import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import iqa_datasets
from iqa_datasets.testing import FakeDataset, make_fake


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep hashes out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IQA_DATASETS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FakeDataset]:
    """Every data set's fake, written once; not to be changed."""
    return {name: make_fake(name, tmp_path_factory.mktemp(name)) for name in iqa_datasets.available()}


def copy_of(original: FakeDataset, folder: Path) -> FakeDataset:
    root = folder / original.root.name
    labels = folder / original.labels.name
    shutil.copytree(original.root, root)
    shutil.copytree(original.labels, labels)
    return replace(original, root=root, labels=labels)


@pytest.fixture(params=iqa_datasets.available())
def fake(request: pytest.FixtureRequest, originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """A copy of each data set's fake that a test may damage."""
    return copy_of(originals[request.param], tmp_path)


@pytest.fixture
def clive(originals: dict[str, FakeDataset], tmp_path: Path) -> FakeDataset:
    """A copy of the LIVE In the Wild fake that a test may damage."""
    return copy_of(originals["live-challenge"], tmp_path)


@pytest.fixture(scope="session")
def data_root() -> Path:
    if not (root := os.environ.get("IQA_DATA_ROOT")):
        pytest.skip("IQA_DATA_ROOT is not set: no real data")
    return Path(root)
