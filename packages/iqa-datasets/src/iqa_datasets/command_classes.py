"""What typer makes commands of here: flags shown as `--flag`, a full disk answered in one line wherever it shows."""

import sys
from collections.abc import Iterable
from importlib.metadata import version as package_version
from typing import Annotated, Any

import typer
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


def new_program(name: str, description: str, *, add_completion: bool = True) -> typer.Typer:
    """Return a program without commands yet: its help, ``--version``, and errors without a traceback of typer's.

    Args:
        name: the program and the package that it comes with.
        description: a sentence for its help.
        add_completion: offer to install completion in the user's shell.
    """
    app = typer.Typer(
        name=name,
        cls=Group,
        help=description,
        no_args_is_help=True,
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"{name} {package_version(name)}")
            raise typer.Exit

    @app.callback(help=description)
    def main(
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and stop.")
        ] = False,
    ) -> None:
        pass

    return app
