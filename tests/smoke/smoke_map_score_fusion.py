"""Smoke test of the installed map-score-fusion wheel: python smoke_map_score_fusion.py REPOSITORY."""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from installed import check_installed, expect

import map_score_fusion
from map_score_fusion import ScoreFusion

check_installed("map-score-fusion")

generator = np.random.default_rng(0)
quality = generator.uniform(size=200)
errors = 0.1 * generator.normal(size=(3, 200))
psnr, lpips, ssim = 20 + 20 * (quality + errors[0]), 1 - quality + errors[1], quality + errors[2]
table = pd.DataFrame({"PSNR": psnr, "LPIPS": lpips, "SSIM": ssim})
table.loc[:20, "SSIM"] = np.nan
fusion = ScoreFusion().fit(table)
with tempfile.TemporaryDirectory() as folder:
    fusion.save(Path(folder) / "model")
    loaded = ScoreFusion.load(Path(folder) / "model")
fused, deviation = loaded.predict(table, return_std=True)
expect(np.array_equal(fused, fusion.predict(table)), "a saved model does not predict as the one that was saved")
expect(bool(np.all(deviation > 0)), "a standard deviation is not above 0")
agreement = float(np.corrcoef(fused, quality)[0, 1])
expect(agreement > 0.95, f"fused scores correlate by {agreement:.3f} with the quality that made them, not by 0.95")

program = Path(sys.executable).with_name("map-score-fusion")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command."""
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


with tempfile.TemporaryDirectory() as folder:
    scores, model, written = (Path(folder) / name for name in ("scores.csv", "model", "fused.csv"))
    table.assign(image=[f"{row}.png" for row in range(200)], mos=quality).to_csv(scores, index=False)
    done = run("fit", scores, "--out", model)
    expect(done.returncode == 0, f"fit: {done.stderr}")
    expect("mos" in done.stderr and "ratings" in done.stderr, f"fit must say that it left out mos: {done.stderr}")
    done = run("predict", model, scores, "--out", written, "--std")
    expect(done.returncode == 0, f"predict: {done.stderr}")
    with written.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expect([row["image"] for row in rows] == [f"{row}.png" for row in range(200)], "predict keeps the rows")
    values = [float(row["fused_score"]) for row in rows]
    expect(bool(np.allclose(values, fused, atol=0.1)), "the command's fused scores are not those of the library")
    done = run("compare", scores, "--mos", "mos", "--resamples", "10", "--format", "csv")
    expect(done.returncode == 0, f"compare: {done.stderr}")
    compared = [row["name"] for row in csv.DictReader(done.stdout.splitlines()) if row["kind"] == "method"]

    # What needs an extra says which.
    for extra, *arguments in (
        ("reports", "report", model, scores, "--out", Path(folder) / "report.html"),
        ("metrics", "score", folder, "--metrics", "tv"),
        ("parquet", "predict", model, scores, "--out", Path(folder) / "fused.parquet"),
    ):
        if extra == "metrics":
            (Path(folder) / "image.png").write_bytes(b"")
        done = run(*arguments)
        expect(done.returncode == 2, f"{arguments[0]} without its extra: {done.returncode}, {done.stderr}")
        expect(f"map-score-fusion[{extra}]" in done.stderr, f"{arguments[0]} should say what to install: {done.stderr}")
        expect("Traceback" not in done.stderr, done.stderr)
print(f"map-score-fusion {map_score_fusion.__version__}: fused by {fusion.method}, compared {', '.join(compared)}")
