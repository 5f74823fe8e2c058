"""Where a model's score comes from, by what its training teaches."""

from defnet.config.fields import ScoreSource
from defnet.config.model import ModelConfig
from defnet.config.objective import ObjectiveConfig


def score_source(model: ModelConfig, objective: ObjectiveConfig) -> ScoreSource:
    """Where the score comes from: `model.score`, or else the last of Eqs. 5, 18 and 25 that training teaches.

    The fidelity losses (Eq. 13) teach q̂ alone. The evidence of sub-images is taught by either evidential loss, that of
    the whole image, and so the local-global evidence, by Eq. 27 alone. What nothing teaches is no score, and its
    variances mean nothing.

    Args:
        model: how probabilities become evidence.
        objective: the losses.

    Raises:
        ValueError: `model.score` is something that nothing teaches.
    """
    local_global = model.evidence and objective.teaches_fusion
    sub_images = model.evidence and (objective.teaches_cross or objective.teaches_fusion)
    if model.score is None:
        return "fusion" if local_global else "cross" if sub_images else "expected"
    if not {"fusion": local_global, "cross": sub_images, "expected": True}[model.score]:
        missing = "the heads of evidence" if not model.evidence else "a loss that teaches it"
        raise ValueError(f"model.score = {model.score!r} cannot be without {missing}")
    return model.score
