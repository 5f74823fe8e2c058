"""Running a function over many items on several cores."""

import math
import operator
import os
import threading
from itertools import count, islice

import pytest

from iqa_datasets.errors import DatasetError
from iqa_datasets.workers import ordered_map, worker_count

# Of the standard library: what is sent to another process must be importable there, and a test module is not.
KINDS = pytest.mark.parametrize(("workers", "threads"), [(1, False), (2, True), (2, False)])


@KINDS
def test_order_and_results(workers, threads):
    roots = [math.isqrt(number) for number in range(50)]
    assert list(ordered_map(math.isqrt, range(50), workers, threads=threads)) == roots
    assert list(ordered_map(math.isqrt, [], workers, threads=threads)) == []


def test_where_it_runs():
    process, thread = [os.getpid], [threading.get_ident]
    assert set(ordered_map(operator.call, 4 * process, 1)) == {os.getpid()}
    assert set(ordered_map(operator.call, 4 * thread, 1)) == {threading.get_ident()}
    assert set(ordered_map(operator.call, 20 * process, 2, threads=True)) == {os.getpid()}
    assert threading.get_ident() not in set(ordered_map(operator.call, 20 * thread, 2, threads=True))
    assert os.getpid() not in set(ordered_map(operator.call, 4 * process, 2))


@KINDS
def test_an_error_comes_where_it_belongs(workers, threads):
    results = ordered_map(math.sqrt, [1, 4, -1, 9], workers, threads=threads)
    assert list(islice(results, 2)) == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"math domain error|expected a nonnegative input"):
        next(results)


def test_a_process_that_ends_is_told():
    with pytest.raises(DatasetError, match="one of 2 processes ended before its work was done"):
        list(ordered_map(os._exit, [3, 3], 2))


def test_processes_do_linear_algebra_on_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")  # the user's own choice
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"] * 10
    assert set(ordered_map(os.getenv, names, 2)) == {"1", "3"}
    assert "OMP_NUM_THREADS" not in os.environ
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_takes_only_a_few_items_ahead():
    taken = []

    def items():
        for number in count():
            taken.append(number)
            yield number

    results = ordered_map(math.isqrt, items(), 2, threads=True)
    assert list(islice(results, 10)) == [math.isqrt(number) for number in range(10)]
    assert len(taken) < 30
    results.close()


def test_counts():
    assert worker_count(3) == 3
    assert worker_count(None) >= 1
    with pytest.raises(DatasetError, match="workers must be 1 or more, got 0"):
        worker_count(0)
