"""From the network's own parts to an explanation (DEFNet, Eqs. 4 to 6 and 17 to 25)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clip_iqa_backbone import average_over_views, expected_quality, quality_marginal
from defnet.config.fields import ScoreSource, Task
from defnet.explanation.result import Evidence, Explanation, Sentence, SubImage
from defnet.model.evidence import Prediction
from defnet.model.network import DEFNet
from defnet.reliability.descriptors import describe
from defnet.scoring.forked import compute_safely_after_fork
from defnet.scoring.image_error import ImageError
from defnet.scoring.outputs import scores_of
from defnet.scoring.pictures import Picture
from defnet.scoring.scorer import Scorer
from defnet.scoring.scores import Failure
from defnet.scoring.seen import ImageSource, look
from evidential_nig import NormalInverseGamma

SENTENCES = 5
"""How many sentences an explanation has."""


@torch.inference_mode()
def explain(scorer: Scorer, image: ImageSource, *, frame: int = 0) -> Explanation:
    """Explain the score of an image; `Scorer.explain` is the way to it.

    The image goes through the tower once. What would be without a sub-image is worked out from the features of the
    others, by the network's own heads and fusion.

    Args:
        scorer: the model.
        image: one image, as for `Scorer.score`.
        frame: which frame of a file of several, counted from 0.

    Raises:
        ImageError: the image cannot be read.
        TypeError: it is no image in any form.
    """
    seen = look(image, scorer.plan, scorer.short_side, frame, thumbnail_bytes=0)
    if isinstance(seen, Failure):
        raise ImageError(seen.path, seen.reason)
    model, device = scorer.model, scorer.device
    compute_safely_after_fork(device)
    local, whole = model.features(
        torch.as_tensor(seen.local)[None].to(device), torch.as_tensor(seen.global_view)[None].to(device)
    )
    prediction = model.predict_from_features(local, whole)
    if scorer.reliability is not None and whole is not None:
        prediction = replace(prediction, distance=scorer.reliability.familiarity.distance(describe(local, whole)))
    scale = 1.0 if scorer.reliability else scorer.info.variance_scale
    [score] = scores_of([seen], prediction, scorer.info.variance_scale, scorer.plan.count, scorer.reliability)
    picture = seen.picture or Picture(b"", (0, 0), ())
    own, whole_share = shares(prediction, local.shape[1])
    without = _without_each(model, local, whole)
    logits = model.backbone.logits(model.backbone.embed(local))
    evidence = _evidence_of_views(prediction, scale)
    qualities = (
        expected_quality(quality_marginal(model.backbone.log_probabilities(logits)))[0].double().tolist()
        if evidence is None
        else [one.quality for one in evidence]
    )
    return Explanation(
        score=score,
        size=picture.size,
        source=prediction.score_from,
        sub_images=tuple(
            SubImage(
                box=box,
                quality=qualities[index],
                evidence=None if evidence is None else evidence[index],
                share=own[index],
                quality_without=without[index],
                change=without[index] - score.quality,
            )
            for index, box in enumerate(picture.boxes)
        ),
        whole=_of_task(prediction.global_view, prediction.score_from, scale),
        whole_share=whole_share,
        cross=_of_task(prediction.cross, prediction.score_from, scale),
        fusion=_of_task(prediction.fusion, prediction.score_from, scale),
        sentences=_sentences(model, logits),
    )


def shares(prediction: Prediction, count: int) -> tuple[list[float], float]:
    """How much of the score is of each sub-image, and how much of the whole image; they sum to one.

    By Eqs. 24 and 25 the score is the mean over i of (νᵢδᵢ + ν_G δ_G) / (νᵢ + ν_G), by Eqs. 18 to 20 it is
    Σ νᵢδᵢ / Σ νᵢ: a sum of δ, whose weights these are. By Eqs. 5 and 6 each sub-image counts alike.

    Args:
        prediction: the network's output for one image.
        count: number of sub-images.
    """
    if prediction.score_evidence is None:
        return [1 / count] * count, 0.0
    nu = prediction.local["quality"].nu[0, :, 0].double()
    if prediction.score_from == "cross":
        return (nu / nu.sum()).tolist(), 0.0
    whole = prediction.global_view["quality"].nu[0, 0].double()
    own = nu / (nu + whole) / count
    return own.tolist(), float((whole / (nu + whole)).mean())


def _without_each(model: DEFNet, local: Tensor, whole: Tensor | None) -> list[float]:
    """The score without each sub-image in turn, as a batch of images that have one sub-image less."""
    count = local.shape[1]
    if count == 1:
        return [math.nan]
    others = torch.tensor([[k for k in range(count) if k != left] for left in range(count)], device=local.device)
    left_out = local[0][others]
    return (
        model.predict_from_features(left_out, None if whole is None else whole.expand(count, -1))
        .quality.double()
        .tolist()
    )


def _evidence_of_views(prediction: Prediction, scale: float) -> list[Evidence] | None:
    if prediction.score_evidence is None:
        return None
    local = prediction.local["quality"]
    return _evidence(local[0, :, 0], scale)


def _of_task(views: Mapping[Task, NormalInverseGamma], source: ScoreSource, scale: float) -> Evidence | None:
    if source == "expected" or "quality" not in views:
        return None
    [found] = _evidence(views["quality"][0, :1], scale)
    return found


def _evidence(nig: NormalInverseGamma, scale: float) -> list[Evidence]:
    """Evidence of batch shape (N,), its variances scaled through β."""
    loc, nu, alpha_minus_one, beta = (
        t.double().cpu() for t in (nig.loc, nig.nu, nig.alpha_minus_one, nig.beta * scale)
    )
    scaled = NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta)
    columns: Sequence[Tensor] = (loc, nu, scaled.alpha, beta, scaled.aleatoric.sqrt(), scaled.epistemic.sqrt())
    return [Evidence(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]


def _sentences(model: DEFNet, logits: Tensor) -> tuple[Sentence, ...]:
    words = model.backbone.vocabulary
    joint = average_over_views(logits, torch.exp, model.config.averaging)[0].double()
    probabilities, places = joint.flatten().topk(min(SENTENCES, joint.numel()))
    prompts = words.prompts()
    _, scenes, distortions = words.shape
    found = []
    for probability, place in zip(probabilities.tolist(), places.tolist(), strict=True):
        level, rest = divmod(place, scenes * distortions)
        scene, distortion = divmod(rest, distortions)
        names = words.qualities[level], words.scene_classes[scene], words.distortion_classes[distortion]
        found.append(Sentence(prompts[place], probability, *names))
    return tuple(found)
