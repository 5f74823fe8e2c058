"""LIQE's method in place of DEFNet's, everything else the same."""

from defnet.config.training import TrainConfig


def as_liqe(config: TrainConfig) -> TrainConfig:
    """The same run as LIQE would make it (Zhang et al., CVPR 2023): DEFNet's rival, trained alongside.

    No heads of evidence, and so the fidelity losses of Eq. 13 alone; logits and not probabilities averaged over
    sub-images (Eq. 6); Φ(Δ) in place of Φ(Δ/√2) (Eq. 8); the score is q̂ of Eq. 5, which has no uncertainty. Data,
    words, backbone, crops and optimiser stay.

    Args:
        config: a run of DEFNet.

    Raises:
        ValueError: it chooses among epochs by `nll`, which no model without an uncertainty has.
    """
    changes = {
        "model": config.model.model_dump() | {"evidence": False, "averaging": "logits", "score": None},
        "objective": config.objective.model_dump() | {"thurstone": "unit"},
    }
    return TrainConfig.model_validate(config.model_dump() | changes)
