"""A short training of clip-iqa-backbone on the GPU; `nox -s "gpu(clip-iqa-backbone)"` runs it."""

import numpy as np
import pytest
import torch
from torch import nn

from clip_iqa_backbone import LiteConfig, create_backbone, quality_marginal

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


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
