"""A made-up data set, small configurations and a small model, each made once."""

import json
import os
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

# Processes that the tests start compute as this one does.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import ArrayLike
from PIL import Image

from defnet import DataRoots, DEFNet, ModelInfo, Scorer, TrainConfig, load_scorer, save_model
from defnet.model.initial_model import build_model
from evidential_nig import NormalInverseGamma
from iqa_datasets.testing import FakeDataset, make_fake

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.load_profile("quick")

SMALL: dict[str, Any] = {
    "data": [{"name": "live-challenge", "session": 1, "batch_size": 4}],
    "backbone": {"lite": {"stages": [0, 1], "embed_dim": 16, "word_dim": 8, "text_hidden": 16}, "freeze_trunk": True},
    "model": {"train_crops": 2},
    "crops": {"train_source": "pool", "pool_size": 4, "test_count": 3},
    "optimizer": {"learning_rate": 1e-3},
    "epochs": 2,
    "steps_per_epoch": 3,
    "checkpoint_every": 2,
}


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            _merge(base[name], value)
        else:
            base[name] = value
    return base


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors are no faster on two threads, and processes that are compared must add in the same order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    """Makes a small training configuration, with changes to it."""

    def make(**changes: Any) -> TrainConfig:
        return TrainConfig.model_validate(_merge(deepcopy(SMALL), changes))

    return make


@pytest.fixture(scope="session")
def make_evidence() -> Callable[..., NormalInverseGamma]:
    """Makes evidence in double precision from its predictive Student t: degrees of freedom above 2, mean and scale."""

    def make(df: ArrayLike, loc: ArrayLike, scale: ArrayLike) -> NormalInverseGamma:
        df, loc, scale = (torch.as_tensor(np.asarray(value, float)) for value in (df, loc, scale))
        # With ν = 1 the squared scale is 2β/α.
        return NormalInverseGamma.from_alpha_minus_one(loc, torch.ones_like(loc), df / 2 - 1, scale**2 * df / 4)

    return make


@pytest.fixture(scope="session")
def make_model(make_config: Callable[..., TrainConfig]) -> Callable[..., DEFNet]:
    """Makes a small network with random weights, other ones for another seed; evidence depends on its input too."""

    def make(seed: int = 0, **changes: Any) -> DEFNet:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build_model(make_config(**changes))
            with torch.no_grad():
                # Words far apart make probabilities that are far from equal.
                for words in ("quality_words", "scene_words", "distortion_words"):
                    getattr(model.backbone.text, words).weight.mul_(4)
                for parameter in model.evidence_parameters():
                    parameter.add_(0.3 * torch.randn_like(parameter))
        return model

    return make


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    """A made-up LIVE In the Wild of 24 images."""
    return make_fake("live-challenge", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def roots(fake: FakeDataset) -> DataRoots:
    return DataRoots(fake.root.parent)


@pytest.fixture(scope="session")
def model_info(make_config: Callable[..., TrainConfig]) -> ModelInfo:
    return ModelInfo(config=make_config(), variance_scale=0.25, constant_std=0.6, epoch=2, validation={"srcc": 0.5})


@pytest.fixture(scope="session")
def model_file(
    tmp_path_factory: pytest.TempPathFactory, make_model: Callable[..., DEFNet], model_info: ModelInfo
) -> Path:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, make_model(), model_info)
    return path


@pytest.fixture(scope="session")
def scorer(model_file: Path) -> Scorer:
    return load_scorer(model_file, device="cpu")


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty small pictures that differ in size, content and format."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(5)
    paths = []
    for number in range(20):
        height, width = rng.integers(224, 300, 2).tolist()
        coarse = rng.integers(0, 256, (6 + number, 7 + number, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        paths.append(folder / f"{number:02d}.{'png' if number % 2 else 'bmp'}")
        image.save(paths[-1])
    return paths


def _write_clip(folder: Path) -> Path:
    """A tiny random CLIP as a folder that `local-dir:` reads."""
    import open_clip
    from safetensors.torch import save_file

    tower = {"layers": 1, "width": 32}
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {**tower, "image_size": 32, "patch_size": 16, "head_width": 16},
            "text_cfg": {**tower, "context_length": 77, "vocab_size": 49408, "heads": 2},
        },
        "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.2]},
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(open_clip.create_model(f"local-dir:{folder}").state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def write_clip() -> Callable[[Path], Path]:
    """Writes a tiny random CLIP as a folder that `local-dir:` reads."""
    return _write_clip
