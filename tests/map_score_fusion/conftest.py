"""Tables of scores: a made one, of which the true quality is known, and real ones where they are laid out."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest


def make_table(rows: int = 400, seed: int = 0, missing: float = 0.0) -> tuple[pd.DataFrame, np.ndarray]:
    """Six metrics of different shape, direction and noise, and the quality (rows,) that they measure. Synthetic."""
    rng = np.random.default_rng(seed)
    quality = rng.uniform(size=rows)

    def noisy(size):
        return quality + size * rng.normal(size=rows)

    table = pd.DataFrame(
        {
            "PSNR": 20 + 25 * noisy(0.10),
            "SSIM": 1 - np.exp(-3 * np.clip(noisy(0.15), -0.2, None)),
            "LPIPS": 0.8 - 0.7 * noisy(0.12),
            "DISTS": np.exp(-2 * noisy(0.15)),
            "VIF": noisy(0.25) ** 3,
            "own_metric": noisy(0.20),
        }
    )
    if missing:
        table = table.mask(rng.uniform(size=table.shape) < missing)
    return table, quality


@pytest.fixture(scope="session")
def made_table():
    """The function `make_table`."""
    return make_table


@pytest.fixture(scope="session")
def real_scores() -> Path:
    """The folder of real score tables, or a skip."""
    root = os.environ.get("IQA_DATA_ROOT")
    if not root or not (Path(root) / "scores").is_dir():
        pytest.skip("IQA_DATA_ROOT names no folder with scores/ in it")
    return Path(root) / "scores"


@pytest.fixture(scope="session")
def rated_table():
    """Makes tables of made-up scores with ratings, a label, missing and infinite scores, as files hold them."""

    def make(images: int = 200, seed: int = 0) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        quality = generator.uniform(size=images)

        def noisy(scale):
            return quality + generator.normal(scale=scale, size=images)

        table = pd.DataFrame(
            {
                "image": [f"{row:04}" for row in range(images)],
                "psnr": 20 + 20 * noisy(0.1),
                "ssim": 1 - np.exp(-3 * np.maximum(noisy(0.15), 0)),
                "lpips": 1 - noisy(0.1),
                "gmsd": 0.3 - 0.2 * noisy(0.2),
                "level": generator.integers(1, 6, size=images),
                "mos": 1 + 4 * quality,
                "mos_std": generator.uniform(size=images),
            }
        )
        table.loc[:4, "lpips"] = np.nan
        table.loc[7, "psnr"] = np.inf
        return table

    return make


def _check_results(fusion, table):
    """Check what any fitted fusion must return for any table."""
    values = np.asarray(table, dtype=float)
    fused, deviation = fusion.predict(table, return_std=True)
    assert fused.shape == deviation.shape == (len(values),)
    np.testing.assert_allclose(fusion.predict(table), fused, rtol=0, atol=1e-12)
    assert np.all((fused >= 0) & (fused <= 1))
    assert np.all(np.isfinite(deviation) & (deviation >= 0))
    ranks, of_ranks = fusion.ranks(table)
    assert np.all((ranks >= 0) & (ranks <= 1))
    np.testing.assert_array_equal(of_ranks, deviation)
    assert fusion.transform(table).shape == (len(values), 1)

    used = fusion.metric_summary_["direction"].to_numpy() != "none"
    weights = fusion.weights(table)
    assert weights.shape == values.shape
    assert np.all(weights >= 0)
    assert np.all(weights[np.isnan(values)] == 0)
    assert np.all(weights[:, ~used] == 0)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)

    uncertainty = fusion.score_uncertainty(table)
    assert uncertainty.shape == values.shape
    given_and_used = ~np.isnan(values) & used
    np.testing.assert_array_equal(~np.isnan(uncertainty), given_and_used)
    assert np.all(uncertainty[given_and_used] >= 0)
    assert np.all(np.isfinite(uncertainty[given_and_used]))

    summary = fusion.metric_summary_
    assert list(summary.columns[:7]) == [
        "direction", "direction_source", "weight", "correlation", "near_duplicates", "missing", "clipped",
    ]  # fmt: skip
    assert 1 - 1e-9 <= fusion.effective_metrics_ <= used.sum() + 1e-9


@pytest.fixture(scope="session")
def check_results():
    """The function that checks what any fitted fusion must return for any table."""
    return _check_results
