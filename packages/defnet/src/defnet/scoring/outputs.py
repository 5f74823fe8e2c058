"""From the network's output to scores."""

import math
from collections.abc import Sequence

from clip_iqa_backbone import DISTORTIONS, SCENES
from defnet.config.fields import Task
from defnet.model.evidence import Prediction
from defnet.model.predictive import HIGHEST, LOWEST, quality_evidence
from defnet.scoring.scores import Score
from defnet.scoring.seen import Seen
from evidential_nig import NormalInverseGamma

_INTERVAL = 0.95

NO_UNCERTAINTY = "no uncertainty"
"""Warning of scores that are q̂ of Eq. 5: the model has no evidence, or none that training has taught."""


def scores_of(images: Sequence[Seen], prediction: Prediction, variance_scale: float, crops: int) -> list[Score]:
    """The scores of a batch of images.

    Args:
        images: what was seen of each.
        prediction: the network's output for them.
        variance_scale: factor on every variance, fitted on validation data.
        crops: number of sub-images that each was looked at with.
    """
    quality = prediction.quality.double().tolist()
    evidence = quality_evidence(prediction, variance_scale)
    aleatoric, epistemic, lower, upper = _uncertainty(evidence, len(images))
    unstated = (NO_UNCERTAINTY,) if evidence is None else ()
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
            scene=scene[i],
            scene_probability=scene_probability[i],
            distortion=distortion[i],
            distortion_probability=distortion_probability[i],
            crops=crops,
            frame=seen.frame,
            frames=seen.frames,
            file_size=None if seen.file is None else seen.file.size,
            file_modified=None if seen.file is None else seen.file.modified,
            warnings=seen.warnings + _outside(quality[i]) + unstated,
        )
        for i, seen in enumerate(images)
    ]


def _uncertainty(nig: NormalInverseGamma | None, count: int) -> list[list[float]]:
    """Of each image aleatoric and epistemic standard deviation and both ends of the interval; NaN without evidence."""
    if nig is None:
        return [[math.nan] * count] * 4
    ends = (end.clamp(LOWEST, HIGHEST) for end in nig.predictive().interval(_INTERVAL))
    return [values.tolist() for values in (nig.aleatoric.sqrt(), nig.epistemic.sqrt(), *ends)]


def _outside(quality: float) -> tuple[str, ...]:
    return () if LOWEST <= quality <= HIGHEST else (f"quality outside [{LOWEST:g}, {HIGHEST:g}]",)


def _most_probable(prediction: Prediction, task: Task, names: Sequence[str]) -> tuple[list[str], list[float]]:
    """Name and probability of the top class of each image; a task that was not learnt has none."""
    if task not in prediction.probabilities:
        count = len(prediction.expected_quality)
        return [""] * count, [float("nan")] * count
    probability, index = prediction.probabilities[task].max(-1)
    return [names[i] for i in index.tolist()], probability.tolist()
