"""What the image tower's trunk made of an image's views, as one vector: where distances between images are measured."""

import torch
from torch import Tensor


def describe(local: Tensor, global_view: Tensor) -> Tensor:
    """Describe images by the features that scoring looks at anyway.

    Args:
        local: trunk features of the sub-images, (B, N, F).
        global_view: those of the whole images, (B, F).

    Returns:
        Mean and standard deviation of each feature over the sub-images, then the whole image's, (B, 3F), in double
        precision on the CPU. The deviations of a single sub-image are NaN: it has none.
    """
    local, global_view = local.detach().double().cpu(), global_view.detach().double().cpu()
    mean = local.mean(1)
    deviation = local.std(1) if local.shape[1] > 1 else torch.full_like(mean, torch.nan)
    return torch.cat([mean, deviation, global_view], -1)
