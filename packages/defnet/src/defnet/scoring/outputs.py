"""From the network's output to scores."""

import math
from collections.abc import Sequence

from torch import Tensor

from clip_iqa_backbone import DISTORTIONS, SCENES
from defnet.config.fields import Task
from defnet.model.evidence import Prediction
from defnet.model.predictive import HIGHEST, LOWEST, quality_evidence, quality_spread
from defnet.reliability.reliability import Reliability
from defnet.scoring.scores import Score
from defnet.scoring.seen import Seen
from evidential_nig import NormalInverseGamma

_INTERVAL = 0.95

NO_UNCERTAINTY = "no uncertainty"
"""Warning of scores that are q̂ of Eq. 5: the model has no evidence, or none that training has taught."""


def scores_of(
    images: Sequence[Seen],
    prediction: Prediction,
    variance_scale: float,
    crops: int,
    reliability: Reliability | None = None,
) -> list[Score]:
    """The scores of a batch of images.

    Args:
        images: what was seen of each.
        prediction: the network's output for them.
        variance_scale: factor on every variance, fitted on validation data.
        crops: number of sub-images that each was looked at with.
        reliability: what the model knows of its limits, which then takes the variance scale's place.
    """
    quality = prediction.quality.double().tolist()
    evidence = quality_evidence(prediction, 1.0 if reliability else variance_scale)
    familiarity = [math.nan] * len(images)
    notes: list[tuple[str, ...]] = [(NO_UNCERTAINTY,) if evidence is None else ()] * len(images)
    if reliability is None or evidence is None or prediction.distance is None:
        aleatoric, epistemic, lower, upper = _uncertainty(evidence, len(images))
    else:
        signs = evidence, quality_spread(prediction), prediction.distance
        ends = reliability.interval(*signs, _INTERVAL)
        aleatoric, epistemic, lower, upper = _columns(reliability.calibrated(*signs), ends)
        familiarity = reliability.familiarity.familiarity(prediction.distance).tolist()
        notes = [reliability.warnings(value) for value in familiarity]
    scene, scene_probability = _most_probable(prediction, "scene", SCENES)
    distortion, distortion_probability = _most_probable(prediction, "distortion", DISTORTIONS)
    expected_quality = prediction.expected_quality.double().tolist()
    return [
        Score(
            path=seen.path,
            quality=quality[i],
            expected_quality=expected_quality[i],
            aleatoric_std=aleatoric[i],
            epistemic_std=epistemic[i],
            lower=lower[i],
            upper=upper[i],
            familiarity=familiarity[i],
            scene=scene[i],
            scene_probability=scene_probability[i],
            distortion=distortion[i],
            distortion_probability=distortion_probability[i],
            crops=crops,
            frame=seen.frame,
            frames=seen.frames,
            file_size=None if seen.file is None else seen.file.size,
            file_modified=None if seen.file is None else seen.file.modified,
            warnings=seen.warnings + _outside(quality[i]) + notes[i],
        )
        for i, seen in enumerate(images)
    ]


def _uncertainty(nig: NormalInverseGamma | None, count: int) -> list[list[float]]:
    """Of each image aleatoric and epistemic standard deviation and both ends of the interval; NaN without evidence."""
    if nig is None:
        return [[math.nan] * count] * 4
    return _columns(nig, nig.predictive().interval(_INTERVAL))


def _columns(nig: NormalInverseGamma, ends: tuple[Tensor, Tensor]) -> list[list[float]]:
    cut = (end.clamp(LOWEST, HIGHEST) for end in ends)
    return [values.tolist() for values in (nig.aleatoric.sqrt(), nig.epistemic.sqrt(), *cut)]


def _outside(quality: float) -> tuple[str, ...]:
    return () if LOWEST <= quality <= HIGHEST else (f"quality outside [{LOWEST:g}, {HIGHEST:g}]",)


def _most_probable(prediction: Prediction, task: Task, names: Sequence[str]) -> tuple[list[str], list[float]]:
    """Name and probability of the top class of each image; a task that was not learnt has none."""
    if task not in prediction.probabilities:
        count = len(prediction.expected_quality)
        return [""] * count, [float("nan")] * count
    probability, index = prediction.probabilities[task].max(-1)
    return [names[i] for i in index.tolist()], probability.tolist()
