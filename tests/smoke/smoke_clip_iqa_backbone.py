"""Smoke test of the installed clip-iqa-backbone wheel: python smoke_clip_iqa_backbone.py REPOSITORY."""

import torch
from installed import check_installed, expect

from clip_iqa_backbone import CropPlan, create_backbone, expected_quality, make_views, open_image, quality_marginal

repository = check_installed("clip-iqa-backbone")

# From a photograph to its expected quality, through random weights: the numbers mean nothing, their shape does.
views = make_views(open_image(repository / "samples" / "chelsea.jpg"), CropPlan(count=4))
expect(tuple(views.local.shape) == (4, 3, 224, 224), f"crops have shape {tuple(views.local.shape)}")
with torch.inference_mode():
    log_p = create_backbone("lite")(views.local)
expect(tuple(log_p.shape) == (4, 5, 9, 11), f"log-probabilities have shape {tuple(log_p.shape)}")
total = log_p.exp().sum(dim=(1, 2, 3))
expect(torch.allclose(total, torch.ones(4), atol=1e-5), f"the probabilities of the crops sum to {total.tolist()}")
quality = expected_quality(quality_marginal(log_p))
expect(bool(((quality >= 1) & (quality <= 5)).all()), f"the expected qualities of the crops are {quality.tolist()}")
print("clip-iqa-backbone: four crops of a sample, 495 probabilities each")
