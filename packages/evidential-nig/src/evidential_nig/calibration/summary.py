"""All calibration figures of a predictive distribution at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import Levels, check_levels
from evidential_nig.calibration.pairs import check_pair, mean_of
from evidential_nig.calibration.probabilities import interval_coverage, quantile_calibration_error
from evidential_nig.calibration.ranking import ause, error_uncertainty_correlation
from evidential_nig.calibration.scores import crps, nll, sharpness


@dataclass(frozen=True)
class CalibrationSummary:
    """What `summarize` returns. Every field is a plain number; `print` shows a table.

    Attributes:
        n: Number of observations.
        rmse: Root mean squared error of the predictive mean, in units of the target.
        mae: Mean absolute error of the predictive mean, in units of the target.
        nll: See `nll`. Nats.
        crps: See `crps`. Units of the target.
        sharpness: See `sharpness`. Units of the target.
        quantile_calibration_error: See `quantile_calibration_error`; the mean absolute one, in [0, ½].
        coverage: Share of targets inside each central interval, as pairs (level, share).
        ause: See `ause`; of the RMSE, normalised.
        error_uncertainty_correlation: See `error_uncertainty_correlation`; NaN if the uncertainty or the error is
            constant.
    """

    n: int
    rmse: float
    mae: float
    nll: float
    crps: float
    sharpness: float
    quantile_calibration_error: float
    coverage: tuple[tuple[float, float], ...]
    ause: float
    error_uncertainty_correlation: float

    def as_dict(self) -> dict[str, float]:
        """One flat dictionary, for a logger or a table; coverage is under "coverage_0.95" and so on."""
        numbers = {name: value for name, value in vars(self).items() if name != "coverage"}
        return numbers | {f"coverage_{level:g}": share for level, share in self.coverage}

    def __str__(self) -> str:
        rows = [
            ("observations", f"{self.n:,}"),
            ("RMSE", f"{self.rmse:.4g}"),
            ("MAE", f"{self.mae:.4g}"),
            ("NLL", f"{self.nll:.4g}"),
            ("CRPS", f"{self.crps:.4g}"),
            ("sharpness", f"{self.sharpness:.4g}"),
            ("quantile calibration error", f"{self.quantile_calibration_error:.4f}"),
            *(
                (f"coverage of the {100 * level:g} % interval", f"{100 * share:.1f} %")
                for level, share in self.coverage
            ),
            ("AUSE (RMSE, normalised)", f"{self.ause:.4f}"),
            ("error-uncertainty correlation", f"{self.error_uncertainty_correlation:.4f}"),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value:>9}" for label, value in rows)


@torch.no_grad()
def summarize(
    predictive: Distribution,
    target: Tensor,
    uncertainty: Tensor | None = None,
    levels: Levels = (0.5, 0.8, 0.95),
) -> CalibrationSummary:
    """All figures of this module at once.

    Args:
        predictive: See `pit`; it must have a finite `mean`, a `variance` and a `log_prob` besides.
        target: See `pit`.
        uncertainty: What `ause` and `error_uncertainty_correlation` rank the errors by, shape exactly that of `target`;
            the predictive variance by default. `NormalInverseGamma.epistemic` shows what that alone is worth.
        levels: One or several levels of the central intervals, no two alike to six digits.

    Returns:
        Plain numbers; `print` it, or take `as_dict()`.

    Raises:
        TypeError: See `pit` and `crps`.
        ValueError: See `interval_coverage`, `crps` and `sparsification_curve`; or if there is no predictive mean, or
            two levels are alike.

    Example:
        >>> from torch.distributions import Normal
        >>> target = torch.tensor([-1.5, -0.5, 0.25, 0.5, 3.0])
        >>> summary = summarize(Normal(torch.zeros(5), torch.tensor([1.0, 1.0, 0.5, 1.0, 2.0])), target)
        >>> print(summary)
        observations                           5
        RMSE                               1.537
        MAE                                 1.15
        NLL                                1.444
        CRPS                              0.7624
        sharpness                          1.204
        quantile calibration error        0.0822
        coverage of the 50 % interval     60.0 %
        coverage of the 80 % interval     60.0 %
        coverage of the 95 % interval    100.0 %
        AUSE (RMSE, normalised)           0.0867
        error-uncertainty correlation     0.9177
        >>> round(summary.as_dict()["coverage_0.8"], 4)
        0.6
    """
    target = check_pair(predictive, target)
    ordered = checked_summary_levels(levels, target.device).tolist()
    coverage = interval_coverage(predictive, target, ordered).tolist()
    mean = mean_of(predictive)
    error = target - mean
    variance = predictive.variance if uncertainty is None else uncertainty
    return CalibrationSummary(
        n=target.numel(),
        rmse=error.square().mean().sqrt().item(),
        mae=error.abs().mean().item(),
        nll=nll(predictive, target).item(),
        crps=crps(predictive, target).item(),
        sharpness=sharpness(predictive).item(),
        quantile_calibration_error=quantile_calibration_error(predictive, target).item(),
        coverage=tuple(zip(ordered, coverage, strict=True)),
        ause=ause(variance, error).item(),
        error_uncertainty_correlation=error_uncertainty_correlation(variance, error).item(),
    )


def checked_summary_levels(levels: Levels, device: torch.device) -> Tensor:
    """Levels as a vector, no two of which would be called alike."""
    result = check_levels(levels, device).reshape(-1)
    if len({f"{level:g}" for level in result.tolist()}) < len(result):
        raise ValueError(f"levels must differ from each other in their first six digits, got {levels}")
    return result
