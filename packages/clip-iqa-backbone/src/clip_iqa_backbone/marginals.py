"""From the joint distribution over (quality, scene, distortion) to what is asked about one image or crop."""

from __future__ import annotations

import torch
from torch import Tensor

from clip_iqa_backbone.single_precision import at_least_single


def quality_marginal(log_p: Tensor) -> Tensor:
    """Probability of each quality level, summed over scenes and distortions (inner sums of DEFNet, Eq. 6).

    Args:
        log_p: Joint log-probabilities (..., C, S, D).

    Returns:
        Probabilities (..., C) that sum to one, in fp32 where ``log_p`` is in half precision.

    Example:
        >>> import torch
        >>> log_p = torch.zeros(5, 9, 11).flatten().log_softmax(0).view(5, 9, 11)
        >>> quality_marginal(log_p)
        tensor([0.2000, 0.2000, 0.2000, 0.2000, 0.2000])
    """
    return _probabilities(log_p).sum(dim=(-2, -1))


def scene_marginal(log_p: Tensor) -> Tensor:
    """Probability of each scene, summed over quality levels and distortions (DEFNet, Eq. 9).

    Args:
        log_p: Joint log-probabilities (..., C, S, D).

    Returns:
        Probabilities (..., S) that sum to one, in fp32 where ``log_p`` is in half precision.
    """
    return _probabilities(log_p).sum(dim=(-3, -1))


def distortion_marginal(log_p: Tensor) -> Tensor:
    """Probability of each distortion, summed over quality levels and scenes (DEFNet, Eq. 11).

    Args:
        log_p: Joint log-probabilities (..., C, S, D).

    Returns:
        Probabilities (..., D) that sum to one, in fp32 where ``log_p`` is in half precision.
    """
    return _probabilities(log_p).sum(dim=(-3, -2))


def expected_quality(quality_probabilities: Tensor) -> Tensor:
    """Mean quality, with levels worth 1 (bad) to C (perfect) points (DEFNet, Eq. 5).

    Args:
        quality_probabilities: Probabilities (..., C), worst level first.

    Returns:
        Mean quality (...), between 1 and C.

    Example:
        >>> import torch
        >>> expected_quality(torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0]))
        tensor(3.5000)
    """
    levels = quality_probabilities.shape[-1]
    points = torch.arange(1, levels + 1, dtype=quality_probabilities.dtype, device=quality_probabilities.device)
    return (quality_probabilities * points).sum(dim=-1)


def _probabilities(log_p: Tensor) -> Tensor:
    if log_p.ndim < 3:
        raise ValueError(
            f"log_p must end in the three axes (quality, scene, distortion), got shape {tuple(log_p.shape)}."
        )
    # 99 sums in half precision lose the third digit.
    return at_least_single(log_p).exp()
