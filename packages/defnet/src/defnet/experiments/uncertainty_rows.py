"""Whether the stated uncertainty is true, by other ways to fuse and after correction, from tables of predictions alone.

A table of predictions holds the evidence of every view, so that one trained model can be judged as if it fused
otherwise: all sub-images counted in full, tempered, or one sub-image alone. What a correction has to learn, it learns
from the rows of the validation part.
"""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from defnet.config.model import ModelConfig
from defnet.errors import DataError
from defnet.evaluation.calibration import calibrate
from defnet.evaluation.predictions import Predictions
from defnet.evaluation.uncertainty import INTERVAL_LEVELS, uncertainty_figures
from defnet.experiments.prediction_table import evidence_of, truth_of
from defnet.model.evidence import cross_region, softplus_again
from defnet.quality_scale import HIGHEST, LOWEST
from evidential_nig import NormalInverseGamma, fuse, fuse_local_global
from evidential_nig.calibration import ause, error_uncertainty_correlation
from evidential_nig.conformal import SplitConformal
from evidential_nig.recalibration import VarianceScale

Fusion = Literal["local-global", "cross untempered", "cross tempered", "single crop"]

FUSIONS: Final[tuple[Fusion, ...]] = get_args(Fusion)
"""Ways to come from the evidence of views to that of the image."""

CROSS_FUSIONS: Final[tuple[Fusion, ...]] = ("cross untempered", "cross tempered")
"""Those that need no evidence of the whole image."""

Correction = Literal["as trained", "variance scale", "conformal"]

CORRECTIONS: Final[tuple[Correction, ...]] = get_args(Correction)
"""What is done with the variances: nothing, one factor, or intervals by split-conformal prediction."""


def fused_evidence(predictions: pd.DataFrame, fusion: Fusion, model: ModelConfig) -> NormalInverseGamma:
    """The evidence of quality of each image, before any correction.

    Args:
        predictions: n rows of a table of predictions.
        fusion: `local-global` is Eq. 25; the two `cross` are Eqs. 18 to 20 with every sub-image counted in full, or
            tempered; `single crop` is Eq. 24 of the middle sub-image of the plan.
        model: how many sub-images count in full where they are tempered, and whether softplus comes again.

    Returns:
        Evidence of batch shape (n,).

    Raises:
        DataError: the table holds no evidence of quality.
    """
    if "loc" not in predictions:
        raise DataError("these predictions hold no evidence of quality: the model states no uncertainty")
    local, image = evidence_of(predictions, "local_"), evidence_of(predictions, "global_")
    count = local.batch_shape[1]
    if fusion == "local-global":
        fused = fuse_local_global(local, image, dim=1)
    elif fusion == "single crop":
        fused = fuse(local[:, count // 2], image)
    else:
        fused = cross_region(local[..., None], count if fusion == "cross untempered" else model.full_evidence)[..., 0]
    return softplus_again(fused) if model.softplus == "twice" else fused


def uncertainty_rows(
    predictions: pd.DataFrame, model: ModelConfig, fusions: Sequence[Fusion] = FUSIONS
) -> pd.DataFrame:
    """Every figure of uncertainty on the test part, a row a data set, way to fuse, and correction.

    Args:
        predictions: a table of predictions with a validation and a test part.
        model: see `fused_evidence`.
        fusions: ways to fuse. Without Eq. 27 the whole image's evidence is not taught: only the `cross` ones are sound.

    Returns:
        `dataset`, `fusion`, `correction`, `images`; `variance_scale`, the factor that was fitted on the validation
        parts; `coverage_*` and `width_*` of the 50, 80 and 95 % intervals; `nll`, `crps`, and the same of a normal
        distribution of one variance for all images, fitted on the validation parts; `ause`, see
        `evidential_nig.calibration.ause`; `error_spearman`, of
        predicted deviation and absolute error; `parts_spearman`, of aleatoric and epistemic variance. Conformal
        intervals are no distribution: they have coverage and width only, and each data set its own.

    Raises:
        DataError: there is no evidence of quality, no test part, or too few validation images.
    """
    validation, test = (predictions[predictions["part"] == part] for part in ("val", "test"))
    if test.empty:
        raise DataError("these predictions hold no test part")
    if validation.empty:
        raise DataError("these predictions hold no validation part, which recalibration is fitted on")
    rows = []
    for fusion in fusions:
        fitted_on = fused_evidence(validation, fusion, model)
        expected = validation["expected_quality"].to_numpy(np.float64)
        found = calibrate(Predictions(fitted_on, expected, [], []), truth_of(validation))
        scale = VarianceScale(found.variance_scale**0.5)
        for name, here in test.groupby("dataset", sort=False):
            evidence, target = fused_evidence(here, fusion, model), _ratings(here)
            common = {"dataset": name, "fusion": fusion, "images": len(here), "variance_scale": found.variance_scale}
            for correction in ("as trained", "variance scale"):
                stated = evidence if correction == "as trained" else scale.apply(evidence)
                rows.append(common | {"correction": correction} | _figures(stated, target, found.constant_std))
            own = torch.tensor((validation["dataset"] == name).tolist())
            if bool(own.any()):
                conformal = SplitConformal.fit(fitted_on[own], _ratings(validation)[own])
                rows.append(common | {"correction": "conformal"} | _conformal_figures(conformal, evidence, target))
    first = ["dataset", "fusion", "correction", "images"]
    table = pd.DataFrame(rows)
    return table[first + [name for name in table if name not in first]]


def _ratings(rows: pd.DataFrame) -> Tensor:
    return torch.tensor(rows["quality"].to_numpy(np.float64))


def _figures(evidence: NormalInverseGamma, target: Tensor, constant_std: float | None) -> dict[str, float]:
    smallest = float(torch.finfo(torch.float32).tiny)
    found = uncertainty_figures(
        evidence, target, bounds=(LOWEST, HIGHEST), constant_std=max(constant_std or 0.0, smallest)
    )
    error = target - evidence.loc
    varies = len(target) > 1 and bool(np.ptp(error.abs().numpy()) > 0)
    found["ause"] = ause(evidence.predictive_variance, error).item() if varies else float("nan")
    parts = error_uncertainty_correlation(evidence.aleatoric, evidence.epistemic) if len(target) > 1 else None
    return found | {"parts_spearman": float("nan") if parts is None else parts.item()}


def _conformal_figures(conformal: SplitConformal, evidence: NormalInverseGamma, target: Tensor) -> dict[str, float]:
    found: dict[str, float] = {}
    for level in INTERVAL_LEVELS:
        lower, upper = conformal.interval(evidence, level)
        found[f"coverage_{level * 100:.0f}"] = ((lower <= target) & (target <= upper)).double().mean().item()
        found[f"width_{level * 100:.0f}"] = (upper.clamp(LOWEST, HIGHEST) - lower.clamp(LOWEST, HIGHEST)).mean().item()
    return found
