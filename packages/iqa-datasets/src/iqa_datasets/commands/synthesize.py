"""`iqa-datasets synthesize`: a distorted data set from a folder of pristine photographs."""

import csv
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from iqa_datasets.commands import terminal
from iqa_datasets.terminal import SOME_NOT, cell, new_table, show_table

EPILOG = """**Examples**

`iqa-datasets synthesize photos made --size 512x384` — all 25 types of KADID-10k and 5 faults of capture, 5 levels each

`iqa-datasets synthesize photos made --types blurs --types jpeg --types 25 --levels 1,3,5`

`iqa-datasets synthesize photos made --size 512x384 --per-photo 36 --no-unchanged` — 36 of the 150, others for each
photograph

`iqa-datasets synthesize --list` — the types with their settings

`iqa-datasets synthesize photos sheets --contact-sheets` — a picture of each type instead, of three photographs

`iqa-datasets table folder made` — the table of what was made

**Exit code**: 0 all made, 1 some photographs could not be used, 2 nothing could be done. The same command goes on where
it was stopped."""

_SHEET_ROWS = 3


def synthesize(
    source: Annotated[Path | None, typer.Argument(metavar="PHOTOS", help="A folder of pristine photographs.")] = None,
    out: Annotated[Path | None, typer.Argument(metavar="OUT", help="The folder to make.")] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            help="Names, codes or groups of types (see --list), or `kadid`; may be repeated. All if not given."
        ),
    ] = None,
    levels: Annotated[str, typer.Option(help="Levels, separated by commas.")] = "1,2,3,4,5",
    per_photo: Annotated[
        int | None,
        typer.Option(
            help="Images to make of each photograph, drawn evenly from all types and levels. All of them if not given.",
            min=1,
        ),
    ] = None,
    unchanged: Annotated[
        bool, typer.Option("--unchanged/--no-unchanged", help="Keep images that a distortion leaves as they were.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Another seed gives other noise, directions and places.", min=0)] = 0,
    size: Annotated[
        str | None,
        typer.Option(
            help="WIDTHxHEIGHT to which photographs are scaled down and cut first. KADID-10k's settings are meant for "
            "512x384."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; all cores if not given.", min=1)] = None,
    contact_sheets: Annotated[bool, typer.Option("--contact-sheets", help="Write a picture of each type.")] = False,
    list_types: Annotated[bool, typer.Option("--list", help="List the types and stop.")] = False,
) -> None:
    """Distort every photograph of a folder by KADID-10k's types and faults of capture, and write one table."""
    from iqa_datasets.synthesis import chosen_types
    from iqa_datasets.synthesis import synthesize as make

    if list_types:
        with terminal.plain_errors():
            _list(types)
        return
    if source is None or out is None:
        terminal.fail("give the folder of photographs and the folder to make: iqa-datasets synthesize PHOTOS OUT")
    with terminal.plain_errors():
        try:
            if contact_sheets:
                from iqa_datasets.image_paths import images_in
                from iqa_datasets.synthesis.contact_sheets import write_contact_sheets

                photographs = images_in(source)[:_SHEET_ROWS]
                chosen = chosen_types(types)
                sheets = write_contact_sheets(chosen, photographs, out, seed=seed)
                count = sum(1 for _ in terminal.track(sheets, len(chosen), "drawing"))
                terminal.say(f"wrote {count} sheets to {out}")
                return
            made = make(
                source,
                out,
                types=types,
                levels=_numbers(levels),
                per_photograph=per_photo,
                unchanged=unchanged,
                seed=seed,
                size=None if size is None else _size(size),
                workers=workers,
                progress=partial(terminal.track, what="distorting"),
            )
        except ImportError as error:
            terminal.fail(str(error))
    for failure in made.failures:
        terminal.say(f"{failure.source}: {failure.reason}")
    terminal.say(f"{made.made:,} images made, {len(made.records):,} in {made.folder / 'records.csv'}")
    if made.failures:
        raise typer.Exit(SOME_NOT)


def _list(types: list[str] | None) -> None:
    from iqa_datasets.synthesis import chosen_types

    columns = ("code", "name", "title", "group", "class", "settings of levels 1 to 5", "severity")
    rows = [
        (
            one.code,
            one.name,
            one.title,
            one.group,
            one.distortion,
            " ".join(f"{setting:g}" for setting in one.settings),
            " ".join(map(str, one.severity)),
        )
        for one in chosen_types(types)
    ]
    if not sys.stdout.isatty():
        csv.writer(sys.stdout, lineterminator="\n").writerows([columns, *rows])
        return
    table = new_table(*columns)
    for row in rows:
        table.add_row(*map(cell, row))
    show_table(table)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        terminal.fail(f"--levels must be numbers from 1 to 5 separated by commas, got {text!r}")


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.lower().partition("x")
    if not (x and width.isdecimal() and height.isdecimal()):
        terminal.fail(f"--size must be WIDTHxHEIGHT, such as 512x384, got {text!r}")
    return int(width), int(height)
