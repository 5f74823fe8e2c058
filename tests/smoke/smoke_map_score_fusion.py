"""Smoke test of the installed map-score-fusion wheel: python smoke_map_score_fusion.py REPOSITORY."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from installed import check_installed

from map_score_fusion import ScoreFusion

check_installed("map-score-fusion")

generator = np.random.default_rng(0)
quality = generator.uniform(size=200)
errors = 0.1 * generator.normal(size=(3, 200))
psnr, lpips, ssim = 20 + 20 * (quality + errors[0]), 1 - quality + errors[1], quality + errors[2]
scores = pd.DataFrame({"PSNR": psnr, "LPIPS": lpips, "SSIM": ssim})
scores.loc[:20, "SSIM"] = np.nan
fusion = ScoreFusion().fit(scores)
with tempfile.TemporaryDirectory() as folder:
    fusion.save(Path(folder) / "model")
    loaded = ScoreFusion.load(Path(folder) / "model")
fused, deviation = loaded.predict(scores, return_std=True)
if not np.array_equal(fused, fusion.predict(scores)) or not np.all(deviation > 0):
    raise SystemExit("a saved model does not predict as the one that was saved")
agreement = np.corrcoef(fused, quality)[0, 1]
if agreement < 0.95:
    raise SystemExit(f"fused scores correlate by {agreement:.3f} with the quality that made them, and 0.95 is expected")
print(f"fused {len(fused)} images by {fusion.method}: correlation with their quality {agreement:.3f}")
