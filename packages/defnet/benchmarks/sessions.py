"""Train and judge a configuration on several sessions of a data set: medians and spread instead of one lucky split.

    python sessions.py --data-root DIR [--config lite] [--sessions 1 2 3 ...] [--out runs/sessions] [--quick]

From each session's training part the images are left out whose content stands in its validation or test part too.
Every session is trained with the same configuration and seed, its epoch chosen on its validation part, and judged once
on its test part, as `defnet evaluate` does. A session that is done is not trained again.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from defnet.config.toml_files import load_train_config
from defnet.config.training import TrainConfig
from defnet.data.mixture import official_path
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.evaluation.figures import evaluation_figures
from defnet.evaluation.predictions import predict_pool
from defnet.model.model_file import load_model
from defnet.training.loop import Training
from defnet.training.reporter import Silent
from defnet.training.views import RunViews
from iqa_datasets import IQADataset

SHOWN = (
    "srcc",
    "plcc",
    "plcc_logistic",
    "srcc_expected",
    "plcc_expected",
    "scene_accuracy",
    "scene_majority",
    "distortion_accuracy",
    "distortion_majority",
    "coverage_50",
    "coverage_80",
    "coverage_95",
    "nll",
    "nll_constant",
    "crps",
    "crps_constant",
    "error_spearman",
)


def shared_content(dataset: IQADataset) -> tuple[str, ...]:
    """Paths, from the data set's folder, of training images whose content stands in another part too."""
    records = dataset.records
    training = records["session_part"] == "train"
    elsewhere = set(records.loc[~training, "content"])
    shared = records.loc[training & records["content"].isin(elsewhere), "image_path"]
    return tuple(official_path(dataset, path) for path in shared)


def of_session(config: TrainConfig, session: int, roots: DataRoots) -> TrainConfig:
    """The configuration for another session of its one data set."""
    [source] = config.data
    dataset = roots.load(source.name, session, dataset=source.dataset, path=source.path)
    changed = source.model_copy(update={"session": session, "exclude": shared_content(dataset)})
    return config.model_copy(update={"data": (changed,)})


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=os.environ.get("IQA_DATA_ROOT"))
    parser.add_argument("--config", default="lite")
    parser.add_argument("--sessions", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--out", type=Path, default=Path("runs/sessions"))
    parser.add_argument("--cache", type=Path, default=None, help="folder of pools of views, shared with other runs")
    parser.add_argument("--quick", action="store_true", help="one epoch on the first two sessions")
    arguments = parser.parse_args()
    if arguments.data_root is None:
        print("sessions.py needs the real data: give --data-root or set IQA_DATA_ROOT; nothing was measured")
        return
    config = load_train_config(arguments.config)
    roots = DataRoots(Path(arguments.data_root))
    if arguments.quick:
        config = config.model_copy(update={"epochs": 1})
        arguments.sessions = arguments.sessions[:2]
        arguments.out = arguments.out / "quick"
    rows = {}
    for session in arguments.sessions:
        folder = arguments.out / f"{session:02d}"
        done = folder / "test.json"
        if not done.exists():
            training = Training(
                of_session(config, session, roots), roots, folder, cache=arguments.cache or arguments.out / "pools"
            )
            result = training.run()
            assert result is not None
            model, info = load_model(result.model)
            [source] = training.config.data
            table = ImageTable.from_datasets([roots.load_source(source).part("test")])
            figures = evaluation_figures(
                predict_pool(model, RunViews(training.config, model, training.cache, Silent()).scoring_pool(table)),
                table,
                variance_scale=info.variance_scale,
                constant_std=info.constant_std,
            )
            done.write_text(json.dumps(figures | {"epoch": info.epoch, "variance_scale": info.variance_scale}) + "\n")
        rows[session] = json.loads(done.read_text())
        print(
            f"session {session:>2}: " + "  ".join(f"{name} {rows[session][name]:.3f}" for name in SHOWN[:5]), flush=True
        )
    table = pd.DataFrame(rows).T[list(SHOWN)].astype(float)
    summary = table.agg(["median", "min", "max"]).T
    summary["iqr"] = table.quantile(0.75) - table.quantile(0.25)
    print(f"\n{len(table)} sessions, test parts")
    print(summary.round(3).to_string())
    if np.isnan(table.to_numpy()).any():
        print("NaN: a figure that could not be computed in some session")


if __name__ == "__main__":
    main()
