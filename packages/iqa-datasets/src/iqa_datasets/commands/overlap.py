"""`iqa-datasets overlap`: which pictures several data sets share."""

import json
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.commands import terminal
from iqa_datasets.printed_tables import default_format
from iqa_datasets.row_files import SUFFIXES
from iqa_datasets.terminal import OutputFormat, cell, new_table, printable, show_table, write_rows

if TYPE_CHECKING:
    from iqa_datasets.fingerprints import Progress
    from iqa_datasets.records import IQADataset
    from iqa_datasets.shared_pictures import Overlap

EPILOG = """**Examples**

`iqa-datasets overlap live=databaserelease2 tid2013=tid2013 csiq=CSIQ` — every two of them

`iqa-datasets overlap live=databaserelease2 tid2013=tid2013 --out shared.csv`

**Exit code**: 0 done, whatever was found; 2 nothing could be done."""


_COLUMNS = (
    "first_data_set",
    "second_data_set",
    "first",
    "second",
    "kind",
    "distance",
    "similarity",
    "first_images",
    "second_images",
)


def overlap(
    datasets: Annotated[
        list[str], typer.Argument(metavar="NAME=ROOT...", help="Two or more data sets: an id and its official folder.")
    ],
    crops: Annotated[bool, typer.Option(help="Also seek pictures that are cut out of others.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the shared pictures to a .csv, .json, .jsonl or .parquet file.", metavar="FILE"),
    ] = None,
    output: Annotated[
        OutputFormat | None,
        typer.Option(
            "--format",
            help="By default a table on a terminal, CSV on a pipe: a row for each picture.",
        ),
    ] = None,
) -> None:
    """Find the pictures that data sets share: copies, resized, mirrored, or one cut out of the other.

    A model trained on one data set has seen what it shares with another, so a zero-shot figure needs it left out.
    References are compared, and images where there are none.
    """
    from iqa_datasets.registry import load
    from iqa_datasets.shared_pictures import overlap as find

    terminal.check_out(out, SUFFIXES)
    if len(datasets) < 2:
        terminal.fail("overlap needs two data sets or more, each as NAME=ROOT")
    with terminal.plain_errors():
        loaded: list[IQADataset] = []
        for text in datasets:
            name, equals, root = text.partition("=")
            if not equals:
                terminal.fail(f"{text!r} must be NAME=ROOT, such as live=databaserelease2")
            loaded.append(load(name, root))
        found = [
            (first, second, find(first, second, crops=crops, progress=_progress))
            for first, second in combinations(loaded, 2)
        ]
        rows = [row for entry in found for row in _rows(*entry)]
        if out is not None:
            write_rows(rows, _COLUMNS, out=out)
        match output or default_format():
            case OutputFormat.json:
                typer.echo(json.dumps([_as_json(*entry) for entry in found], indent=2, ensure_ascii=False))
            case OutputFormat.table:
                _show(found)
            case _:
                write_rows(rows, _COLUMNS, output_format=output or default_format())


def _progress(what: str) -> "Progress":
    return partial(terminal.track, what=what)


def _rows(first: "IQADataset", second: "IQADataset", found: "Overlap") -> list[dict[str, object]]:
    return [
        {
            "first_data_set": first.name,
            "second_data_set": second.name,
            **one._asdict(),
            "first": Path(one.first).relative_to(first.root).as_posix(),
            "second": Path(one.second).relative_to(second.root).as_posix(),
            "similarity": round(one.similarity, 4) if one.similarity == one.similarity else None,
        }
        for one in found.shared
    ]


def _as_json(first: "IQADataset", second: "IQADataset", found: "Overlap") -> dict[str, object]:
    return {
        "data_sets": [first.name, second.name],
        "pictures_compared": list(found.compared),
        "crops_sought": found.crops_sought,
        "shared": _rows(first, second, found),
    }


def _show(found: "list[tuple[IQADataset, IQADataset, Overlap]]") -> None:
    numbers = ("pictures", "shared", "identical", "near", "mirrored", "crop")
    table = new_table("first", "second", *numbers, right=numbers)
    for first, second, result in found:
        kinds = [one.kind for one in result.shared]
        counts = [cell(kinds.count(kind)) for kind in ("identical", "near", "mirrored")]
        crops = cell(kinds.count("crop")) if result.crops_sought else "not sought"
        compared = " x ".join(f"{number:,}" for number in result.compared)
        table.add_row(cell(first.name), cell(second.name), compared, cell(len(kinds)), *counts, crops)
    show_table(table)
    for first, second, result in found:
        for row in _rows(first, second, result):
            measure = f"correlation {row['similarity']}" if row["kind"] == "crop" else f"{row['distance']} bits"
            names = f"{first.name} {row['first']} = {second.name} {row['second']}"
            typer.echo(
                printable(
                    f"  {names} ({row['kind']}, {measure}): {row['first_images']} and {row['second_images']} images"
                )
            )
        if not result.crops_sought:
            terminal.say(f"{first.name} x {second.name}: crops were not sought")
