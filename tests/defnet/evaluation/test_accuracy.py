"""Accuracies by brute force."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defnet.evaluation.accuracy import distortion_accuracy, scene_accuracy

SCENE_NAMES = ("animal", "human", "plant")


@given(
    data=st.lists(
        st.tuples(st.sampled_from(SCENE_NAMES), st.lists(st.sampled_from(SCENE_NAMES), min_size=1, unique=True)),
        min_size=1,
        max_size=8,
    )
)
def test_scene_accuracy_by_brute_force(data: list[tuple[str, list[str]]]) -> None:
    predicted, labelled = [p for p, _ in data], [y for _, y in data]
    found = scene_accuracy(predicted, labelled)
    assert found["scene_accuracy"] == pytest.approx(sum(p in y for p, y in data) / len(data))
    # The best that one answer for all images can do.
    best = max(sum(name in y for y in labelled) for name in SCENE_NAMES)
    assert found["scene_majority"] == pytest.approx(best / len(data))


@given(data=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=8))
def test_distortion_accuracy_by_brute_force(data: list[tuple[str, str]]) -> None:
    predicted, labelled = [p for p, _ in data], [y for _, y in data]
    found = distortion_accuracy(predicted, labelled)
    assert found["distortion_accuracy"] == pytest.approx(sum(p == y for p, y in data) / len(data))
    assert found["distortion_majority"] == pytest.approx(max(labelled.count(y) for y in "abcd") / len(data))


def test_accuracies_of_nothing_are_nan() -> None:
    assert all(math.isnan(value) for value in {**scene_accuracy([], []), **distortion_accuracy([], [])}.values())
