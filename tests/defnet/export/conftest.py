"""Fixtures of the tests of exported files."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quiet_tracing() -> Iterator[None]:
    """Pytest keeps what is logged; torch then writes down every step of its tracing, which takes most of the time."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)
