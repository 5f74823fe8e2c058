"""Whether the stated uncertainty is true, as a picture: reliability before and after, and what it sorts out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from defnet.errors import DataError
from defnet.experiments.prediction_table import evidence_of
from defnet.experiments.result import Result
from defnet.report.figure_style import dataset_title, panels
from evidential_nig.recalibration import VarianceScale

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def reliability(results: Sequence[Result], predictions: Sequence[pd.DataFrame]) -> "Figure":
    """Reliability (above) and sparsification (below) on the test part, a column a data set.

    Args:
        results: runs; the first that states an uncertainty is drawn.
        predictions: their tables.

    Returns:
        The figure. Above, the share of ratings below each predicted quantile, as trained and with the variance scale
        that the validation parts gave; on the diagonal what is stated is true. Below, the error that is left when the
        images of the largest stated deviation are left out, beside the oracle that knows the errors.

    Raises:
        DataError: no run states an uncertainty.
    """
    import torch

    from evidential_nig.plots import plot_calibration_curve, plot_sparsification

    stating = [(result, table) for result, table in zip(results, predictions, strict=True) if "loc" in table]
    if not stating:
        raise DataError("there is no run that states an uncertainty")
    result, table = stating[0]
    test = table[table["part"] == "test"]
    datasets = list(test.groupby("dataset", sort=False))
    figure, grid = panels(2, len(datasets), width=4.2, height=3.9)
    scale = VarianceScale((result.variance_scale or 1.0) ** 0.5)
    for column, (name, rows) in enumerate(datasets):
        evidence, target = evidence_of(rows), torch.tensor(rows["quality"].to_numpy(np.float64))
        upper, lower = grid[0, column], grid[1, column]
        plot_calibration_curve(evidence.predictive(), target, label="as trained", ax=upper)
        scaled = f"variance × {scale.factor**2:.2f}"
        plot_calibration_curve(scale.apply(evidence).predictive(), target, label=scaled, ax=upper)
        plot_sparsification(evidence.predictive_variance, target - evidence.loc, ax=lower)
        upper.set_title(f"{dataset_title(str(name))}, {len(rows)} images", fontsize=9)
        upper.set(xlabel="expected share of ratings below the quantile")
        lower.set(xlabel="share of images left out, the most uncertain first", ylabel="RMSE of those left")
        for axes in (upper, lower):
            axes.legend(frameon=False, fontsize=7, loc="upper left" if axes is upper else "lower left")
    return figure
