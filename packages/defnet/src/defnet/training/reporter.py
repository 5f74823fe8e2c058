"""Who hears how a training run goes on."""

from collections.abc import Mapping
from typing import Any, Protocol


class Reporter(Protocol):
    """Hears how a run goes on; the command line shows it."""

    def begin(self, what: str, total: int) -> None:
        """A piece of work of `total` units begins."""

    def advance(self, units: int) -> None:
        """Some units are done."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch has ended with these figures."""

    def note(self, message: str) -> None:
        """Something that whoever started the run should know."""


class Silent:
    """Hears everything and says nothing."""

    def begin(self, what: str, total: int) -> None:
        """Say nothing."""

    def advance(self, units: int) -> None:
        """Say nothing."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""
