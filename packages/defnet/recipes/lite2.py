"""From LIVE In the Wild and Debian's wallpapers to the shipped models `lite2` and `lite2-session1`, and their figures.

    python lite2.py OUT --data-root DATA [--packages DIR] [--sessions 1-10] [--jobs 2]

DATA holds LIVE In the Wild's folder and LIQE's label files (`iqa-datasets info live-challenge`). The photographs are
those of `wallpapers.csv`: DIR/PACKAGE holds an unpacked package; without, packages are fetched by `apt-get download`
and unpacked by `dpkg-deb`. Every step keeps what it has made, and the same command goes on. Most of the time goes into
views of images, which a frozen trunk looks at once, and into metrics. The same machine makes the same bits.

OUT gets the photographs, their degraded and rated pieces (`wallpapers/`; `heldout/` of photographs that no model learns
from), degraded copies of LIVE In the Wild (`degraded/`), the runs, `lite2-session1.safetensors` (trained on session 1's
training part: what figures are measured on), `lite2.safetensors` (the same recipe on all of LIVE In the Wild) with
`lite2.onnx`, by which it scores on a CPU, and with --sessions the runs of these sessions in `sessions/`. Figures on
`heldout/` are printed.
"""

import argparse
import csv
import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from defnet import DataRoots, TrainConfig, load_scorer
from defnet.config.toml_files import load_train_config
from defnet.experiments.protocol import all_runs, run_all
from defnet.export.onnx_export import export_onnx
from defnet.model.shipped import DEFAULT_MODEL
from defnet.out_of_fold.calibrating import calibrate_model
from defnet.pseudo_ratings.degraded_folder import degrade
from defnet.pseudo_ratings.rated_folder import pseudo_rate
from defnet.training.loop import train
from iqa_datasets import load

WALLPAPERS = Path(__file__).with_name("wallpapers.csv")
MODELS = {"lite2-session1": 1, "lite2": "seeded-1:1/0/0"}
ORDER_METRICS = ("haarpsi", "mdsi", "dss", "vsi")


def lay_out_photographs(out: Path, packages: Path | None) -> None:
    """Copy the photographs of `wallpapers.csv` to `out`/PART, each checked by its SHA-256."""
    table = pd.read_csv(WALLPAPERS)
    for _, row in table.iterrows():
        target = out / row["part"] / row["name"]
        if target.is_file():
            continue
        folder = (packages or out / "packages") / row["package"]
        if packages is None and not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            package = f"{row['package']}={row['version']}"
            subprocess.run(["apt-get", "download", package], cwd=folder.parent, check=True)
            [archive] = folder.parent.glob(f"{row['package']}_*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
        content = (folder / row["path"]).read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if found != row["sha256"]:
            raise SystemExit(f"{folder / row['path']}: is not the photograph of {row['package']} {row['version']}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def figures_on_heldout(model: Path, heldout: Path, table: Path) -> dict[str, float]:
    """How a model orders degraded photographs that it has not learnt from; its scores are kept in `table`."""
    records = load("folder", heldout).records
    if not table.is_file():
        scorer = load_scorer(model)
        rows = []
        for record, score in zip(records.itertuples(), scorer.score(list(records["image_path"])), strict=True):
            rows.append([record.image_path, score.quality, score.lower, score.upper, score.distortion])
        with table.open("w", newline="") as stream:
            csv.writer(stream).writerows([["image_path", "quality", "lower", "upper", "named"], *rows])
    records = records.merge(pd.read_csv(table), on="image_path", validate="one_to_one")
    copies = records[records["distortion"].notna()]
    own = copies["reference_path"].map(records.set_index("image_path")["quality"])
    within = [spearmanr(rows["quality"], rows["mos"])[0] for _, rows in records.groupby("content")]
    means = copies.groupby(["distortion_name", "level"])["quality"].mean().unstack()
    falling = [bool((np.diff(row.dropna()) < 0).all()) for _, row in means.iterrows()]
    return {
        "copies": len(copies),
        "photographs": int(records["content"].nunique()),
        "within": float(np.median(within)),
        "over_all": float(spearmanr(records["quality"], records["mos"])[0]),
        "copies_above": float((copies["quality"] > own).mean()),
        "types_falling": sum(falling),
        "types": len(falling),
        "distortion_accuracy": float((copies["named"] == copies["distortion"]).mean()),
    }


def main() -> None:
    """Run the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--sessions")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--families", type=int, default=3, help="groups of distortions left out in calibration")
    options = parser.parse_args()
    out: Path = options.out
    pools = out / "pools"

    lay_out_photographs(out / "photos", options.packages)
    pseudo_rate(out / "photos" / "train", out / "wallpapers", pieces=3, per_piece=20, seed=1)
    pseudo_rate(out / "photos" / "heldout", out / "heldout", pieces=1, per_piece=150, seed=2)
    photographs = DataRoots(options.data_root).load("live-challenge", 1).root / "Images"
    degrade(photographs, out / "degraded", per_photograph=3, metrics=ORDER_METRICS, seed=5)
    places = {"degraded": out / "degraded", "wallpapers": out / "wallpapers"}
    roots = DataRoots(options.data_root, folders=places)

    config = load_train_config("lite2")
    if options.sessions:
        first, _, last = options.sessions.partition("-")
        sessions = list(range(int(first), int(last or first) + 1))
        runs = all_runs({"lite2": config}, sessions)
        run_all(runs, roots, out / "sessions", cache=pools, jobs=options.jobs)
    for name, session in MODELS.items():
        run, model = out / "runs" / name, out / f"{name}.safetensors"
        train(of_session(config, session), roots, run, cache=pools)
        if not model.is_file():
            calibrate_model(run, roots, model, out / "runs" / f"{name}.folds", families=options.families, cache=pools)
        if name == DEFAULT_MODEL:
            # What scores on a CPU; of a model file alone: defnet export lite2 --out .../weights/lite2.onnx
            export_onnx(model, model.with_suffix(".onnx"))
        figures = figures_on_heldout(model, out / "heldout", out / f"{name}-heldout.csv")
        print(name, json.dumps(figures, indent=2))


def of_session(config: TrainConfig, session: int | str) -> TrainConfig:
    """The recipe on the training part of a session of LIVE In the Wild."""
    sources = [
        source.model_copy(update={"session": session}) if source.name == "live-challenge" else source
        for source in config.data
    ]
    return config.model_copy(update={"data": tuple(sources)})


if __name__ == "__main__":
    main()
