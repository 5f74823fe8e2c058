"""gMAD: two models compared on the images on which they disagree most (the paper's Figures 4 and 7).

One model defends: images are chosen that it gives the same score. The other attacks: of these it takes the two that it
calls best and worst. If the two do look alike, the attacker was wrong, and if they do not, the defender was.

Source: Ma, Wu, Wang, Duanmu, Yong, Li and Zhang, "Group MAD competition: a new methodology to compare objective image
quality models", 2016; Ma et al., "Group maximum differentiation competition: model comparison with few samples", 2020.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from defnet.errors import DataError

Array = NDArray[np.float64]

LOWEST_LEVEL, HIGHEST_LEVEL = 0.1, 0.9
"""The first and the last level, as shares of the images that the defender puts below it."""

TOLERANCE: Final = 0.1
"""How far from a level the defender's score may be, in its standard deviations over all images."""


@dataclass(frozen=True)
class Pair:
    """Two images that the defender calls equal and the attacker calls as different as it can.

    Attributes:
        attacker: which model chose the pair.
        defender: which model's score is fixed.
        level: share of all images that the defender puts below this level of its score.
        rank: 1 for the pair that the attacker separates most at this level, 2 for the next, which has other images.
        better: name of the image that the attacker calls better.
        worse: name of the other.
        attacker_better: the attacker's score of the better one, higher = better.
        attacker_worse: of the other.
        defender_better: the defender's score of the one that the attacker calls better.
        defender_worse: of the other.
        gap: difference of the attacker's two scores, in its standard deviations over all images.
        rating_better: rating of the one that the attacker calls better; None without ratings.
        rating_worse: of the other.
    """

    attacker: str
    defender: str
    level: float
    rank: int
    better: str
    worse: str
    attacker_better: float
    attacker_worse: float
    defender_better: float
    defender_worse: float
    gap: float
    rating_better: float | None = None
    rating_worse: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the pairs of one attack come to.

    Attributes:
        attacker: which model chose the pairs.
        defender: which model's score was fixed.
        pairs: number of pairs.
        gap: mean difference of the attacker's scores, in its standard deviations.
        right: share of pairs whose better image is rated higher too (a tie counts half); this and what follows is None
            without ratings.
        aggressiveness: mean rating of the better image minus that of the worse one, in units of the ratings. What the
            attacker claims against the defender, held against raters.
        resistance: 1 minus the mean distance between the ratings of a pair in units of the range of all ratings: 1
            where all that the defender calls equal is rated equal.
        chance: mean distance between the ratings of two images drawn at random from those that the defender calls
            equal: what a pair without an attacker would show.
    """

    attacker: str
    defender: str
    pairs: int
    gap: float
    right: float | None = None
    aggressiveness: float | None = None
    resistance: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Competition:
    """Both attacks of two models.

    Attributes:
        pairs: those of the first model's attack, then the second's, by level and rank.
        verdicts: one an attack.
        empty: levels at which too few images have the defender's score, as (defender, level).
    """

    pairs: tuple[Pair, ...]
    verdicts: tuple[Verdict, ...]
    empty: tuple[tuple[str, float], ...]

    def as_dict(self) -> dict[str, object]:
        """Plain lists and dictionaries, for JSON."""
        return {
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "pairs": [asdict(pair) for pair in self.pairs],
            "empty_levels": [{"defender": defender, "level": level} for defender, level in self.empty],
        }


def compete(
    scores: Mapping[str, ArrayLike],
    images: Sequence[str],
    ratings: ArrayLike | None = None,
    *,
    levels: int = 5,
    pairs: int = 1,
    tolerance: float = TOLERANCE,
) -> Competition:
    """Let two models attack each other.

    Args:
        scores: two models' scores of n images, by the models' names, higher = better, finite.
        images: the images' names, n.
        ratings: their ratings, (n,), higher = better, if there are any.
        levels: number of levels of the defender's score, evenly spread over its images from the lowest tenth to the
            highest; one is the middle.
        pairs: pairs at each level, no two of which share an image.
        tolerance: how far from a level the defender's score may be, in its standard deviations.

    Raises:
        DataError: there are not two models, a model scores all images the same, numbers differ, or no level has enough
            images.
    """
    if len(scores) != 2:
        raise DataError(f"gMAD compares two models of different names, got {', '.join(scores) or 'none'}")
    if levels < 1 or pairs < 1 or not tolerance >= 0:
        raise DataError("gMAD needs one level or more, one pair or more, and a tolerance of 0 or more")
    values = {name: _checked(name, given, len(images)) for name, given in scores.items()}
    rated = None if ratings is None else _checked("the ratings", ratings, len(images))
    at = np.linspace(LOWEST_LEVEL, HIGHEST_LEVEL, levels) if levels > 1 else np.array([0.5])
    found: list[Pair] = []
    verdicts: list[Verdict] = []
    empty: list[tuple[str, float]] = []
    for attacker, defender in permutations(values):
        own: list[Pair] = []
        chances: list[float] = []
        for level in np.round(at, 6).tolist():
            rows = _equal(values[defender], level, tolerance)
            if len(rows) < 2 * pairs:
                empty.append((defender, level))
                continue
            order = rows[np.argsort(-values[attacker][rows], kind="stable")]
            for rank in range(1, pairs + 1):
                best, worst = int(order[rank - 1]), int(order[-rank])
                own.append(_pair(values, images, rated, (attacker, defender), level, rank, best, worst))
            if rated is not None:
                chances.append(_mean_distance(rated[rows]))
        found += own
        if own:
            spread = None if rated is None else float(np.ptp(rated))
            verdicts.append(_verdict(attacker, defender, own, spread, chances))
    if not found:
        raise DataError(
            f"no level has {2 * pairs} images of the same score: there are {len(images)} images; take more of them, or "
            "a larger tolerance"
        )
    return Competition(tuple(found), tuple(verdicts), tuple(empty))


def _checked(name: str, given: ArrayLike, count: int) -> Array:
    values = np.asarray(given, float)
    if values.shape != (count,):
        raise DataError(f"{name}: {values.size} values for {count} images")
    if not np.isfinite(values).all():
        raise DataError(f"{name}: holds a value that is not finite")
    if count < 2 or np.ptp(values) == 0:
        raise DataError(f"{name}: all {count} images have one value, so that nothing can be told apart")
    return values


def _equal(defender: Array, level: float, tolerance: float) -> NDArray[np.int64]:
    """Rows that the defender calls equal at a level of its scores."""
    near = np.abs(defender - np.quantile(defender, level)) <= tolerance * defender.std()
    return np.flatnonzero(near)


def _pair(
    values: Mapping[str, Array],
    images: Sequence[str],
    rated: Array | None,
    models: tuple[str, str],
    level: float,
    rank: int,
    best: int,
    worst: int,
) -> Pair:
    attack, defence = (values[name] for name in models)
    return Pair(
        *models,
        level=level,
        rank=rank,
        better=images[best],
        worse=images[worst],
        attacker_better=float(attack[best]),
        attacker_worse=float(attack[worst]),
        defender_better=float(defence[best]),
        defender_worse=float(defence[worst]),
        gap=float((attack[best] - attack[worst]) / attack.std()),
        rating_better=None if rated is None else float(rated[best]),
        rating_worse=None if rated is None else float(rated[worst]),
    )


def _mean_distance(values: Array) -> float:
    """Mean distance of two different ones of n values."""
    n = len(values)
    weight = 2 * np.arange(n) - n + 1
    return float(2 * (weight * np.sort(values)).sum() / (n * (n - 1)))


def _verdict(
    attacker: str, defender: str, pairs: Sequence[Pair], spread: float | None, chances: Sequence[float]
) -> Verdict:
    gap = float(np.mean([pair.gap for pair in pairs]))
    if spread is None:
        return Verdict(attacker, defender, len(pairs), gap)
    difference = np.array([(pair.rating_better or 0.0) - (pair.rating_worse or 0.0) for pair in pairs])
    return Verdict(
        attacker,
        defender,
        len(pairs),
        gap,
        right=float(np.mean(np.where(difference == 0, 0.5, difference > 0))),
        aggressiveness=float(difference.mean()),
        resistance=float(1 - np.abs(difference).mean() / spread),
        chance=float(np.mean(chances)),
    )
