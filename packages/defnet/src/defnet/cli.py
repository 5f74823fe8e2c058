"""The command `defnet`. What a command does is imported when it runs, so that `--help` answers at once."""

from importlib.metadata import version as package_version
from typing import Annotated

import typer

from defnet.commands import evaluate, info, score, train
from iqa_datasets.command_classes import Command, Group

app = typer.Typer(
    name="defnet",
    cls=Group,
    help="How good photographs look, how sure that is, and what is wrong with them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"defnet {package_version('defnet')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """How good photographs look, how sure that is, and what is wrong with them."""


app.command("score", cls=Command, epilog=score.EPILOG)(score.score)
app.command("train", cls=Command, epilog=train.EPILOG)(train.train)
app.command("info", cls=Command, epilog=info.EPILOG)(info.info)
app.command("evaluate", cls=Command, epilog=evaluate.EPILOG)(evaluate.evaluate)

if __name__ == "__main__":
    app()
