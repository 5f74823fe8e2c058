"""From the joint distribution over (quality, scene, distortion) to what is asked about one image or crop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from clip_iqa_backbone.single_precision import at_least_single

Averaging = Literal["probabilities", "logits"]


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


def average_over_views(
    logits: Tensor, marginal: Callable[[Tensor], Tensor], averaging: Averaging = "probabilities", *, dim: int = -4
) -> Tensor:
    """A marginal of an image, averaged over its views (outer mean of DEFNet, Eq. 6, and its likes for Eqs. 9 and 11).

    Args:
        logits: Joint logits of each view (..., N, C, S, D), as
            :meth:`~clip_iqa_backbone.JointProbability.logits` gives them. Log-probabilities do as well:
            a softmax does not see what is added to all.
        marginal: :func:`quality_marginal`, :func:`scene_marginal` or :func:`distortion_marginal`.
        averaging: ``"probabilities"`` takes each view's marginal and their mean, as the paper does; ``"logits"`` takes
            the mean of the logits and the marginal of their softmax, as LIQE does.
        dim: The axis of the views.

    Returns:
        Probabilities (..., K) that sum to one.

    Raises:
        ValueError: There is no such average, or ``dim`` is one of the three last axes.

    Example:
        >>> import torch
        >>> views = torch.zeros(15, 5, 9, 11)
        >>> average_over_views(views, quality_marginal, "logits")
        tensor([0.2000, 0.2000, 0.2000, 0.2000, 0.2000])
    """
    if averaging not in get_args(Averaging):
        raise ValueError(f"averaging must be one of {', '.join(get_args(Averaging))}, got {averaging!r}.")
    if logits.ndim < 4 or not -logits.ndim <= dim < logits.ndim or dim % logits.ndim >= logits.ndim - 3:
        raise ValueError(
            "logits must have an axis of views before (quality, scene, distortion), got shape "
            f"{tuple(logits.shape)} and dim={dim}."
        )
    if averaging == "logits":
        return marginal(joint_log_softmax(logits.mean(dim)))
    # A marginal takes the last three axes for one, so that counted from the front the axis stays.
    return marginal(joint_log_softmax(logits)).mean(dim % logits.ndim)


def joint_log_softmax(logits: Tensor) -> Tensor:
    """Logarithm of the softmax over all sentences together (DEFNet, Eq. 4), (..., C, S, D) in fp32."""
    return at_least_single(logits).flatten(-3).log_softmax(dim=-1).view(logits.shape)


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
