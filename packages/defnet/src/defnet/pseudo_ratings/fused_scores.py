"""Images measured against what they were before they were distorted, and the scores fused to one rating."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defnet.errors import ConfigError

if TYPE_CHECKING:
    from map_score_fusion import ScoreFusion

METRICS: Final = ("ms_ssim", "iw_ssim", "vif_p", "fsimc", "vsi", "dss", "haarpsi", "mdsi")
"""Full-reference metrics of several families, none of which needs weights."""

MADE: Final = "distorted"
"""The folder of the images that were made."""

SCORES: Final = "scores.csv"
"""The table of scores."""

Track = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Shows how far it is, given what is being done, its number and its name."""


def fusion_of(method: str, seed: int) -> "ScoreFusion":
    """The fusion of full-reference scores, not fitted yet.

    Raises:
        ConfigError: there is no such method, or an extra is missing.
    """
    if any(find_spec(name) is None for name in ("map_score_fusion", "piq", "skimage")):
        raise ConfigError("what distorts, measures and rates is not installed; pip install 'defnet[pseudo-ratings]'")
    from map_score_fusion import METHODS, ScoreFusion

    if method not in METHODS:
        raise ConfigError(f"method is {method!r}; there are {', '.join(METHODS)}")
    return ScoreFusion(method, random_state=seed)


def fuse(fusion: "ScoreFusion", scores: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a fusion to scores, (M, K), and return each image's rating in [0, 1] and its standard deviation, (M,)."""
    from map_score_fusion import IMAGE_METRICS

    directions = {str(name): bool(IMAGE_METRICS[str(name)].higher_is_better) for name in scores.columns}
    fusion.set_params(higher_is_better=directions).fit(scores)
    rating, std = fusion.predict(scores, return_std=True)
    return rating, std


def measure(
    folder: Path,
    images: pd.DataFrame,
    metrics: Sequence[str],
    out: Path,
    *,
    workers: int | None = None,
    device: str | None = None,
    track: Track = lambda items, _total, _what: items,
) -> tuple[pd.DataFrame, tuple[tuple[str, str], ...]]:
    """Measure images against their references.

    Args:
        folder: what paths are relative to.
        images: a row an image, with columns `image` and `reference`.
        metrics: names of `map_score_fusion.IMAGE_METRICS` that compare with a reference.
        out: the table of scores, which is written as they come and gone on with.
        workers: images at a time; all cores if None.
        device: where metrics are computed; the CPU if None.
        track: shows how far it is.

    Returns:
        Every metric's score of the images that have all of them; the others, and why they have not.

    Raises:
        ConfigError: there is no such metric, it takes no reference, or the table was made otherwise.
    """
    from map_score_fusion import ImagePair, ScoreTableError, choose_metrics, score_folder

    pairs = [ImagePair(image, reference) for image, reference in zip(images["image"], images["reference"], strict=True)]
    try:
        chosen = choose_metrics(metrics, have_references=True)
        without = [metric.name for metric in chosen if not metric.needs_reference]
        if without:
            raise ConfigError(f"metrics: {without[0]} does not compare with a reference")
        score_folder(
            pairs,
            folder,
            folder,
            chosen,
            out,
            workers=workers,
            device=device,
            watch=lambda items, left: track(items, left, "measuring"),
        )
    except ScoreTableError as error:
        raise ConfigError(str(error)) from error
    table = pd.read_csv(out, keep_default_na=False, na_values=[""])
    whole = table[list(metrics)].notna().all(axis=1)
    problems = tuple(zip(table.loc[~whole, "image"], table.loc[~whole, "problem"].astype(str), strict=True))
    return table.loc[whole, ["image", *metrics]], problems
