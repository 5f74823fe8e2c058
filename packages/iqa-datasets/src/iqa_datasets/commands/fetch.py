"""`iqa-datasets fetch`: get a data set, or say exactly how to get it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.commands import EXIT_CODES, terminal
from iqa_datasets.terminal import SOME_NOT, printable

if TYPE_CHECKING:
    from iqa_datasets.cards import DatasetCard

EPILOG = f"""**Examples**

`iqa-datasets fetch kadid-10k data` — show the licence, ask, download, check and unpack to `data/kadid10k`

`iqa-datasets fetch kadid-10k data --accept-licence` — in a script; the same again goes on with what was interrupted

`iqa-datasets fetch live data` — say how to ask for it, since no program can

`iqa-datasets fetch live data --archive databaserelease2.zip` — unpack what you then got

`iqa-datasets fetch kadid-10k data --from https://mirror.example/kadid10k.zip` — from elsewhere, with the same checks

{EXIT_CODES} 1: it is there, but does not load as documented."""


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the official folder is to appear.")],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="You have read the licence (`iqa-datasets info NAME`) and accept.")
    ] = False,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Take a copy that others have packed, where there is one.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--from", help="Another server: a file, a folder ending in /, or another hub.", metavar="URL"),
    ] = None,
    archive: Annotated[
        list[Path] | None,
        typer.Option(help="What you downloaded yourself, instead of downloading; may be repeated.", metavar="FILE"),
    ] = None,
    keep_archive: Annotated[
        bool, typer.Option("--keep-archive/--no-keep-archive", help="Keep what was downloaded in DIR/archives.")
    ] = False,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Show bars with speed.")] = True,
) -> None:
    """Download a data set, check it, and unpack it into its official layout; or say how to get it by hand.

    Interrupted downloads go on where they stopped. Prints the official folder.
    """
    from iqa_datasets.fetching import already_there, bars, fetch_source, files_of
    from iqa_datasets.registry import info
    from iqa_datasets.sources import source_of

    with terminal.plain_errors():
        card, source = info(name), source_of(name)
        place = already_there(card, folder)
        if place is not None:
            terminal.say(f"{place} is there already; nothing was downloaded")
            _show(name, place)
            return
        files = files_of(source, mirror=mirror)
        if not files and not archive:
            terminal.fail(source.instructions(card, str(folder)))
        if accept_licence:
            terminal.say(f"accepted: {card.licence}")
        else:
            size = source.mirror_size if mirror else source.size
            _ask(card, [file.url for file in files] if not archive else list(map(str, archive)), size)
        with bars(progress) as report:
            place = fetch_source(
                source,
                card,
                folder,
                accept_licence=True,
                mirror=mirror,
                address=address,
                archives=archive or (),
                keep_archives=keep_archive,
                report=report,
                say=terminal.say,
            )
    _show(name, place)


def _show(name: str, place: Path) -> None:
    """Print where a data set is, and whether it can be read."""
    from iqa_datasets.registry import load

    typer.echo(printable(str(place)))
    try:
        dataset = load(name, place)
    except (ValueError, OSError) as error:
        terminal.say(f"it is there, but does not load as documented: {error}")
        raise typer.Exit(SOME_NOT) from None
    terminal.say(f"{len(dataset):,} images; to decode them all: iqa-datasets verify {name} {place}")


def _ask(card: "DatasetCard", files: list[str], size: int | None) -> None:
    """Show under which terms a data set is given out, and stop unless they are accepted."""
    terminal.say(f"{card.title} ({card.year})")
    for file in files:
        terminal.say(f"from {file}")
    if size:
        terminal.say(f"about {size / 1e9:.2f} GB")
    terminal.say(f"Home page: {card.home_page}")
    terminal.say(f"Please cite: {card.citation}")
    terminal.say(f"Licence: {card.licence}")
    try:
        accepted = typer.confirm("Do you accept this licence?", err=True)
    except typer.Abort:
        typer.echo(err=True)
        terminal.fail("nobody answered; where there is no terminal, accept with --accept-licence")
    if not accepted:
        terminal.fail("not accepted; nothing was downloaded")
