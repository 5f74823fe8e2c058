import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip_iqa_backbone import CropPlan

sides = st.integers(min_value=224, max_value=6000)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(width=sides, height=sides, count=st.integers(1, 40), kind=st.sampled_from(["grid", "random", "liqe"]))
def test_a_plan_gives_exactly_its_count_of_boxes_inside_the_frame(width, height, count, kind):
    boxes = CropPlan(kind=kind, count=count).boxes(width, height)
    assert boxes.shape == (count, 2)
    assert boxes.dtype == np.int64
    assert (boxes >= 0).all()
    assert (boxes + 224 <= [width, height]).all()


@settings(max_examples=150, derandomize=True, deadline=None)
@given(width=sides, height=sides, count=st.integers(4, 40))
def test_a_grid_covers_the_corners_of_the_frame(width, height, count):
    boxes = {tuple(box) for box in CropPlan(count=count).boxes(width, height).tolist()}
    right, bottom = width - 224, height - 224
    assert {(0, 0), (right, 0), (0, bottom), (right, bottom)} <= boxes


@settings(max_examples=150, derandomize=True, deadline=None)
@given(width=sides, height=sides, count=st.integers(1, 40))
def test_a_grid_spreads_its_crops_evenly_over_the_rows(width, height, count):
    boxes = CropPlan(count=count).boxes(width, height)
    rows = [boxes[boxes[:, 1] == y, 0] for y in np.unique(boxes[:, 1])]
    lengths = [len(row) for row in rows]
    if height >= 224 + 40:  # with less room than rows, two rows can fall on one another
        assert max(lengths) - min(lengths) <= 1
    for row in rows:
        if len(row) > 2:
            gaps = np.diff(np.sort(row))
            assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(
    ("width", "height", "rows"),
    [(1000, 1000, 4), (1920, 1080, 3), (1080, 1920, 5), (8000, 400, 2), (400, 8000, 7), (4000, 224, 1)],
)
def test_a_grid_has_as_many_rows_as_the_shape_of_the_frame_asks_for(width, height, rows):
    assert len(np.unique(CropPlan(count=15).boxes(width, height)[:, 1])) == rows


@pytest.mark.parametrize(
    ("count", "width", "height", "rows"), [(2, 2000, 300, 1), (3, 2000, 300, 1), (3, 300, 2000, 3)]
)
def test_few_crops_of_a_long_frame_lie_side_by_side(count, width, height, rows):
    assert len(np.unique(CropPlan(count=count).boxes(width, height)[:, 1])) == rows


def test_a_frame_of_one_crop_gives_that_crop_every_time():
    assert CropPlan(count=3).boxes(224, 224).tolist() == [[0, 0]] * 3


def test_one_image_alone_does_not_get_its_top_left_crop_fifteen_times():
    # The step came from the batch size, which is 1 // 15 = 0 for one image.
    for kind in ("grid", "liqe", "random"):
        assert len(np.unique(CropPlan(kind=kind).boxes(1000, 700), axis=0)) == 15


def test_the_liqe_plan_takes_every_nth_position_of_the_unfolded_grid():
    width, height, count = 1000, 700, 15
    frame = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(frame[..., :], (224, 224), axis=(0, 1))[::32, ::32]
    corners = windows[..., 0, 0].reshape(-1, 2)
    step = len(corners) // count
    expected = corners[[step * index for index in range(count)]]
    np.testing.assert_array_equal(CropPlan(kind="liqe", count=count).boxes(width, height), expected)


def test_the_liqe_plan_aliases_to_three_columns_and_the_grid_does_not():
    assert len(np.unique(CropPlan(kind="liqe").boxes(768, 512)[:, 0])) == 3
    assert len(np.unique(CropPlan(kind="grid").boxes(768, 512)[:, 0])) >= 5


def test_the_liqe_plan_goes_round_a_frame_with_fewer_positions_than_crops():
    boxes = CropPlan(kind="liqe", count=15).boxes(256, 288)  # 2 x 3 positions
    assert len(np.unique(boxes, axis=0)) == 6


def test_random_crops_follow_from_the_seed_and_nothing_before():
    plan = CropPlan(kind="random", seed=7)
    first = plan.boxes(900, 600)
    plan.boxes(3000, 2000)
    np.testing.assert_array_equal(plan.boxes(900, 600), first)
    assert not np.array_equal(CropPlan(kind="random", seed=8).boxes(900, 600), first)


def test_random_crops_draw_from_the_given_generator():
    plan = CropPlan(kind="random", count=4)
    rng = np.random.default_rng(3)
    first, second = plan.boxes(900, 600, rng), plan.boxes(900, 600, rng)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(plan.boxes(900, 600, np.random.default_rng(3)), first)


def test_random_crops_are_uniform_over_all_positions():
    boxes = CropPlan(kind="random", count=40_000, size=10).boxes(14, 12)
    counts = np.zeros((5, 3))
    np.add.at(counts, (boxes[:, 0], boxes[:, 1]), 1)
    expected = 40_000 / 15
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "centre"}, "kind must be one of grid, random, liqe"),
        ({"count": 0}, "count must be an integer of at least 1"),
        ({"count": 2.0}, "count must be an integer"),
        ({"size": -1}, "size must be an integer"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        CropPlan(**fields)


def test_a_frame_smaller_than_a_crop_is_refused():
    with pytest.raises(ValueError, match="100x500 holds no crop of 224x224"):
        CropPlan().boxes(100, 500)


def test_the_smallest_plan_is_allowed():
    assert CropPlan(count=1, size=1, seed=0).boxes(3, 5).tolist() == [[1, 2]]
