"""Predictions for validation images, each process its share."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from defnet.data.view_pool import ViewPool
from defnet.evaluation.predictions import Predictions, predict_pool
from defnet.model.network import DEFNet
from defnet.training.processes import Processes
from evidential_nig import NormalInverseGamma

_Share = tuple[list[NDArray[np.float64]] | None, NDArray[np.float64], list[str], list[str]]
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
    share: _Share | None = None
    with processes.agreed():
        if len(range(len(pool))[rows]):
            found = predict_pool(model, pool.select(rows), advance=advance)
            evidence = found.evidence
            parameters = None if evidence is None else [getattr(evidence, name).numpy() for name in _PARAMETERS]
            share = parameters, found.expected_quality, found.scene, found.distortion
    model.eval()
    shares = [each for each in processes.gather(share) if each is not None]
    # Those without a share are the last ones.
    order = np.argsort(np.concatenate([np.arange(len(pool))[index :: processes.count] for index in range(len(shares))]))
    parameters_of, expected, scenes, distortions = zip(*shares, strict=True)
    known = [parameters for parameters in parameters_of if parameters is not None]
    if known:
        loc, nu, alpha_minus_one, beta = (
            torch.from_numpy(np.concatenate(parts)[order]) for parts in zip(*known, strict=True)
        )
        evidence = NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta)
    return Predictions(
        evidence if known else None,
        np.concatenate(expected)[order],
        _in_order(scenes, order),
        _in_order(distortions, order),
    )


def _in_order(shares: Iterable[list[str]], order: NDArray[np.int64]) -> list[str]:
    found = [text for share in shares for text in share]
    return [found[place] for place in order] if found else []
