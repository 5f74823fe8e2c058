"""A short training of defnet on the GPU; `nox -s "gpu(defnet)"` runs it."""

import json
from pathlib import Path

import numpy as np
import pytest

from defnet import CropsConfig, DataConfig, DataRoots, OptimizerConfig, TrainConfig, load_scorer, train
from iqa_datasets.testing import make_fake

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_defnet_trains_and_its_scores_agree_with_the_cpu(precision: str, tmp_path: Path) -> None:
    fake = make_fake("live-challenge", tmp_path, images=24)
    config = TrainConfig(
        data=[DataConfig(name=fake.name, session=1, batch_size=8)],
        crops=CropsConfig(test_count=4),
        optimizer=OptimizerConfig(learning_rate=1e-3),
        epochs=2,
        steps_per_epoch=10,
        precision=precision,
    )
    result = train(config, DataRoots(tmp_path), tmp_path / "run", device="cuda")
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    totals = [row["total"] for row in rows if "total" in row]
    assert len(totals) == 20
    assert np.isfinite(totals).all()
    assert np.mean(totals[-5:]) < np.mean(totals[:5])

    images = sorted((fake.root / "Images").glob("*.*"))
    on_gpu, on_cpu = (
        load_scorer(str(result.model), device=device).score(images).to_dataframe() for device in ("cuda", "cpu")
    )
    # A rating has two decimals; half precision inside the towers may move the third.
    assert on_gpu["quality"].to_numpy() == pytest.approx(on_cpu["quality"].to_numpy(), abs=5e-3)
