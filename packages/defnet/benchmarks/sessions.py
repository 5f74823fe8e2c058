"""Train and judge a configuration on several sessions of a data set: medians and spread instead of one lucky split.

    python sessions.py --data-root DIR [--config lite] [--sessions 1 2 3 ...] [--out runs/sessions] [--quick]

From each session's training part the images are left out whose content stands in its validation or test part too.
Every session is trained with the same configuration and seed, its epoch chosen on its validation part, and judged once
on its test part, as `defnet evaluate` does. A session that is done is not trained again. `defnet reproduce` makes
the paper's tables of such runs.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from defnet.config.toml_files import load_train_config
from defnet.experiments.protocol import all_runs, run_all

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
    if arguments.quick:
        config = config.model_copy(update={"epochs": 1})
        arguments.sessions = arguments.sessions[:2]
        arguments.out = arguments.out / "quick"
    runs = all_runs({Path(arguments.config).stem: config}, arguments.sessions, [config.seed])
    results = run_all(runs, arguments.data_root, arguments.out, cache=arguments.cache, keep_models=True)
    rows = {}
    for result in results:
        [rows[result.session]] = result.figures["test"].values()
        shown = "  ".join(f"{name} {rows[result.session][name]:.3f}" for name in SHOWN[:5])
        print(f"session {result.session:>2}: {shown}")
    table = pd.DataFrame(rows).T[list(SHOWN)].astype(float)
    summary = table.agg(["median", "min", "max"]).T
    summary["iqr"] = table.quantile(0.75) - table.quantile(0.25)
    print(f"\n{len(table)} sessions, test parts")
    print(summary.round(3).to_string())
    if np.isnan(table.to_numpy()).any():
        print("NaN: a figure that could not be computed in some session")


if __name__ == "__main__":
    main()
