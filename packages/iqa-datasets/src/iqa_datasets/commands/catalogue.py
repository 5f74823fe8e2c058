"""`iqa-datasets list` and `iqa-datasets info`: which data sets there are, and the card of one."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqa_datasets.commands import terminal
from iqa_datasets.printed_tables import default_format
from iqa_datasets.terminal import SOME_NOT, cell, new_table, show_table

if TYPE_CHECKING:
    from iqa_datasets.cards import DatasetCard


LIST_EPILOG = """**Examples**

`iqa-datasets list` — a table on a terminal, CSV on a pipe

`iqa-datasets list --format json`"""

INFO_EPILOG = """**Examples**

`iqa-datasets info koniq-10k` — scale and direction, licence, citation, expected files, traps

`iqa-datasets info koniq-10k --format json`"""


class ListFormat(StrEnum):
    """How the list is written."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


class CardFormat(StrEnum):
    """How a card is written."""

    table = "table"
    json = "json"


def list_datasets(
    output: Annotated[
        ListFormat | None,
        typer.Option("--format", help="How to write it; by default a table on a terminal, CSV on a pipe."),
    ] = None,
) -> None:
    """List the data sets that can be read: size, kind of distortion, scale and direction of the scores."""
    from iqa_datasets.errors import DatasetError
    from iqa_datasets.registry import available, info

    cards, broken = [], []
    for name in available():
        try:
            cards.append(info(name))
        except DatasetError as error:  # a plug-in that does not work keeps none of the others from the list
            broken.append(str(error))
    try:
        _write(cards, output or ListFormat(default_format()))
    finally:
        for message in broken:
            terminal.say(message)
    if broken:
        raise typer.Exit(SOME_NOT)


def _write(cards: "Sequence[DatasetCard]", output: ListFormat) -> None:
    if output is ListFormat.json:
        typer.echo(json.dumps([as_json(card) for card in cards], indent=2, ensure_ascii=False))
        return
    columns = ("id", "title", "year", "images", "references", "types", "kind", "score")
    rows = [
        (
            card.name,
            card.title,
            "" if card.year is None else str(card.year),
            card.size,
            card.references,
            card.distortion_types,
            card.kind,
            str(card.scale or "none"),
        )
        for card in cards
    ]
    if output is ListFormat.markdown:
        typer.echo(markdown(cards))
        return
    if output is ListFormat.csv:
        import csv
        import sys

        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
        return
    table = new_table(*columns, right=("year", "images", "references", "types"))
    for row in rows:
        table.add_row(*map(cell, row))
    show_table(table)


def markdown(cards: "Sequence[DatasetCard]") -> str:
    """Return the list as two tables in Markdown, as the documentation has it: what they are, and under which terms."""
    from iqa_datasets.sources import SOURCES

    facts = [
        "| id | data set | images | references | types | distortion | score as published | subjects |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    terms = ["| id | licence | how to get it |", "| --- | --- | --- |"]
    for card in cards:
        year = "" if card.year is None else f" ({card.year})"
        numbers = (
            "" if number is None else f"{number:,}"
            for number in (card.size, card.references, card.distortion_types, card.subjects)
        )
        size, references, types, subjects = numbers
        scale = str(card.scale or "none")
        title = f"[{card.title}]({card.home_page}){year}" if year else card.title
        facts.append(
            f"| `{card.name}` | {title} | {size} | {references} | {types} | {card.kind} | {scale} | {subjects} |"
        )
        if card.name in SOURCES:
            source = SOURCES[card.name]
            route = "`fetch`" if source.files else "`fetch --mirror`, or by hand" if source.mirror else "by hand"
            terms.append(f"| `{card.name}` | {card.licence} | {route} |")
    return "\n".join([*facts, "", *terms])


def show_card(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    output: Annotated[CardFormat, typer.Option("--format", help="How to write it.")] = CardFormat.table,
) -> None:
    """Show a data set's card: scale, subjects, licence, citation, home page, expected files, and what to know."""
    from iqa_datasets.registry import info

    with terminal.plain_errors():
        card = info(name)
    content = as_json(card)
    if output is CardFormat.json:
        typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
        return
    for field, value in content.items():
        if value in (None, [], ()):
            continue
        if field == "image_sizes":
            value = [f"{width}x{height}" for width, height in value]
        if field == "columns":
            value = [f"{name}: {meaning}" for name, meaning in value]
        if isinstance(value, bool):
            value = "yes" if value else "no"
        shown = value if isinstance(value, list) else [value]
        for number, line in enumerate(shown):
            typer.echo(f"{field.replace('_', ' ') if number == 0 else '':18} {line}")


def as_json(card: "DatasetCard") -> dict[str, Any]:
    """Return a card as plain values, with the scale as its text and its parts."""
    content: dict[str, Any] = {
        field: list(value) if isinstance(value, tuple) else value for field, value in asdict(card).items()
    }
    content["scale"] = None if card.scale is None else str(card.scale)
    return content
