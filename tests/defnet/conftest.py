"""A made-up data set, small configurations and a small model, each made once."""

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

# Processes that the tests start compute as this one does.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import constants
from hypothesis import settings
from numpy.typing import ArrayLike
from PIL import Image

from defnet import DataRoots, DEFNet, ModelInfo, Scorer, TrainConfig, load_scorer, save_model
from defnet.experiments.result import DataSummary, Result
from defnet.experiments.run import figures_of
from defnet.model.initial_model import build_model
from evidential_nig import NormalInverseGamma
from iqa_datasets import load
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


@dataclass(frozen=True)
class RatedPhotographs:
    """A folder of photographs and a table of ratings beside it, as a person would have them."""

    table: Path
    images: Path
    rows: list[dict[str, str]]

    def write(self, rows: list[dict[str, str]] | None = None, name: str = "ratings.csv") -> Path:
        """Write the table with other rows, and return it."""
        path = self.table.with_name(name)
        rows = self.rows if rows is None else rows
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


@pytest.fixture(scope="session")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    """A made-up LIVE In the Wild of 50 images."""
    return make_fake("live-challenge", tmp_path_factory.mktemp("fifty"), images=50)


@pytest.fixture(scope="session")
def make_rated(fifty: FakeDataset) -> Callable[[Path], RatedPhotographs]:
    """Lays forty-eight made-up photographs, rated from 0 to 100, and two that nobody rated into a folder."""

    def make(place: Path) -> RatedPhotographs:
        folder = place / "photos"
        folder.mkdir()
        rows = []
        for number, record in enumerate(load("live-challenge", fifty.root)):
            name = f"{number:02}{Path(record.image_path).suffix}"
            (folder / name).hardlink_to(record.image_path)
            if number < 48:
                rows.append({"image": name, "rating": f"{record.mos:.2f}", "std": f"{record.mos_std:.2f}"})
        photographs = RatedPhotographs(place / "ratings.csv", folder, rows)
        photographs.write()
        return photographs

    return make


@pytest.fixture
def rated(tmp_path: Path, make_rated: Callable[[Path], RatedPhotographs]) -> RatedPhotographs:
    return make_rated(tmp_path)


class Hub:
    """A hub on this machine: serves the files under its folder as the real one does, and notes what is asked for.

    Attributes:
        root: `ORG/NAME/FILE`.
        asked: method and path of every request.
        commit: the hash that it states for every revision that it knows.
        revisions: those.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[tuple[str, str]] = []
        self.commit = "c" * 40
        self.revisions = {"main", "v1", "c" * 40}
        self.url = ""

    def put(self, repository: str, **files: bytes) -> None:
        """Lay files into a repository; `__` in a name stands for the dot."""
        for name, content in files.items():
            path = self.root / repository / name.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub(tmp_path / "hub")

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: bool) -> None:
            served.asked.append((self.command, self.path))
            repository, _, rest = self.path.lstrip("/").partition("/resolve/")
            revision, _, name = rest.partition("/")
            file = served.root / repository / name
            reason = (
                "RepoNotFound"
                if not (served.root / repository).is_dir()
                else "RevisionNotFound"
                if revision not in served.revisions
                else "EntryNotFound"
                if not file.is_file()
                else ""
            )
            content = b"" if reason else file.read_bytes()
            self.send_response(404 if reason else 200)
            if reason:
                self.send_header("X-Error-Code", reason)
            else:
                self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
                self.send_header("X-Repo-Commit", served.commit)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    served.url = url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


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
