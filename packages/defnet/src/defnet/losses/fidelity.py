"""Fidelity losses of the three tasks (DEFNet, Eqs. 5 to 12).

All of them compute in at least single precision and have finite gradients where a probability is exactly 0 or 1.
"""

import math
from typing import Literal

import torch
from torch import Tensor

_SQRT_KNEE = 1e-8


def _sqrt(x: Tensor) -> Tensor:
    """Square root with a finite slope at zero.

    √x for x ≥ 1e-8; below that the chord x / 1e-4, which meets the root at both ends, so that the value at 0 is
    exactly 0, its error is at most 2.5e-5, and the slope is 1e4 instead of infinite.
    """
    # Not clamp_min(0): its slope at 0 is 0 for some versions of torch, and a probability of 0 would never rise.
    x = torch.where(x < 0, 0.0, x)
    root: Tensor = x / x.clamp_min(_SQRT_KNEE).sqrt()
    return root


def _at_least_fp32(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t if t.dtype in (torch.float32, torch.float64) else t.float() for t in tensors)


def thurstone_probability(quality_1: Tensor, quality_2: Tensor, variant: Literal["sqrt2", "unit"] = "sqrt2") -> Tensor:
    """Probability that image 1 looks better than image 2 under Thurstone's case V (DEFNet, Eq. 8).

    Args:
        quality_1: estimated qualities, any shape.
        quality_2: the same shape.
        variant: `sqrt2` for Φ((q̂₁ − q̂₂)/√2), the paper; `unit` for Φ(q̂₁ − q̂₂), LIQE's code.

    Returns:
        Probabilities in [0, 1], the same shape.
    """
    quality_1, quality_2 = _at_least_fp32(quality_1, quality_2)
    difference = quality_1 - quality_2
    probability: Tensor = torch.special.ndtr(difference / math.sqrt(2) if variant == "sqrt2" else difference)
    return probability


def pair_fidelity(label: Tensor, probability: Tensor, complement: Tensor | None = None) -> Tensor:
    """Fidelity loss of a preference between two images (DEFNet, Eq. 7).

    Args:
        label: p(x₁, x₂): 1 where image 1 is better, 0 where image 2 is, ½ for a tie.
        probability: p̂(x₁, x₂) in [0, 1], the same shape.
        complement: 1 − p̂, where it is known more exactly than by subtraction.

    Returns:
        Losses in [0, 1], the same shape.
    """
    label, probability = _at_least_fp32(label, probability)
    complement = 1 - probability if complement is None else complement
    return 1 - _sqrt(label * probability) - _sqrt((1 - label) * complement)


