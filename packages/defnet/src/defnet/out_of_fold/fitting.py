"""From predictions of images that were left out to intervals: the fit of h, and the scores that it is calibrated by."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from defnet.errors import DataError
from defnet.model.predictive import HIGHEST, LOWEST
from defnet.reliability.deviation import Deviation
from defnet.reliability.deviation_fit import FEWEST, fit_deviation

_Values = NDArray[np.float64]

LEVEL: Final = 0.95


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Images predicted by models that had not seen them, n of them; an image stands here once for each such model.

    Attributes:
        row: their rows in the table of training images, (n,).
        score: predicted quality, (n,).
        deviation: the deviation that the model's evidence predicts, (n,).
        spread: the spread of its quality levels, (n,).
        distance: distance to the images that the model was trained on, (n,).
        by_family: whether they were left out by their distortion, (n,).
    """

    row: NDArray[np.int64]
    score: _Values
    deviation: _Values
    spread: _Values
    distance: _Values
    by_family: NDArray[np.bool_]

    @classmethod
    def join(cls, parts: "Sequence[OutOfFold]") -> "OutOfFold":
        """Several models' images, in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(frozen=True, eq=False)
class Fitted:
    """What the images that were left out come to.

    Attributes:
        deviation: h.
        scores: nonconformity scores of the rated images, left out by content, ascending, (m,).
        distances: their distances, (m,).
        images: how many images there are of each kind; see `ReliabilityInfo`.
        figures: see `figures_of`.
    """

    deviation: Deviation
    scores: _Values
    distances: _Values
    images: dict[str, int]
    figures: dict[str, float]


def fit(
    found: OutOfFold,
    quality: _Values,
    noise: _Values,
    dataset: NDArray[np.int64],
    rated: NDArray[np.bool_],
) -> Fitted:
    """Fit h to all images that were left out, and calibrate it on the rated ones.

    Ratings that nobody gave have a scale of their own. Those of a data set are mapped on the scores linearly, so that
    they have the mean and the standard deviation of the scores of its images that were left out by content. The models
    that these come from know such distortions, and so how far those that do not know one are off is what they lose by
    that. The ratings' own deviations are mapped likewise, and taken out.

    There are four kinds of images: rated or not, left out by content or by distortion. Those that are rated and left
    out by content count in full; those without a rating count two thirds as much at most, each of their kinds half of
    that. Rated photographs that were left out by their distortion are not fitted to, only counted (`figures_of`): they
    lie no farther from the others than usual, so that what they lose is no matter of distance, and would only make the
    distance matter less.

    Args:
        found: the images.
        quality: ratings on [1, 5] of all training images, (M,).
        noise: known deviations of their errors, (M,).
        dataset: index of their data sets, (M,).
        rated: whether people gave them, (M,).

    Raises:
        DataError: too few rated images were left out.
    """
    by_people = rated[found.row]
    kept = by_people & ~found.by_family
    if kept.sum() < FEWEST:
        raise DataError(f"intervals are calibrated on at least {FEWEST} rated images, and there are {kept.sum()}")
    truth, error = quality[found.row].copy(), noise[found.row].copy()
    for number in np.unique(dataset[found.row[~by_people]]):
        own = (dataset[found.row] == number) & ~by_people
        seen = own & ~found.by_family
        ratings = quality[found.row[seen]]
        spread = float(ratings.std())
        factor = float(found.score[seen].std()) / spread if len(ratings) and spread > 0 else 0.0
        offset = float(found.score[seen].mean()) - factor * float(ratings.mean()) if len(ratings) else 0.0
        truth[own] = offset + factor * quality[found.row[own]]
        error[own] *= factor
    kinds = {
        "rated": kept,
        "rated_families": by_people & found.by_family,
        "pseudo_rated": ~by_people & ~found.by_family,
        "pseudo_rated_families": ~by_people & found.by_family,
    }
    weight = np.zeros(len(found.row))
    for name, kind in kinds.items():
        if kind.any() and name != "rated_families":
            weight[kind] = 1.0 if name == "rated" else min(1.0, kept.sum() / (3 * kind.sum()))
    residual = truth - found.score
    error[by_people] = 0.0  # what people's ratings scatter is a part of what an interval holds
    unit = max(float(np.median(found.distance[kept])), 1e-6)
    fitted = weight > 0
    columns = (residual, found.deviation, found.spread, found.distance)
    h = fit_deviation(*(column[fitted] for column in columns), weight=weight[fitted], noise=error[fitted], unit=unit)
    divided = residual[kept] / _total(h, found, kept)
    h = h.rescaled(float(np.sqrt(np.mean(divided**2))))
    scores = np.sort(np.abs(residual[kept]) / _total(h, found, kept))
    figures = figures_of(h, scores, found, residual, kinds)
    images = {name: int(kind.sum()) for name, kind in kinds.items()}
    return Fitted(h, scores, found.distance[kept], images, figures)


def figures_of(
    h: Deviation, scores: _Values, found: OutOfFold, residual: _Values, kinds: dict[str, NDArray[np.bool_]]
) -> dict[str, float]:
    """Figures of the images that were left out. They were fitted to, so that the figures are a little kind.

    Returns:
        `reach_95`, how many h a 95 % interval reaches to either side; `width_95`, its mean width within the scale over
        rated images left out by content, and `error_spearman`, the rank correlation of h and the absolute error there;
        `coverage_95_<kind>` of the other kinds of images that there are, whose scores did not count; and over all of
        them together `aleatoric_epistemic_spearman` and `epistemic_quality_spearman`.
    """
    from evidential_nig.conformal import SplitConformal

    reach = float(SplitConformal(torch.from_numpy(scores)).quantile(LEVEL))
    own, spread, distance = map(torch.from_numpy, (found.deviation, found.spread, found.distance))
    aleatoric, epistemic = h.aleatoric(own, spread).numpy(), h.epistemic(distance).numpy()
    total = np.hypot(aleatoric, epistemic)
    rated = kinds["rated"]
    low, high = (np.clip(found.score + side * reach * total, LOWEST, HIGHEST)[rated] for side in (-1, 1))
    figures = {
        "reach_95": reach,
        "width_95": float(np.mean(high - low)),
        "error_spearman": _spearman(total[rated], np.abs(residual[rated])),
        "aleatoric_epistemic_spearman": _spearman(aleatoric, epistemic),
        "epistemic_quality_spearman": _spearman(epistemic, found.score),
    }
    for name, kind in kinds.items():
        if name != "rated" and kind.any():
            figures[f"coverage_95_{name}"] = float(np.mean(np.abs(residual[kind]) <= reach * total[kind]))
    return figures


def _total(h: Deviation, found: OutOfFold, rows: NDArray[np.bool_]) -> _Values:
    columns = (found.deviation, found.spread, found.distance)
    total: _Values = h.total(*(torch.from_numpy(column[rows]) for column in columns)).numpy()
    return total


def _spearman(one: _Values, other: _Values) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other)[0])
