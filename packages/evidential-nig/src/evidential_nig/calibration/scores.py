"""Scores of whole predictive distributions: likelihood, continuous ranked probability score, sharpness."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution, MixtureSameFamily, Normal

from evidential_nig.arguments import check_choice, refuse
from evidential_nig.calibration.pairs import check_pair, check_predictive, mean_of
from evidential_nig.calibration.probabilities import pit
from evidential_nig.gauss_legendre import gauss_legendre
from evidential_nig.losses import REDUCTIONS, Reduction, reduce

_RULE = gauss_legendre(16)


@torch.no_grad()
def nll(predictive: Distribution, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Negative log likelihood of the targets.

    Args:
        predictive: See `pit`.
        target: See `pit`.
        reduction: "none" keeps one value a target, "sum" adds them up, "mean" divides that by their number.

    Returns:
        A tensor of shape (), or (...) with "none", in nats; smaller is better. It depends on the units of the target:
        in units c times as small it is larger by log c.

    Raises:
        TypeError: See `pit`.
        ValueError: If the shapes differ, there is no target, a target is not finite, its log likelihood is NaN, or
            `reduction` is not one of the three.

    Example:
        >>> from torch.distributions import Normal
        >>> nll(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0])).round(decimals=4)
        tensor(1.1689, dtype=torch.float64)
    """
    check_choice("reduction", reduction, REDUCTIONS)
    target = check_pair(predictive, target)
    score = -predictive.log_prob(target).double()
    refuse(score.isnan(), "the log_prob of predictive at the target must be a number")
    return reduce(score, reduction, None)