def quality_fidelity(
    estimate: Tensor,
    quality: Tensor,
    dataset: Tensor,
    *,
    variant: Literal["sqrt2", "unit"] = "sqrt2",
    ties: Literal["half", "one", "none"] = "half",
    reduction: Literal["dataset", "pairs"] = "dataset",
    groups: Tensor | None = None,
    std: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Fidelity loss over all pairs of a batch (first term of DEFNet, Eq. 13, before its weight).

    Pairs are all i < j within one data set, because the scales of two data sets differ. A data set with a single
    image in the batch has no pair and is not counted.

    Where ratings are uncertain, y₁ = q(x₁) + ε₁ with ε₁ ~ N(0, s₁²), the label is the probability that image 1 is
    better given the ratings and nothing else, Φ((y₁ − y₂)/√(s₁² + s₂²)), in place of 0, ½ or 1.

    Args:
        estimate: q̂ of Eq. 5, (B,).
        quality: ground-truth quality, higher = better, (B,).
        dataset: index of the image's data set, integer, (B,).
        variant: see `thurstone_probability`.
        ties: label of a pair with one rating: ½, or 1, as "q(x₁) ≥ q(x₂)" has it for x₁ the earlier in the batch;
            `none` leaves it out, where equal numbers say that the order is not known.
        reduction: `dataset` averages within each data set and then over data sets; `pairs` averages over all pairs.
        groups: numbers, (B,): images of one data set are compared only where they have the same one. None compares all.
        std: s, the deviation of each rating's error, in units of `quality`, (B,); 0 for certain ones. A pair of two
            certain ratings has the label that it has without. None for 0 throughout.
        weights: weight ≥ 0 of the data set that an image belongs to, the same for all its images, (B,): both
            reductions are weighted means, over the data sets that have a pair, or over pairs. None for 1 throughout.

    Returns:
        A scalar in [0, 1]; 0, with zero gradients, where there is no pair at all, or none that weighs anything.

    Raises:
        ValueError: they do not have the same one-dimensional shape.
    """
    if not (estimate.ndim == 1 and estimate.shape == quality.shape == dataset.shape):
        raise ValueError(
            "estimate, quality and dataset must have one and the same shape (B,), "
            f"got {tuple(estimate.shape)}, {tuple(quality.shape)} and {tuple(dataset.shape)}"
        )
    for name, given in (("groups", groups), ("std", std), ("weights", weights)):
        if given is not None and given.shape != estimate.shape:
            raise ValueError(f"{name} must have shape {tuple(estimate.shape)}, got {tuple(given.shape)}")
    estimate, quality = _at_least_fp32(estimate, quality)
    i, j = torch.triu_indices(len(estimate), len(estimate), offset=1, device=estimate.device)
    same = dataset[i] == dataset[j]
    if groups is not None:
        same = same & (groups[i] == groups[j])
    difference = quality[i] - quality[j]
    label = (difference >= 0).to(difference.dtype) if ties == "one" else 0.5 * (1 + torch.sign(difference))
    if ties == "none":
        same = same & (difference != 0)
    if std is not None:
        deviation = torch.hypot(std[i].to(difference), std[j].to(difference))
        uncertain = deviation > 0
        label = torch.where(uncertain, torch.special.ndtr(difference / torch.where(uncertain, deviation, 1.0)), label)
    loss = pair_fidelity(
        label,
        thurstone_probability(estimate[i], estimate[j], variant),
        thurstone_probability(estimate[j], estimate[i], variant),
    )
    loss = torch.where(same, loss, 0.0)
    weights = torch.ones_like(estimate) if weights is None else weights.to(estimate)
    if reduction == "pairs":
        return _ratio((weights[i] * loss).sum(), (weights[i] * same).sum())
    datasets = int(dataset.max()) + 1 if len(dataset) else 1
    sums = loss.new_zeros(datasets).index_add(0, dataset[i], loss)
    counts = loss.new_zeros(datasets).index_add(0, dataset[i], same.to(loss.dtype))
    weight = loss.new_zeros(datasets).index_copy(0, dataset, weights.to(loss.dtype)) * (counts > 0)
    return _ratio((weight * (sums / counts.clamp_min(1))).sum(), weight.sum())


def _ratio(total: Tensor, weight: Tensor) -> Tensor:
    """A weighted mean, and 0 where nothing weighs anything."""
    return total / torch.where(weight > 0, weight, 1.0)


def scene_fidelity(probability: Tensor, label: Tensor) -> Tensor:
    """Multi-label fidelity loss over scenes (DEFNet, Eq. 10).

    Args:
        probability: p̂(s|x) of Eq. 9, (..., 9), in [0, 1].
        label: 1 for every scene that the image shows, else 0, the same shape.

    Returns:
        Losses, (...), in [0, 1].
    """
    probability, label = _at_least_fp32(probability, label)
    return (1 - _sqrt(label * probability) - _sqrt((1 - label) * (1 - probability))).mean(-1)


def distortion_fidelity(probability: Tensor, label: Tensor) -> Tensor:
    """Fidelity loss of the dominant distortion (DEFNet, Eq. 12).

    Args:
        probability: p̂(d|x) of Eq. 11, (..., 11), in [0, 1].
        label: one-hot ground truth, the same shape.

    Returns:
        Losses, (...), in [0, 1].
    """
    probability, label = _at_least_fp32(probability, label)
    return 1 - _sqrt(label * probability).sum(-1)
