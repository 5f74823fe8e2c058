"""Batches in which images of one content stand together."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from defnet.data.sampling import BatchPlan

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=8)
seeds = st.integers(0, 9)


def table(counts: list[int]) -> torch.Tensor:
    """The contents of a data set with so many images of each, in an order of no meaning."""
    content = np.repeat(10 + np.arange(len(counts)), counts)
    return torch.from_numpy(np.random.default_rng(len(content)).permutation(content))


def plan_of(content: torch.Tensor, size: int, together: int, seed: int) -> BatchPlan:
    return BatchPlan(torch.zeros(len(content), dtype=torch.int64), [size], seed, content, [together])


@given(counts=sizes, together=st.integers(2, 4), bunches=st.integers(1, 3), seed=seeds)
def test_every_image_comes_in_a_pass_and_as_few_as_can_be_come_twice(
    counts: list[int], together: int, bunches: int, seed: int
) -> None:
    content, size = table(counts), together * bunches
    plan, steps = plan_of(content, size, together, seed), -(-len(content) // size)
    for shuffle in range(2):
        drawn = [plan.rows(shuffle * steps + step).tolist() for step in range(steps)]
        assert all(len(rows) == size for rows in drawn)
        assert set(itertools.chain(*drawn)) == set(range(len(content)))
        # Only the last batch is filled up, and an image stands twice in it where there are no others.
        assert max(Counter(itertools.chain(*drawn[:-1])).values(), default=1) == 1
        for rows in drawn:
            assert max(Counter(rows).values()) <= -(-size // len(content))
        if len(content) >= size:
            assert max(Counter(itertools.chain(*drawn)).values()) <= 2


@given(
    counts=st.lists(st.integers(1, 3), min_size=1, max_size=8),
    together=st.integers(2, 4),
    bunches=st.integers(1, 3),
    seed=seeds,
)
def test_where_contents_go_into_bunches_every_batch_is_made_of_whole_ones(
    counts: list[int], together: int, bunches: int, seed: int
) -> None:
    content, size = table([together * count for count in counts]), together * bunches
    plan = plan_of(content, size, together, seed)
    for step in range(2 * len(content) // size + 1):
        rows = plan.rows(step)
        assert all(count % together == 0 for count in Counter(content[rows].tolist()).values())
        # As they are drawn: one bunch after the other.
        assert all(
            len(set(content[rows[start : start + together]].tolist())) == 1 for start in range(0, size, together)
        )


@given(counts=sizes, together=st.integers(2, 4), bunches=st.integers(1, 3), seed=seeds)
def test_a_batch_tears_one_bunch_at_most(counts: list[int], together: int, bunches: int, seed: int) -> None:
    counts = [min(count, together) for count in counts]
    content, size = table(counts), together * bunches
    plan = plan_of(content, size, together, seed)
    drawn = [plan.rows(step) for step in range(-(-len(content) // size))]
    last = len(drawn) - 1
    taken: dict[int, set[int]] = {}
    for step, rows in enumerate(drawn):
        new = size if step < last else len(content) - last * size  # the rest of the last one fills it up
        for number in content[rows[:new]].tolist():
            taken.setdefault(number, set()).add(step)
    assert sum(len(steps) - 1 for steps in taken.values()) <= last


@given(counts=sizes, together=st.integers(1, 3), seed=seeds, order=st.randoms(use_true_random=False))
def test_every_batch_is_a_function_of_seed_and_step(counts: list[int], together: int, seed: int, order) -> None:
    content, size = table(counts), 2 * together
    forward = [plan_of(content, size, together, seed).rows(step).tolist() for step in range(7)]
    one, steps = plan_of(content, size, together, seed), list(range(7))
    order.shuffle(steps)
    assert {step: one.rows(step).tolist() for step in steps} == dict(enumerate(forward))


def test_passes_and_seeds_differ_in_bunches_and_in_their_order() -> None:
    content = table([8] * 5)
    one, other = (plan_of(content, 8, 4, seed) for seed in (0, 1))
    first, second, reseeded = (
        [plan.rows(step).tolist() for step in steps]
        for plan, steps in ((one, range(5)), (one, range(5, 10)), (other, range(5)))
    )
    bunches = [
        {frozenset(rows[start : start + 4]) for rows in batches for start in (0, 4)}
        for batches in (first, second, reseeded)
    ]
    assert len(bunches[0] & bunches[1]) < 5
    assert len(bunches[0] & bunches[2]) < 5
    # A step's two bunches are mostly of two contents, and not always of the same two.
    pairs = {tuple(sorted(set(content[rows].tolist()))) for rows in first + second}
    assert len(pairs) > 4


@pytest.mark.parametrize("together", [[1, 2], [2, 1]])
def test_one_data_sets_contents_change_nothing_of_anothers(together: list[int]) -> None:
    dataset = torch.tensor([0] * 9 + [1] * 8)
    content = torch.cat([table([3, 3, 3]), 100 + table([4, 4])])
    plain = BatchPlan(dataset, [4, 4], 3)
    assert BatchPlan(dataset, [4, 4], 3, content).rows(7).tolist() == plain.rows(7).tolist()
    mixed = BatchPlan(dataset, [4, 4], 3, content, together)
    at = slice(0, 4) if together[0] == 1 else slice(4, 8)
    for step in range(9):
        rows = mixed.rows(step)
        assert rows[at].tolist() == plain.rows(step)[at].tolist()
        assert dataset[rows].tolist() == [0] * 4 + [1] * 4
