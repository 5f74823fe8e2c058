"""Running a function over many items on several cores."""

import os
import threading
from itertools import count, islice

import pytest

from iqa_datasets.errors import DatasetError
from iqa_datasets.workers import ordered_map, worker_count


def square(number: int) -> int:
    return number * number


def who(_: int) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def reciprocal(number: int) -> float:
    return 1 / number


KINDS = pytest.mark.parametrize(("workers", "threads"), [(1, False), (2, True), (2, False)])


@KINDS
def test_order_and_results(workers, threads):
    assert list(ordered_map(square, range(50), workers, threads=threads)) == [number**2 for number in range(50)]
    assert list(ordered_map(square, [], workers, threads=threads)) == []


def test_where_it_runs():
    here = (os.getpid(), threading.get_ident())
    assert set(ordered_map(who, range(4), 1)) == {here}
    assert {process for process, _ in ordered_map(who, range(20), 2, threads=True)} == {here[0]}
    assert here not in set(ordered_map(who, range(20), 2, threads=True))
    assert here[0] not in {process for process, _ in ordered_map(who, range(4), 2)}


@KINDS
def test_an_error_comes_where_it_belongs(workers, threads):
    results = ordered_map(reciprocal, [1, 2, 0, 4], workers, threads=threads)
    assert list(islice(results, 2)) == [1.0, 0.5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_takes_only_a_few_items_ahead():
    taken = []

    def items():
        for number in count():
            taken.append(number)
            yield number

    results = ordered_map(square, items(), 2, threads=True)
    assert list(islice(results, 10)) == [number**2 for number in range(10)]
    assert len(taken) < 30
    results.close()


def test_counts():
    assert worker_count(3) == 3
    assert worker_count(None) >= 1
    with pytest.raises(DatasetError, match="workers must be 1 or more, got 0"):
        worker_count(0)
