"""`defnet explain`: why an image has its score."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from defnet.model.shipped import DEFAULT_MODEL
from iqa_datasets.terminal import OutputFormat, Terminal, write_rows

if TYPE_CHECKING:
    from defnet.explanation.result import Explanation

TERMINAL = Terminal("defnet")

SUFFIXES = (".png", ".html", ".htm", ".json")

COLUMNS = (
    "view",
    "left",
    "top",
    "right",
    "bottom",
    "quality",
    "std",
    "nu",
    "alpha",
    "beta",
    "share",
    "quality_without",
    "change",
)
"""Of the table: a row a sub-image, then `whole`, and `cross` and `fusion`, which are fused of those."""

EPILOG = """**Examples**

`defnet explain photo.jpg` — in words, and a table of its sub-images

`defnet explain photo.jpg --out why.png` — the photograph under its sub-images' quality and uncertainty

`defnet explain photo.jpg --out why.html` — the same as a page, with all figures

`defnet explain photo.jpg --format json` — for a program

Each row is a view: a sub-image, or the whole image. `share` is how much of the score is of it: all of them together are
the whole score. `quality_without` is the score of the others without it. `nu`, `alpha` and `beta` are its evidence.

**Exit code**: 0 all right, 2 nothing could be done, 130 interrupted."""


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A file; `-` is standard input.")],
    model: Annotated[
        str,
        typer.Option(help="As for `defnet score`: a shipped model, a file, a training run.", metavar="MODEL"),
    ] = DEFAULT_MODEL,
    out: Annotated[
        Path | None, typer.Option(help="Write a .png picture, an .html page or .json.", metavar="FILE")
    ] = None,
    output_format: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Sub-images an image is looked at with (lite: 15).")] = None,
    frame: Annotated[int, typer.Option(min=1, help="Which frame or page of a file of several.")] = 1,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda`, `cuda:1`, …; by default CUDA if there.")] = None,
) -> None:
    """Explain a score: what each sub-image says, how much it counts, and where the score would go without it."""
    from defnet.errors import DEFNetError

    with TERMINAL.plain_errors(DEFNetError):
        if out is not None and output_format is not None:
            TERMINAL.fail("--format is about standard output; the ending of --out chooses the file's format")
        TERMINAL.check_out(out, SUFFIXES)
        from defnet import load_scorer

        source: str | bytes = sys.stdin.buffer.read() if image == "-" else image
        found = load_scorer(model, device=device, crops=crops, runtime="torch").explain(source, frame=frame - 1)
        if out is not None:
            write(found, source, frame - 1, out)
            for line in str(found).split("\n"):
                TERMINAL.say(line)
            return
        if output_format in (OutputFormat.json, OutputFormat.jsonl):
            from defnet.commands.info import as_json

            sys.stdout.write(as_json(found.as_dict(), indent=2 if output_format is OutputFormat.json else None))
            return
        for line in str(found).split("\n"):
            TERMINAL.say(line)
        write_rows(rows(found), COLUMNS, output_format=output_format)


def rows(found: "Explanation") -> list[dict[str, Any]]:
    """One row a view."""
    table: list[dict[str, Any]] = []
    for number, view in enumerate(found.sub_images, start=1):
        row = dict.fromkeys(COLUMNS) | {"view": str(number), "quality": view.quality, "share": view.share}
        row |= dict(zip(("left", "top", "right", "bottom"), map(round, view.box), strict=True))
        table.append(row | {"quality_without": view.quality_without, "change": view.change} | _figures(view.evidence))
    for name, evidence, share in (
        ("whole", found.whole, found.whole_share),
        ("cross", found.cross, None),
        ("fusion", found.fusion, None),
    ):
        if evidence is not None:
            table.append(
                dict.fromkeys(COLUMNS)
                | {"view": name, "quality": evidence.quality, "share": share}
                | _figures(evidence)
            )
    return table


def _figures(evidence: Any) -> dict[str, Any]:
    return {} if evidence is None else {name: getattr(evidence, name) for name in ("std", "nu", "alpha", "beta")}


def write(found: "Explanation", source: str | bytes, frame: int, out: Path) -> None:
    """Write a picture, a page or JSON, by the ending of the file's name."""
    from iqa_datasets.atomic_files import replacing
    from iqa_datasets.images import open_image_with_warnings

    suffix = out.suffix.lower()
    if suffix == ".json":
        from defnet.commands.info import as_json

        with replacing(out) as part:
            part.write_text(as_json(found.as_dict(), indent=2), encoding="utf-8", errors="surrogateescape")
        return
    picture = open_image_with_warnings(source, frame=frame).image
    if suffix == ".png":
        from defnet.explanation.picture import explanation_figure

        with replacing(out) as part:
            explanation_figure(found, picture).savefig(part, dpi=110, format="png")
        return
    from defnet.explanation.page import explanation_page

    with replacing(out) as part:
        part.write_text(explanation_page(found, picture), encoding="utf-8")
