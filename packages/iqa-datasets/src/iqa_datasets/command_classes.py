"""What typer makes commands of here: flags shown as `--flag`, a full disk answered in one line wherever it shows."""

import sys
from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from iqa_datasets.terminal import Terminal


def _plain_flags(parameters: Iterable[Any]) -> list[Any]:
    found = list(parameters)
    for parameter in found:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return found


class Command(TyperCommand):
    """A command whose flags have no metavar: typer shows them as options that want a ``<bool>``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, flags without a metavar."""
        return _plain_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The commands of a program. Its own flags have no metavar."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, flags without a metavar."""
        return _plain_flags(super().get_params(ctx))

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run as typer does; where help or a version cannot be written either, say so and exit with 2."""
        with Terminal(self.name or "").writing():
            try:
                return super().main(*arguments, **options)
            finally:
                sys.stdout.flush()
