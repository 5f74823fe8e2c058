"""A made-up data set, small configurations and a small model, each made once."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

# Processes that the tests start compute as this one does.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings
from numpy.typing import ArrayLike
from PIL import Image

from defnet import DataRoots, DEFNet, ModelInfo, Scorer, TrainConfig, load_scorer, save_model
from defnet.experiments.result import DataSummary, Result
from defnet.experiments.run import figures_of
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


@pytest.fixture(scope="session")
def plant_predictions() -> Callable[..., pd.DataFrame]:
    """Makes a table of predictions whose errors are normal with a known deviation, that of the stated evidence.

    All sub-images (five) and the whole image say the same of an image, so that Eqs. 24 and 25 give a known variance.
    `overconfidence` is the deviation of errors over the stated one, which varies by a factor of nine.
    """

    def plant(
        seed: int = 0,
        *,
        datasets: Sequence[str] = ("live-challenge",),
        val: int = 60,
        test: int = 80,
        overconfidence: float = 1.0,
    ) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        frames = []
        for name in datasets:
            n = val + test
            loc = generator.uniform(1.3, 4.7, n)
            deviation = 0.4 * np.exp(generator.uniform(-1.1, 1.1, n))
            # Every view says the same of an image, so that Eqs. 24 and 25 give a known variance:
            # ν = 2, α − 1 = 2 · 20 + 1.5, β = 2 β₁ and a predictive variance of β (1 + 1/ν) / (α − 1).
            alpha_minus_one, nu = 20.0, 1.0
            beta = deviation**2 * (2 * alpha_minus_one + 1.5) / (2 * 1.5)
            parameters = {"loc": loc, "nu": nu, "alpha_minus_one": alpha_minus_one, "beta": beta}
            fused = {"loc": loc, "nu": 2 * nu, "alpha_minus_one": 2 * alpha_minus_one + 1.5, "beta": 2 * beta}
            frame = pd.DataFrame(
                {
                    "dataset": name,
                    "part": ["val"] * val + ["test"] * test,
                    "image": [f"Images/{i}.bmp" for i in range(n)],
                    "quality": loc + overconfidence * deviation * generator.normal(size=n),
                    "scenes": [["human", "plant"] if i % 2 else ["animal"] for i in range(n)],
                    "distortion": ["blur" if i % 3 else "noise" for i in range(n)],
                    "score": loc,
                    "expected_quality": loc + 0.1 * generator.normal(size=n),
                    "scene_top": ["plant" if i % 4 else "animal" for i in range(n)],
                    "distortion_top": ["blur" if i % 5 else "noise" for i in range(n)],
                }
            )
            for column, value in parameters.items():
                values = np.broadcast_to(value, n).astype(float)
                frame[column] = np.broadcast_to(fused[column], n).astype(float)
                frame[f"local_{column}"] = list(np.repeat(values[:, None], 5, axis=1))
                frame[f"global_{column}"] = values
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    return plant


@pytest.fixture(scope="session")
def plant_result() -> Callable[..., Result]:
    """Makes the result that a run with these predictions would have written."""

    def plant(
        config: TrainConfig,
        predictions: pd.DataFrame,
        *,
        name: str = "run",
        session: int = 1,
        variance_scale: float = 1.0,
    ) -> Result:
        figures = {
            part: figures_of(predictions[predictions["part"] == part], variance_scale=variance_scale, constant_std=0.5)
            for part in ("val", "test")
        }
        return Result(
            name=name,
            config=config,
            session=session,
            seed=config.seed,
            data={str(key): DataSummary(images={"test": 1}, sha256="") for key in predictions["dataset"].unique()},
            versions={},
            device="cpu",
            seconds=1.0,
            epoch=1,
            variance_scale=variance_scale,
            constant_std=0.5,
            figures=figures,
        )

    return plant
