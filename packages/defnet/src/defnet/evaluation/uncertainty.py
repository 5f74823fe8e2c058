"""Whether the stated uncertainty is true."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from evidential_nig import NormalInverseGamma
from evidential_nig.calibration import crps, error_uncertainty_correlation, interval_coverage, nll

Intervals = Callable[[float], tuple[Tensor, Tensor]]

INTERVAL_LEVELS = (0.50, 0.80, 0.95)


def uncertainty_figures(
    evidence: NormalInverseGamma,
    target: Tensor,
    *,
    bounds: tuple[float, float],
    constant_std: float,
    intervals: Intervals | None = None,
) -> dict[str, float]:
    """Whether the stated uncertainty is true.

    Args:
        evidence: calibrated evidence of n images, in double precision.
        target: ratings on the same scale, (n,), in double precision.
        bounds: ends of the scale, which hold all ratings; the widths of intervals are those of what lies within.
        constant_std: standard deviation of the rival that has the same means and one variance for all images, fitted
            on validation data.
        intervals: both ends of the interval of a level for all images, where it is not that of the evidence's
            predictive Student t.

    Returns:
        `coverage_50`, `coverage_80`, `coverage_95` and the mean `width_*` of the cut intervals; `nll`, `crps` and
        `nll_constant`, `crps_constant` of the rival; `error_spearman`, the rank correlation of predicted standard
        deviation and absolute error (NaN where one of them is the same for all images).
    """
    predictive = evidence.predictive()
    rival = Normal(evidence.loc, torch.full_like(evidence.loc, constant_std))
    levels = torch.tensor(INTERVAL_LEVELS, dtype=target.dtype)
    figures: dict[str, float] = {}
    for level, coverage in zip(INTERVAL_LEVELS, interval_coverage(predictive, target, levels).tolist(), strict=True):
        ends = predictive.interval(level) if intervals is None else intervals(level)
        if intervals is not None:
            coverage = ((ends[0] <= target) & (target <= ends[1])).double().mean().item()
        lower, upper = (end.clamp(*bounds) for end in ends)
        figures[f"coverage_{level * 100:.0f}"] = coverage
        figures[f"width_{level * 100:.0f}"] = (upper - lower).mean().item()
    figures["nll"], figures["crps"] = nll(predictive, target).item(), crps(predictive, target).item()
    figures["nll_constant"], figures["crps_constant"] = nll(rival, target).item(), crps(rival, target).item()
    deviation, error = evidence.predictive_variance.sqrt(), (target - evidence.loc).abs()
    defined = len(target) > 1 and np.ptp(deviation.numpy()) > 0 and np.ptp(error.numpy()) > 0
    figures["error_spearman"] = error_uncertainty_correlation(deviation, error).item() if defined else float("nan")
    return figures
