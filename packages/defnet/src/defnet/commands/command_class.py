"""Commands whose help shows a flag as `--flag`, and not as an option that wants a `<bool>`."""

from collections.abc import Iterable
from typing import Any

from typer.core import TyperCommand, TyperGroup


def _plain_flags(parameters: Iterable[Any]) -> list[Any]:
    found = list(parameters)
    for parameter in found:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return found


class Command(TyperCommand):
    """A command whose flags have no metavar."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, flags without a metavar."""
        return _plain_flags(super().get_params(ctx))


class Group(TyperGroup):
    """The commands, whose own flags have no metavar."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, flags without a metavar."""
        return _plain_flags(super().get_params(ctx))
