"""A short training of each package that trains, on the GPU; `nox -s gpu` runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clip_iqa_backbone import LiteConfig, create_backbone, quality_marginal
from defnet import CropsConfig, DataConfig, DataRoots, OptimizerConfig, TrainConfig, load_scorer, train
from evidential_nig import NIGHead, evidential_loss
from iqa_datasets.testing import make_fake

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def test_evidential_regression_trains_and_agrees_with_the_cpu() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-4, 4, 512, device=CUDA)[:, None]
    y = x**3 / 16 + 0.1 * torch.randn_like(x)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), NIGHead(64, 1)).to(CUDA)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    first = evidential_loss(model(x), y, tau=0.1).item()
    for _ in range(300):
        optimiser.zero_grad()
        evidential_loss(model(x), y, tau=0.1).backward()
        optimiser.step()
    last = evidential_loss(model(x), y, tau=0.1).item()
    assert last < first - 1
    # The same weights on the CPU: the device computes the same loss, it was not merely some loss that fell.
    on_cpu = evidential_loss(model.cpu()(x.cpu()), y.cpu(), tau=0.1).item()
    assert last == pytest.approx(on_cpu, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_lite_backbone_trains(precision: str) -> None:
    torch.manual_seed(0)
    model = create_backbone("lite", lite=LiteConfig(stages=(0, 1)), precision=precision, device=CUDA).train()
    pixels = torch.rand(16, 3, 224, 224, device=CUDA)
    # Dark images are bad, bright ones are perfect: what a few steps can learn.
    levels = torch.arange(16, device=CUDA) % 2 * 4
    pixels *= torch.where(levels > 0, 1.0, 0.2)[:, None, None, None]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert {parameter.dtype for parameter in trained} == {torch.float32}
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    losses = []
    for _ in range(30):
        loss = nn.functional.nll_loss(quality_marginal(model(pixels)).log(), levels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.clamp_logit_scale()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.5 * losses[0]


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
