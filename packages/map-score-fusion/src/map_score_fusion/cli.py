"""The command `map-score-fusion`. What a command does is imported when it runs, so that `--help` answers at once."""

from importlib.metadata import version as package_version
from typing import Annotated

import typer

from iqa_datasets.command_classes import Command, Group
from map_score_fusion.commands import catalogue, compare, evaluate, fit, predict, report, score

app = typer.Typer(
    name="map-score-fusion",
    cls=Group,
    help="Many quality metrics, no human ratings, one better score per image with its uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"map-score-fusion {package_version('map-score-fusion')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Many quality metrics, no human ratings, one better score per image with its uncertainty."""


app.command("list", cls=Command, epilog=catalogue.EPILOG)(catalogue.list_methods)
app.command("fit", cls=Command, epilog=fit.EPILOG)(fit.fit)
app.command("predict", cls=Command, epilog=predict.EPILOG)(predict.predict)
app.command("evaluate", cls=Command, epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("compare", cls=Command, epilog=compare.EPILOG)(compare.compare)
app.command("report", cls=Command, epilog=report.EPILOG)(report.report)
app.command("score", cls=Command, epilog=score.EPILOG)(score.score)
