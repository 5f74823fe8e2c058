"""gMAD on planted scores, and on scores by brute force."""

from dataclasses import astuple
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from defnet import DataError
from defnet.experiments.gmad import compete


def _planted() -> tuple[dict[str, np.ndarray], list[str], np.ndarray]:
    """Five levels of twenty images that the first model calls equal; of each, the second tells two far apart.

    Raters side with the second model, at every level but the last.
    """
    generator = np.random.default_rng(0)
    steady = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 20)
    keen = steady + generator.uniform(-0.1, 0.1, 100)
    ratings = np.linspace(2, 3, 100)
    for level in range(5):
        best, worst = 20 * level + 3, 20 * level + 11
        keen[best], keen[worst] = steady[best] + 2, steady[worst] - 2
        ratings[best], ratings[worst] = (4.5, 1.5) if level < 4 else (1.5, 4.5)
    return {"steady": steady, "keen": keen}, [f"{i:02d}.png" for i in range(100)], ratings


def test_planted_pairs_are_found() -> None:
    scores, images, ratings = _planted()
    found = compete(scores, images, ratings, levels=5)
    pairs = [pair for pair in found.pairs if pair.attacker == "keen"]
    assert [(pair.better, pair.worse) for pair in pairs] == [
        (f"{20 * level + 3:02d}.png", f"{20 * level + 11:02d}.png") for level in range(5)
    ]
    assert [pair.level for pair in pairs] == [0.1, 0.3, 0.5, 0.7, 0.9]
    for level, pair in enumerate(pairs):
        assert pair.defender == "steady"
        assert (pair.defender_better, pair.defender_worse) == (level + 1, level + 1)
        assert (pair.attacker_better, pair.attacker_worse) == (level + 3, level - 1)
        assert pair.gap == pytest.approx(4 / scores["keen"].std())
        assert (pair.rating_better, pair.rating_worse) == ((4.5, 1.5) if level < 4 else (1.5, 4.5))
    [verdict] = [verdict for verdict in found.verdicts if verdict.attacker == "keen"]
    assert verdict.right == 0.8
    assert verdict.aggressiveness == pytest.approx(3 * 3 / 5)
    assert verdict.resistance == pytest.approx(1 - 3 / 3)
    chance = [np.mean([abs(a - b) for a, b in combinations(ratings[20 * i : 20 * i + 20], 2)]) for i in range(5)]
    assert verdict.chance == pytest.approx(np.mean(chance))


@pytest.mark.parametrize("seed", range(5))
def test_no_pair_of_equal_defence_is_further_apart(seed: int) -> None:
    """Of all pairs within the tolerance, by force; and again among what earlier pairs left."""
    generator = np.random.default_rng(seed)
    scores = {"a": generator.normal(size=80), "b": generator.normal(size=80)}
    images = [str(i) for i in range(80)]
    found = compete(scores, images, levels=3, pairs=2, tolerance=0.4)
    assert {(pair.attacker, pair.defender) for pair in found.pairs} == {("a", "b"), ("b", "a")}
    for pair in found.pairs:
        attack, defence = scores[pair.attacker], scores[pair.defender]
        level = np.quantile(defence, pair.level)
        near = [i for i in range(80) if abs(defence[i] - level) <= 0.4 * defence.std()]
        for other in found.pairs:
            if (other.attacker, other.level) == (pair.attacker, pair.level) and other.rank < pair.rank:
                near = [i for i in near if images[i] not in (other.better, other.worse)]
        furthest = max(abs(attack[i] - attack[j]) for i, j in combinations(near, 2))
        assert pair.attacker_better - pair.attacker_worse == pytest.approx(furthest)
        assert attack[int(pair.better)] == pair.attacker_better
        assert defence[int(pair.worse)] == pair.defender_worse
        assert int(pair.better) in near
        assert int(pair.worse) in near


def test_without_ratings_nobody_is_right() -> None:
    scores, images, _ = _planted()
    found = compete(scores, images)
    assert {(pair.rating_better, pair.rating_worse) for pair in found.pairs} == {(None, None)}
    assert all(astuple(verdict)[4:] == (None,) * 4 for verdict in found.verdicts)


def test_a_tie_of_raters_counts_half() -> None:
    found = compete({"a": [1, 2, 3, 4], "b": [1, 1.001, 1, 9]}, "wxyz", [2, 1, 2, 5], levels=1, tolerance=0.01)
    [pair] = [pair for pair in found.pairs if pair.attacker == "a"]
    assert (pair.better, pair.worse) == ("y", "w")
    [verdict] = [verdict for verdict in found.verdicts if verdict.attacker == "a"]
    assert (verdict.right, verdict.aggressiveness, verdict.resistance) == (0.5, 0, 1)


def test_levels_without_images_are_told() -> None:
    scores = {"a": np.r_[np.zeros(30), np.linspace(3, 9, 10)], "b": np.random.default_rng(1).normal(size=40)}
    found = compete(scores, [str(i) for i in range(40)], levels=2, tolerance=0.01)
    assert ("a", 0.9) in found.empty
    assert ("a", 0.1) not in found.empty
    assert [pair.level for pair in found.pairs if pair.defender == "a"] == [0.1]


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ({"a": [1, 2, 3]}, {}, "two models of different names, got a"),
        ({"a": [1, 2, 3], "b": [1, 2]}, {}, "b: 2 values for 3 images"),
        ({"a": [1, 2, 3], "b": [1, float("nan"), 2]}, {}, "b: holds a value that is not finite"),
        ({"a": [1, 2, 3], "b": [1, 1, 1]}, {}, "b: all 3 images have one value"),
        ({"a": [1, 2, 3], "b": [3, 1, 2]}, {"tolerance": 0.0}, "no level has 2 images of the same score"),
        ({"a": [1, 2, 3], "b": [3, 1, 2]}, {"levels": 0}, "one level or more"),
    ],
)
def test_what_cannot_be_compared_is_said(scores: dict[str, list[float]], options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        compete(scores, ["x", "y", "z"], **options)
