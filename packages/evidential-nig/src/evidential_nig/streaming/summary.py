"""All calibration figures over batches at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from evidential_nig.arguments import Levels
from evidential_nig.calibration.pairs import check_pair, check_ranking, mean_of
from evidential_nig.calibration.probabilities import count_at_most, default_percentiles, pit
from evidential_nig.calibration.ranking import ause, error_uncertainty_correlation
from evidential_nig.calibration.scores import crps, nll
from evidential_nig.calibration.summary import CalibrationSummary, checked_summary_levels
from evidential_nig.streaming.metric import StreamingMetric


class Summary(StreamingMetric[CalibrationSummary]):
    """`calibration.summarize` over batches: `update(predictive, target)`.

    Args:
        levels: One or several levels of the central intervals, no two alike to six digits.

    Raises:
        ValueError: If a level is outside (0, 1) or two are alike.

    Example:
        >>> from torch.distributions import Normal
        >>> summary = Summary(levels=0.5)
        >>> for target in (torch.tensor([-3.0, -0.5]), torch.tensor([0.1, 1.5])):
        ...     summary.update(Normal(torch.zeros(2), 1.0), target)
        >>> summary.compute().n, summary.compute().coverage
        (4, ((0.5, 0.5),))
    """

    def __init__(self, levels: Levels = (0.5, 0.8, 0.95)) -> None:
        self.levels = checked_summary_levels(levels, torch.device("cpu"))
        super().__init__()

    @torch.no_grad()
    def update(self, predictive: Distribution, target: Tensor, uncertainty: Tensor | None = None) -> None:
        """Take a batch in; arguments and errors are those of `calibration.summarize`."""
        target = check_pair(predictive, target)
        probability = pit(predictive, target)
        error = target - mean_of(predictive)
        variance = predictive.variance
        ranked, _ = check_ranking(variance if uncertainty is None else uncertainty, error)
        scores = nll(predictive, target, reduction="sum"), crps(predictive, target, reduction="sum")
        for name, score in zip(("nll", "crps"), scores, strict=True):
            self._add(name, score)
        self._add("squared", error.square().sum())
        self._add("absolute", error.abs().sum())
        self._add("variance", variance.double().sum())
        self._add("inside", count_at_most((2 * probability - 1).abs(), self.levels.to(probability.device)))
        self._add("below", count_at_most(probability, default_percentiles(None, probability.device)))
        self._keep("uncertainty", ranked)
        self._keep("error", error)
        self._count(target)

    def compute(self) -> CalibrationSummary:
        """Plain numbers; see `calibration.summarize`."""
        below = self._mean("below")
        ranking = self._kept("uncertainty"), self._kept("error")
        return CalibrationSummary(
            n=self.n,
            rmse=self._mean("squared").sqrt().item(),
            mae=self._mean("absolute").item(),
            nll=self._mean("nll").item(),
            crps=self._mean("crps").item(),
            sharpness=self._mean("variance").sqrt().item(),
            quantile_calibration_error=(below - default_percentiles(None, below.device)).abs().mean().item(),
            coverage=tuple(zip(self.levels.tolist(), self._mean("inside").tolist(), strict=True)),
            ause=ause(*ranking).item(),
            error_uncertainty_correlation=error_uncertainty_correlation(*ranking).item(),
        )

    def _options(self) -> dict[str, Any]:
        return {"levels": self.levels.tolist()}
