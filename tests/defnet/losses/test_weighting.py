"""Dynamic weight average against hand computation."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from defnet.losses.weighting import DynamicWeightAverage

TASKS = ("quality", "scene", "distortion")
EPOCHS = (
    {"quality": 0.40, "scene": 0.30, "distortion": 0.60},
    {"quality": 0.20, "scene": 0.27, "distortion": 0.66},
    {"quality": 0.15, "scene": 0.27, "distortion": 0.33},
)


def softmax_weights(ratios: list[float], temperature: float) -> list[float]:
    terms = [math.exp(ratio / temperature) for ratio in ratios]
    return [len(ratios) * term / sum(terms) for term in terms]


def test_eq13_weights_follow_the_relative_descending_rate() -> None:
    weighting = DynamicWeightAverage(TASKS, temperature=2.0)
    ones = dict.fromkeys(TASKS, 1.0)
    assert weighting.weights == ones  # first epoch
    weighting.end_epoch(EPOCHS[0])
    assert weighting.weights == ones  # second epoch
    weighting.end_epoch(EPOCHS[1])
    assert list(weighting.weights.values()) == pytest.approx(softmax_weights([0.5, 0.9, 1.1], 2.0))
    weighting.end_epoch(EPOCHS[2])
    assert list(weighting.weights.values()) == pytest.approx(softmax_weights([0.75, 1.0, 0.5], 2.0))


def test_the_slower_a_loss_falls_the_more_it_weighs() -> None:
    weighting = DynamicWeightAverage(TASKS)
    for losses in EPOCHS[:2]:
        weighting.end_epoch(losses)
    assert weighting.weights["quality"] < weighting.weights["scene"] < weighting.weights["distortion"]


def test_temperature_evens_out() -> None:
    spreads = []
    for temperature in (0.5, 2.0, 1e6):
        weighting = DynamicWeightAverage(TASKS, temperature)
        for losses in EPOCHS[:2]:
            weighting.end_epoch(losses)
        spreads.append(max(weighting.weights.values()) - min(weighting.weights.values()))
    assert spreads[0] > spreads[1] > spreads[2]
    assert spreads[2] < 1e-5


def test_a_loss_that_has_reached_zero_keeps_its_last_ratio() -> None:
    weighting = DynamicWeightAverage(TASKS)
    for losses in EPOCHS[:2]:
        weighting.end_epoch(losses)
    weighting.end_epoch({"quality": 0.0, "scene": 0.135, "distortion": 0.66})
    assert list(weighting.weights.values()) == pytest.approx(softmax_weights([0.5, 0.5, 1.0], 2.0))
    # From zero there is no ratio either, whatever comes next.
    weighting.end_epoch({"quality": 0.3, "scene": 0.135, "distortion": 0.66})
    assert list(weighting.weights.values()) == pytest.approx(softmax_weights([0.5, 1.0, 1.0], 2.0))


def test_all_losses_zero_leave_equal_weights() -> None:
    weighting = DynamicWeightAverage(TASKS)
    for _ in range(4):
        weighting.end_epoch(dict.fromkeys(TASKS, 0.0))
    assert weighting.weights == pytest.approx(dict.fromkeys(TASKS, 1.0))


@given(
    losses=st.lists(st.tuples(*[st.floats(0, 1e6, allow_subnormal=False)] * 3), min_size=1, max_size=6),
    count=st.integers(1, 3),
)
def test_weights_are_positive_and_sum_to_the_number_of_tasks(losses: list[tuple[float, ...]], count: int) -> None:
    tasks = TASKS[:count]
    weighting = DynamicWeightAverage(tasks)
    for epoch in losses:
        weighting.end_epoch(dict(zip(TASKS, epoch, strict=True)))
        assert tuple(weighting.weights) == tasks
        assert sum(weighting.weights.values()) == pytest.approx(count)
        assert all(math.isfinite(weight) and weight >= 0 for weight in weighting.weights.values())


@pytest.mark.parametrize("epochs", [0, 1, 2, 3])
def test_state_goes_through_json_and_on_as_if_nothing_had_been(epochs: int) -> None:
    weighting = DynamicWeightAverage(TASKS)
    for losses in EPOCHS[:epochs]:
        weighting.end_epoch(losses)
    restored = DynamicWeightAverage(TASKS)
    restored.load_state_dict(json.loads(json.dumps(weighting.state_dict())))
    assert restored.weights == weighting.weights
    for losses in EPOCHS:
        weighting.end_epoch(losses)
        restored.end_epoch(losses)
        assert restored.weights == weighting.weights


def test_a_kept_state_does_not_change_with_what_it_came_from() -> None:
    weighting = DynamicWeightAverage(TASKS)
    for losses in EPOCHS[:2]:
        weighting.end_epoch(losses)
    state = weighting.state_dict()
    kept = json.dumps(state)
    weighting.end_epoch(EPOCHS[2])
    assert json.dumps(state) == kept


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_impossible_losses_are_refused(value: float) -> None:
    weighting = DynamicWeightAverage(TASKS)
    with pytest.raises(ValueError, match="loss of task 'scene' must be finite and not negative"):
        weighting.end_epoch({"quality": 0.1, "scene": value, "distortion": 0.1})
    with pytest.raises(ValueError, match="loss of task 'distortion'"):
        weighting.end_epoch({"quality": 0.1, "scene": 0.1})


def test_a_state_of_other_tasks_is_refused() -> None:
    state = DynamicWeightAverage(TASKS[:2]).state_dict()
    with pytest.raises(ValueError, match=r"tasks \['quality', 'scene'\], not of \['distortion', 'quality', 'scene'\]"):
        DynamicWeightAverage(TASKS).load_state_dict(state)
