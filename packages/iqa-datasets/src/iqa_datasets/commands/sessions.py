"""`iqa-datasets sessions`: how large the parts of each split are, and what stands on both sides of it."""

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.commands import EXIT_CODES, terminal
from iqa_datasets.printed_tables import default_format
from iqa_datasets.terminal import ALL_RIGHT, SOME_NOT, OutputFormat, cell, new_table, printable, show_table, write_rows

if TYPE_CHECKING:
    from iqa_datasets.records import IQADataset
    from iqa_datasets.sessions import Crossing

EPILOG = f"""**Examples**

`iqa-datasets sessions live-challenge ChallengeDB_release --labels liqe-labels` — all ten of LIQE's

`iqa-datasets sessions koniq-10k koniq-10k --session official --session seeded-1`

{EXIT_CODES} What stands on both sides of a split is a fault."""


_PARTS = ("train", "val", "test")
_KINDS = ("content", "identical", "near")


def sessions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The official folder.")],
    labels: Annotated[
        Path | None, typer.Option(help="The folder of LIQE's label files (it holds IQA_Database/).", metavar="DIR")
    ] = None,
    session: Annotated[
        list[str] | None,
        typer.Option(
            help="1 to 10 (with --labels), `official`, `seeded-SEED` or `seeded-SEED:TRAIN/VAL/TEST`; may be repeated. "
            "Without: all of LIQE's with --labels, else the official one if there is one, and seeded-1.",
            metavar="SESSION",
        ),
    ] = None,
    output: Annotated[
        OutputFormat | None,
        typer.Option(
            "--format",
            help="By default a table on a terminal, CSV on a pipe: a row for each session.",
        ),
    ] = None,
) -> None:
    """Report each split's parts, and the pictures on both sides of it: same content, copies, near-duplicates.

    Pictures are compared by perceptual hash, references in place of the images made from them.
    """
    from iqa_datasets.liqe import SESSIONS
    from iqa_datasets.registry import info, load
    from iqa_datasets.sessions import OFFICIAL, crossings

    with terminal.plain_errors():
        wanted: list[str] = list(session or ())
        if not wanted and labels is not None:
            wanted = [str(number) for number in SESSIONS]
        elif not wanted:
            wanted = [*([OFFICIAL] if info(name).official_session else []), "seeded-1"]
        report = []
        for one in wanted:
            dataset = load(name, root, session=int(one) if one.isdecimal() else one, labels=labels)
            report.append((one, dataset, crossings(dataset, progress=partial(terminal.track, what="hashing"))))
        match output or default_format():
            case OutputFormat.json:
                typer.echo(json.dumps([_as_json(*entry) for entry in report], indent=2, ensure_ascii=False))
            case OutputFormat.jsonl:
                for entry in report:
                    typer.echo(json.dumps(_as_json(*entry), ensure_ascii=False))
            case OutputFormat.csv:
                write_rows(
                    [_row(*entry) for entry in report], ("session", *_PARTS, *_KINDS), output_format=OutputFormat.csv
                )
            case _:
                _show(report)
    raise typer.Exit(SOME_NOT if any(found for _, _, found in report) else ALL_RIGHT)


def _counts(dataset: "IQADataset") -> dict[str, int]:
    return {str(part): int(count) for part, count in dataset.records["session_part"].value_counts(sort=False).items()}


def _row(session: str, dataset: "IQADataset", found: "list[Crossing]") -> list[object]:
    counts, crossing = _counts(dataset), Counter(one.kind for one in found)
    return [session, *(counts.get(part, 0) for part in _PARTS), *(crossing[kind] for kind in _KINDS)]


def _as_json(session: str, dataset: "IQADataset", found: "list[Crossing]") -> dict[str, object]:
    return {
        "session": session,
        "parts": _counts(dataset),
        "on_both_sides": [
            {**crossing._asdict(), "first": _short(crossing.first, dataset), "second": _short(crossing.second, dataset)}
            for crossing in found
        ],
    }


def _short(path: str, dataset: "IQADataset") -> str:
    return Path(path).relative_to(dataset.root).as_posix()


def _show(report: "list[tuple[str, IQADataset, list[Crossing]]]") -> None:
    table = new_table("session", *_PARTS, *_KINDS, right=(*_PARTS, *_KINDS))
    for entry in report:
        table.add_row(*map(cell, _row(*entry)))
    show_table(table)
    typer.echo("content, identical, near: pairs that stand in two parts, by the data set's word or by perceptual hash")
    for session, dataset, found in report:
        for one in found:
            first, second = _short(one.first, dataset), _short(one.second, dataset)
            pair = f"{first} = {second}" if first != second else first
            bits = f", {one.distance} bits" if one.kind == "near" else ""
            line = f"  session {session}: {pair} ({one.kind}{bits}) in {one.parts[0]} and {one.parts[1]}"
            typer.echo(printable(f"{line}, {one.images} images"))
