"""Finished runs whose qualities and errors are planted, written as the files of real runs are."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from defnet import TrainConfig
from defnet.config.liqe import as_liqe
from defnet.experiments.ablation import ablation_configs
from defnet.experiments.prediction_table import write_predictions
from defnet.experiments.result import DataSummary, Result, write_result
from defnet.experiments.run import ALL, figures_of
from defnet.experiments.sweep import sweep_configs

SCENES = ("animal", "human", "plant")
TYPES = {
    "csiq": ("dst_imgs/awgn", "dst_imgs/blur", "dst_imgs/contrast"),
    "live": ("wn", "gblur", "jp2k"),
    "live-challenge": ("Images",),
    "tid2013": ("distorted_images",),
}
CLASSES = ("noise", "blur", "contrast")


def planted(generator: np.random.Generator, config: TrainConfig, dataset: str, part: str, images: int) -> pd.DataFrame:
    """Predictions with a known quality, error and spread of each image, and with right and wrong classes."""
    kinds = np.arange(images) % len(CLASSES)
    folders = TYPES[dataset]
    # Ratings are a logistic of what the scores are of, but for their errors: its fit and its band are well determined.
    hidden = generator.uniform(-2.5, 2.5, images)
    quality = 3 + 1.8 * np.tanh(hidden / 2 * 1.5)
    expected = 3 + 0.7 * hidden + generator.normal(0, 0.4, images)
    frame = pd.DataFrame(
        {
            "dataset": dataset,
            "part": part,
            "image": [f"{folders[kind % len(folders)]}/{number}.png" for number, kind in enumerate(kinds)],
            "quality": quality,
            "scenes": [[SCENES[kind], SCENES[0]] if kind else [SCENES[0]] for kind in kinds],
            "distortion": [CLASSES[kind] for kind in kinds],
            "score": expected,
            "expected_quality": expected,
        }
    )
    if config.score_from != "expected":
        frame["score"] = frame["loc"] = 3 + 0.7 * hidden + generator.normal(0, 0.2, images)
        frame["nu"] = generator.uniform(1, 5, images)
        frame["alpha_minus_one"] = generator.uniform(1, 5, images)
        frame["beta"] = generator.uniform(0.1, 0.6, images)
    for task, names in (("scene", SCENES), ("distortion", CLASSES)):
        if task in config.model.tasks:
            frame[f"{task}_top"] = [names[i] for i in generator.integers(0, 3, images)]
    return frame


@pytest.fixture(scope="session")
def plant_run() -> Callable[..., pd.DataFrame]:
    """Writes a run into the folder that `run_all` gives it, and returns its predictions."""

    def plant(
        folder: Path,
        name: str,
        config: TrainConfig,
        session: int,
        seed: int = 0,
        datasets: Sequence[str] = ("live-challenge",),
        zero_shot: Sequence[str] = (),
        images: int = 30,
    ) -> pd.DataFrame:
        # Each run draws other numbers, whatever its name's length or the order of the runs.
        generator = np.random.default_rng([session, seed, *name.encode()])
        # Rows of the validation part are there to be passed over.
        parts = [(dataset, part) for part in ("val", "test") for dataset in datasets]
        table = pd.concat(
            [planted(generator, config, *part, images) for part in (*parts, *((name, ALL) for name in zero_shot))],
            ignore_index=True,
        )
        sources = [{"name": dataset, "session": session, "batch_size": 2} for dataset in datasets]
        trained = TrainConfig.model_validate(config.model_dump() | {"data": sources, "seed": seed})
        scale, rival = (1.3, 0.5) if "loc" in table else (1.0, None)
        figures = {
            part: figures_of(table[table["part"] == part], variance_scale=scale, constant_std=rival)
            for part in ("test", ALL)
        }
        counts = {"train": 7 * images // 2, "test": images}
        data = {dataset: DataSummary(images=counts, sha256="") for dataset in datasets}
        data |= {dataset: DataSummary(images={ALL: images}, sha256="") for dataset in zero_shot}
        where = folder / name / f"session-{session}" / f"seed-{seed}"
        where.mkdir(parents=True)
        write_predictions(where / "predictions.parquet", table)
        result = Result(
            name=name, config=trained, session=session, seed=seed, data=data, versions={}, device="cpu", seconds=1.0,
            epoch=1, variance_scale=scale, constant_std=rival, figures={"val": {}, "test": figures["test"]},
            zero_shot=figures[ALL],
        )  # fmt: skip
        write_result(where, result)
        return table

    return plant


Planted = dict[tuple[str, int, int], pd.DataFrame]


@pytest.fixture(scope="session")
def experiment(
    make_config: Callable[..., TrainConfig],
    plant_run: Callable[..., pd.DataFrame],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Planted]:
    """A folder with the runs of all experiments on three sessions, one with a second seed, and what is planted."""
    folder = tmp_path_factory.mktemp("planted")
    config = make_config()
    configs: dict[str, Any] = {**ablation_configs(config), **sweep_configs(config), "liqe": as_liqe(config)}
    found: Planted = {}
    for name, chosen in configs.items():
        for session, seed in ((1, 0), (2, 0), (3, 0), (1, 1)):
            zero_shot = ["tid2013"] if name == "q+s+d-M+U+F" else []
            found[name, session, seed] = plant_run(
                folder, name, chosen, session, seed, datasets=("live", "csiq"), zero_shot=zero_shot
            )
    return folder, found