@torch.no_grad()
def crps(predictive: Distribution, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Continuous ranked probability score, ∫ (F(x) − 1{x ≥ y})² dx.

    By the distribution's own `crps` method where it has one (`evidential_nig.StudentT` has), in closed form for a
    `Normal` and a `MixtureSameFamily` of them, and else by quadrature of its `cdf`: 16 nodes of Gauss and Legendre
    between neighbours of the target, the ends of the support, and points around the mean in steps that grow fourfold
    from 1/64 to 1e9 standard deviations, around those of each component in a mixture. That is good to about 1e-6 of the
    score; but a step of `cdf` much narrower than the standard deviation, away from the mean, may be missed unless it
    is a component of a `MixtureSameFamily`.

    Args:
        predictive: See `pit`; without a known score, it or its components must have a finite `mean`, and a finite
            `stddev` or a `scale`. One whose `cdf` refuses values in the far tails, as torch's Gumbel does, must be made
            with `validate_args=False`.
        target: See `pit`.
        reduction: See `nll`.

    Returns:
        A tensor of shape (), or (...) with "none", in units of the target; 0 is best. For a distribution that is sure
        of one value it is the absolute error.

    Raises:
        TypeError: See `pit`.
        ValueError: If the shapes differ, there is no target, a target is not finite, its score is NaN, there is no mean
            to integrate around, or `reduction` is not one of the three.

    Example:
        >>> from torch.distributions import Normal
        >>> crps(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0])).round(decimals=4)
        tensor(0.4181, dtype=torch.float64)

    Source: Gneiting and Raftery, "Strictly proper scoring rules, prediction, and estimation", 2007, Eqs. 20 and 21;
    Grimit, Gneiting, Berrocal and Johnson, "The continuous ranked probability score for circular variables and its
    application to mesoscale forecast ensemble verification", 2006, Eq. 5, for mixtures of normals.
    """
    check_choice("reduction", reduction, REDUCTIONS)
    target = check_pair(predictive, target)
    score: Tensor
    if hasattr(predictive, "crps"):
        score = predictive.crps(target)
    elif isinstance(predictive, Normal):
        score = _normal_crps(predictive, target)
    elif isinstance(predictive, MixtureSameFamily) and isinstance(predictive.component_distribution, Normal):
        score = _normal_mixture_crps(predictive, target)
    else:
        pit(predictive, target)  # for its checks of the cdf
        score = _integrated_crps(predictive, target)
    refuse(score.isnan(), "the crps of predictive at the target must be a number")
    return reduce(score.double(), reduction, None)


@torch.no_grad()
def sharpness(predictive: Distribution) -> Tensor:
    """Root of the mean predictive variance: how narrow the predictions are, whatever was observed.

    Of two calibrated distributions the sharper is the better one; alone it says nothing of quality. It is infinite
    where a variance is.

    Args:
        predictive: Predictions with a `variance`, any batch shape but an empty one.

    Returns:
        A tensor of shape (), in units of the target.

    Raises:
        TypeError: If `predictive` is no distribution of single numbers.
        ValueError: If it is empty.

    Example:
        >>> from torch.distributions import Normal
        >>> sharpness(Normal(torch.zeros(2), torch.tensor([3.0, 4.0]))).round(decimals=4)
        tensor(3.5355, dtype=torch.float64)

    Source: Gneiting, Balabdaoui and Raftery, "Probabilistic forecasts, calibration and sharpness", 2007, for the
    notion.
    """
    check_predictive(predictive)
    if predictive.batch_shape.numel() == 0:
        raise ValueError(f"predictive must not be empty, but has batch shape {tuple(predictive.batch_shape)}")
    return predictive.variance.double().mean().sqrt()


def _expected_distance(offset: Tensor, variance: Tensor) -> Tensor:
    """E|X − a| for X ~ Normal(m, variance) and offset = m − a."""
    z_squared = offset.square() / (2 * variance)
    return (2 * variance / math.pi).sqrt() * (-z_squared).exp() + offset * torch.erf(offset / (2 * variance).sqrt())


def _normal_crps(predictive: Normal, target: Tensor) -> Tensor:
    # CRPS = E|X − y| − ½ E|X − X'|, and X − X' of two normals is normal.
    scale = predictive.scale.double()
    return _expected_distance(predictive.loc.double() - target, scale.square()) - scale / math.sqrt(math.pi)


def _normal_mixture_crps(predictive: MixtureSameFamily, target: Tensor) -> Tensor:
    weight = predictive.mixture_distribution.probs.double()
    component = cast("Normal", predictive.component_distribution)
    loc, variance = component.loc.double(), component.scale.double().square()
    # One component against all at a time, to use memory for n × components and not their square.
    spread = sum(
        weight[..., i]
        * (weight * _expected_distance(loc - loc[..., i : i + 1], variance + variance[..., i : i + 1])).sum(-1)
        for i in range(weight.shape[-1])
    )
    return (weight * _expected_distance(loc - target.unsqueeze(-1), variance)).sum(-1) - 0.5 * spread


def _integrated_crps(predictive: Distribution, target: Tensor) -> Tensor:
    mixed = isinstance(predictive, MixtureSameFamily)
    component = cast("MixtureSameFamily", predictive).component_distribution if mixed else predictive
    # One column a component, before the batch.
    loc, scale = mean_of(component), _spread(component)
    if mixed:
        loc, scale = loc.movedim(-1, 0), scale.movedim(-1, 0)
    else:
        loc, scale = loc.unsqueeze(0), scale.unsqueeze(0)
    center, reach = loc.mean(0), scale.amax(0) + (loc.amax(0) - loc.amin(0))

    knots = [target.unsqueeze(0), loc, center.unsqueeze(0)]
    for step in range(-3, 4):
        knots += [loc - 4.0**step * scale, loc + 4.0**step * scale]
    for step in range(16):
        knots += [(center - 4.0**step * reach).unsqueeze(0), (center + 4.0**step * reach).unsqueeze(0)]
    ordered = torch.cat(knots)
    support = component.support
    for name in ("lower_bound", "upper_bound"):
        bound = getattr(support, name, None)
        if bound is not None:
            bound = torch.as_tensor(bound, dtype=target.dtype, device=target.device)
            if mixed and bound.dim() > 0:
                bound = bound.amin(-1) if name == "lower_bound" else bound.amax(-1)
            ordered = torch.cat((ordered, bound.expand_as(target).unsqueeze(0)))
            ordered = ordered.clamp(min=bound) if name == "lower_bound" else ordered.clamp(max=bound)
    ordered = ordered.sort(dim=0).values

    score = torch.zeros_like(target)
    for start, end in pairwise(ordered):
        width = end - start
        above = (start >= target).double()
        for node, weight in _RULE:
            score += weight * width * (predictive.cdf(start + node * width).double() - above).square()
    return score


def _spread(component: Distribution) -> Tensor:
    """The standard deviation, or what has its place where that is infinite."""
    spread = component.stddev.double()
    if hasattr(component, "scale"):
        spread = torch.where(spread.isfinite(), spread, torch.as_tensor(component.scale).double())
    refuse(~(spread.isfinite() & (spread > 0)), "the stddev of predictive must be finite and above 0")
    return spread
