"""The command `iqa-datasets`. What a command does is imported when it runs, so that `--help` answers at once."""

from importlib.metadata import version as package_version
from typing import Annotated

import typer

from iqa_datasets.commands import EXIT_CODES, catalogue, fake, fetch, overlap, plot, sessions, synthesize, table, verify

app = typer.Typer(
    name="iqa-datasets",
    help="Image quality data sets in their official layouts as one honest table.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"iqa-datasets {package_version('iqa-datasets')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Image quality data sets in their official layouts as one honest table."""


app.command("list")(catalogue.list_datasets)
app.command("info")(catalogue.show_card)
app.command("verify", epilog=EXIT_CODES)(verify.verify)
app.command("sessions", epilog=sessions.EPILOG)(sessions.sessions)
app.command("overlap", epilog=overlap.EPILOG)(overlap.overlap)
app.command("table", epilog=table.EPILOG)(table.table)
app.command("plot", epilog=plot.EPILOG)(plot.plot)
app.command("fake")(fake.fake)
app.command("synthesize", epilog=synthesize.EPILOG)(synthesize.synthesize)
app.command("fetch", epilog=fetch.EPILOG)(fetch.fetch)
