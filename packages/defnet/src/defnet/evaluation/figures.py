"""Figures of a model on labelled images."""

import numpy as np

from defnet.data.table import ImageTable
from defnet.evaluation.accuracy import distortion_accuracy, scene_accuracy
from defnet.evaluation.correlations import correlations
from defnet.evaluation.predictions import Predictions
from defnet.evaluation.uncertainty import uncertainty_figures
from defnet.model.predictive import HIGHEST, LOWEST
from defnet.model.student_t import StudentT
from iqa_datasets import DISTORTIONS, SCENES


def evaluation_figures(
    predictions: Predictions, table: ImageTable, *, variance_scale: float = 1.0, constant_std: float | None = None
) -> dict[str, float]:
    """Every figure of a model on n labelled images.

    Args:
        predictions: the model's answers, in the table's order.
        table: the truth.
        variance_scale: factor on the predictive variance, fitted on validation data.
        constant_std: standard deviation of the constant-variance rival, fitted on validation data; by default the
            root mean squared error on these very images.

    Returns:
        `images`; `srcc`, `krcc`, `plcc`, `plcc_logistic`, `rmse` of the predictive mean; `srcc_expected`,
        `plcc_expected` and `plcc_logistic_expected` of the expected quality (q̂ of Eq. 5); accuracies beside the
        majority class's; and those of `uncertainty_figures`.
    """
    quality = table.quality.double().numpy()
    raw = predictions.predictive
    predictive = StudentT(raw.df, raw.loc, raw.scale * np.sqrt(variance_scale))
    figures: dict[str, float] = {"images": len(quality)}
    figures |= correlations(predictive.loc, quality)
    expected = correlations(predictions.expected_quality, quality)
    figures |= {f"{name}_expected": expected[name] for name in ("srcc", "plcc", "plcc_logistic")}
    if predictions.scene:
        labels = [[name for name, on in zip(SCENES, row, strict=True) if on] for row in table.scenes.tolist()]
        known = [i for i, names in enumerate(labels) if names]
        figures |= scene_accuracy([predictions.scene[i] for i in known], [labels[i] for i in known])
    if predictions.distortion:
        known = [i for i, row in enumerate(table.distortion.tolist()) if any(row)]
        truth = [DISTORTIONS[int(table.distortion[i].argmax())] for i in known]
        figures |= distortion_accuracy([predictions.distortion[i] for i in known], truth)
    figures |= uncertainty_figures(
        predictive, quality, bounds=(LOWEST, HIGHEST), constant_std=constant_std or figures["rmse"]
    )
    return figures
