"""What the network says of quality, as a distribution on the scale of the ratings."""

import torch
from torch import Tensor

from defnet.model.evidence import Prediction
from evidential_nig import NormalInverseGamma

LOWEST, HIGHEST = 1.0, 5.0
"""Ends of the scale of ratings."""


def quality_spread(prediction: Prediction) -> Tensor:
    """The standard deviation of quality under p(q) of Eq. 6, whose mean is q̂ of Eq. 5.

    A level stands for all qualities within half a level of it, none more probable than another, which adds 1/12 to
    the variance of the levels. Sub-images that differ make the spread large, and so does one that could be of several.

    Returns:
        (B,), in [0.28, 2.03], in double precision, on the CPU, without gradients.
    """
    probability = prediction.probabilities["quality"].detach().double().cpu()
    levels = torch.arange(1.0, probability.shape[-1] + 1, dtype=torch.float64)
    mean = (probability * levels).sum(-1, keepdim=True)
    return ((probability * (levels - mean).square()).sum(-1) + 1 / 12).sqrt()


def quality_evidence(prediction: Prediction, variance_scale: float = 1.0) -> NormalInverseGamma | None:
    """The evidence behind the score (DEFNet, Eq. 25 or 18), whose predictive distribution is the score's.

    Args:
        prediction: the network's output for B images.
        variance_scale: factor on β, and so on every variance; the mean and the degrees of freedom stay.

    Returns:
        Evidence of batch shape (B,), in double precision, on the CPU, without gradients; None where the score is the
        expected quality of Eq. 5, which has no uncertainty.
    """
    fused = prediction.score_evidence
    if fused is None:
        return None
    loc, nu, alpha_minus_one, beta = (
        t.detach().double().cpu() for t in (fused.loc, fused.nu, fused.alpha_minus_one, fused.beta)
    )
    return NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta * variance_scale)
