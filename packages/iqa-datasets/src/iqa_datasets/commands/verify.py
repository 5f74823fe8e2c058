"""`iqa-datasets verify`: is a data set's folder whole?"""

import csv
import io
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.commands import EXIT_CODES, terminal
from iqa_datasets.terminal import ALL_RIGHT, SOME_NOT, cell, new_table, printable, show_table

if TYPE_CHECKING:
    from iqa_datasets.verification import Verification

_SHOWN = 20  # findings of one kind that are shown on the terminal


EPILOG = f"""**Examples**

`iqa-datasets verify koniq-10k data/koniq-10k` — a summary of what is wrong

`iqa-datasets verify koniq-10k data/koniq-10k --out findings.csv` — every finding

{EXIT_CODES}"""


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The official folder.")],
    workers: Annotated[int | None, typer.Option(help="Threads; all cores if not given.", min=1)] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write all findings to this file, .csv or .json.", metavar="FILE")
    ] = None,
) -> None:
    """Decode every image of a data set and list what is missing, damaged, of the wrong size, unlabelled or doubled."""
    terminal.check_out(out, (".csv", ".json"))
    from iqa_datasets.verification import verify as check

    with terminal.plain_errors():
        found = check(name, root, workers=workers, progress=partial(terminal.track, what="decoding"))
        if out is not None:
            _write(found, out)
        _show(found)
    raise typer.Exit(ALL_RIGHT if found.ok else SOME_NOT)


def _show(found: "Verification") -> None:
    from iqa_datasets.registry import info
    from iqa_datasets.verification import FAULTS, NOTES

    counts = Counter(finding.kind for finding in found.findings)
    for kind, meaning in (*FAULTS.items(), *NOTES.items()):
        if not counts[kind]:
            continue
        typer.echo(f"{kind} ({counts[kind]:,}): {meaning}")
        of_kind = [finding for finding in found.findings if finding.kind == kind]
        for finding in of_kind[:_SHOWN]:
            typer.echo(printable(f"  {finding.path} {finding.detail}"))
        if len(of_kind) > _SHOWN:
            typer.echo(f"  … and {len(of_kind) - _SHOWN:,} more; --out FILE writes all")
        typer.echo("")
    numbers = ("images", "of", "references", "decoded whole", "faults", "notes")
    table = new_table("data set", *numbers, right=numbers)
    faults, documented = len(found.faults), info(found.name).size
    counts_of_all = (found.images, documented, found.references, found.decoded, faults, len(found.findings) - faults)
    table.add_row(*map(cell, (found.name, *counts_of_all)))
    show_table(table)
    if documented is not None and found.images < documented and not counts["labels"]:
        terminal.say(f"the label files list {found.images:,} images; the whole data set has {documented:,}")
    if counts["labels"]:
        terminal.say("the label files must be put right first; no image was looked at")


def _write(found: "Verification", out: Path) -> None:
    from iqa_datasets.atomic_files import replacing

    rows = [finding._asdict() for finding in found.findings]
    if out.suffix.lower() == ".json":
        content = {
            "data_set": found.name,
            "root": str(found.root),
            "images": found.images,
            "references": found.references,
            "decoded": found.decoded,
            "ok": found.ok,
            "findings": rows,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    else:
        stream = io.StringIO()
        writer = csv.DictWriter(stream, ["kind", "path", "detail"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = stream.getvalue()
    with replacing(out) as part:
        part.write_text(text, encoding="utf-8", errors="surrogateescape")
