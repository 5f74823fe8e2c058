"""`defnet report`: a page to look through photographs that have been scored."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.terminal import SOME_NOT, Terminal

if TYPE_CHECKING:
    from defnet.report.gallery.from_files import Found
    from defnet.scoring.scored_tables import ScoreTable

TERMINAL = Terminal("defnet")

PAGE_SUFFIXES = (".html", ".htm")

EPILOG = """**Examples**

`defnet report scores.csv` — writes `scores.html` beside the table, with the photographs that the table names

`defnet report scores.parquet --images /archive/photos --out look.html` — the photographs have moved since

`defnet score photos/ --report look.html` — the page while scoring: each photograph is decoded once, and the page shows
how good each of its sub-images is

The page is one file, asks nothing of the network and needs no server. Photographs are sorted and filtered by quality,
uncertainty, familiarity, scene, distortion and name, shown large and compared by twos; the list of those selected is
copied. Larger views open the photographs' own files, where they are where they were; the page itself holds thumbnails,
at most 120 MB for 10,000 photographs.

**Exit code**: 0 all right, 1 some photographs could not be found or read, and the page shows their rows without a
picture, 2 nothing could be done, 130 interrupted."""


def report(
    table: Annotated[
        Path, typer.Argument(metavar="SCORES", help="What `defnet score` wrote: .csv, .jsonl, .json or .parquet.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The page; by default the table's name with .html.", metavar="FILE.html", show_default=False),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Where the photographs lie now, if not where the table says.", metavar="DIR"),
    ] = None,
    title: Annotated[str | None, typer.Option(help="What stands at the top; by default the table's name.")] = None,
) -> None:
    """Make a page to look through scored photographs: sorted, filtered, large, compared."""
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError, interrupted="interrupted; no page was written"):
        page = table.with_suffix(".html") if out is None else out
        TERMINAL.check_out(page, PAGE_SUFFIXES)
        if images is not None and not images.is_dir():
            TERMINAL.fail(f"--images {images}: there is no such folder")
        from defnet.report.gallery.entries import Gallery
        from defnet.report.gallery.from_files import add_with_pictures, file_of
        from defnet.report.gallery.page_file import write_page
        from defnet.scoring.local_files import read_local
        from defnet.scoring.scored_tables import read_score_table

        scores = read_score_table(table)
        with Gallery() as gallery, TERMINAL.progress(len(scores.rows), "reading photographs") as bar:
            found = add_with_pictures(
                gallery,
                scores.rows,
                page,
                find=lambda path: file_of(path, table, images),
                local=read_local(table),
                advance=bar.advance,
            )
            notes = notes_on(scores, found)
            size = write_page(gallery, page, title or table.name, notes)
        for note in notes:
            TERMINAL.say(note)
        TERMINAL.say(f"{page}: {_photographs(len(scores.rows))}, {size / 1e6:.1f} MB")
        if found.missing or found.unreadable:
            raise typer.Exit(SOME_NOT)


def notes_on(scores: "ScoreTable", found: "Found") -> list[str]:
    """What a reader of the page should know of all of it."""
    notes = []
    if found.missing:
        where = "give --images DIR where they lie now" if len(found.missing) == len(scores.rows) else "shown without"
        first = found.missing[0].replace("\n", "?")
        notes.append(
            f"{_photographs(len(found.missing))} of {len(scores.rows)} could not be found ({where}); the first: {first}"
        )
    if found.unreadable:
        path, reason = found.unreadable[0]
        first = path.replace("\n", "?")
        notes.append(f"{_photographs(len(found.unreadable))} could not be decoded; the first: {first}: {reason}")
    if found.changed:
        changed = _photographs(len(found.changed))
        notes.append(f"{changed} changed after being scored: the pictures are of now, the scores of then")
    if scores.repeated:
        notes.append(f"rows of the table that a later row of the same image replaces: {scores.repeated}")
    if scores.missing:
        notes.append(f"columns that the table does not have: {', '.join(scores.missing)}")
    return notes


def _photographs(count: int) -> str:
    return "1 photograph" if count == 1 else f"{count} photographs"
