"""Predictions for validation images, each process its share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from defnet.data.view_pool import ViewPool
from defnet.evaluation.predictions import Predictions, predict_pool
from defnet.model.network import DEFNet
from defnet.training.processes import Processes
from evidential_nig import NormalInverseGamma

_PARAMETERS = ("loc", "nu", "alpha_minus_one", "beta")


def predict_together(
    model: DEFNet, pool: ViewPool, processes: Processes, *, advance: Callable[[int], None] = lambda _: None
) -> Predictions:
    """Predict every image of a pool, which every process then knows.

    Args:
        model: the network; it is left in evaluation mode.
        pool: views, or features of them, the same on all processes.
        processes: who has a share of the images.
        advance: called with the number of images each time some are done here.
    """
    if processes.count == 1:
        return predict_pool(model, pool, advance=advance)
    rows = processes.rows(len(pool))
    share: dict[str, Any] | None = None
    with processes.agreed():
        if len(range(len(pool))[rows]):
            found = predict_pool(model, pool.select(rows), advance=advance)
            share = {name: getattr(found.evidence, name).numpy() for name in _PARAMETERS}
            share |= {"expected_quality": found.expected_quality, "scene": found.scene, "distortion": found.distortion}
    model.eval()
    shares = [each for each in processes.gather(share) if each is not None]
    order = np.argsort(np.concatenate([np.arange(len(pool))[index :: processes.count] for index in range(len(shares))]))

    def joined(name: str) -> Any:
        return np.concatenate([each[name] for each in shares])[order]

    def texts(name: str) -> list[str]:
        found = [text for each in shares for text in each[name]]
        return [found[place] for place in order] if found else []

    evidence = NormalInverseGamma.from_alpha_minus_one(*(torch.from_numpy(joined(name)) for name in _PARAMETERS))
    return Predictions(evidence, joined("expected_quality"), texts("scene"), texts("distortion"))
