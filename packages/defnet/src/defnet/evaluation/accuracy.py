"""How often the top scene and the top distortion are right, beside a constant answer."""

from collections.abc import Sequence

import numpy as np


def scene_accuracy(predicted: Sequence[str], labelled: Sequence[Sequence[str]]) -> dict[str, float]:
    """Share of images whose top scene is among the labelled ones (LIQE's rule), beside that of a constant answer."""
    if not predicted:
        return {"scene_accuracy": float("nan"), "scene_majority": float("nan")}
    names = {name for labels in labelled for name in labels}
    return {
        "scene_accuracy": float(np.mean([p in labels for p, labels in zip(predicted, labelled, strict=True)])),
        "scene_majority": float(max(np.mean([name in labels for labels in labelled]) for name in names)),
    }


def distortion_accuracy(predicted: Sequence[str], labelled: Sequence[str]) -> dict[str, float]:
    """Share of images whose top distortion is the labelled one, beside that of a constant answer."""
    if not predicted:
        return {"distortion_accuracy": float("nan"), "distortion_majority": float("nan")}
    labels = np.asarray(labelled)
    return {
        "distortion_accuracy": float(np.mean(np.asarray(predicted) == labels)),
        "distortion_majority": float(np.unique(labels, return_counts=True)[1].max() / len(labels)),
    }
