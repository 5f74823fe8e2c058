"""`iqa-datasets table`: a data set as one file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqa_datasets.commands import terminal
from iqa_datasets.row_files import SUFFIXES
from iqa_datasets.terminal import OutputFormat, write_rows

if TYPE_CHECKING:
    import pandas as pd

EPILOG = """**Examples**

`iqa-datasets table koniq-10k koniq-10k --session official --out koniq.parquet`

`iqa-datasets table live-challenge ChallengeDB_release --labels liqe-labels --session 1 --part test --out test.csv`

`iqa-datasets table csiq CSIQ | head` — CSV on a pipe

Scenes are written as one text, separated by `|`. **Exit code**: 0 done, 2 nothing could be done."""


def table(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An id of `iqa-datasets list`.")],
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="The official folder.")],
    out: Annotated[
        Path | None,
        typer.Option(help="A .csv, .json, .jsonl or .parquet file; standard output if not given.", metavar="FILE"),
    ] = None,
    output: Annotated[
        OutputFormat | None,
        typer.Option("--format", help="On standard output: by default a table on a terminal, CSV on a pipe."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The folder of LIQE's label files (it holds IQA_Database/).", metavar="DIR")
    ] = None,
    session: Annotated[
        str | None, typer.Option(help="1 to 10 (with --labels), `official` or `seeded-SEED`.", metavar="SESSION")
    ] = None,
    part: Annotated[str | None, typer.Option(help="Only this part of the session: train, val or test.")] = None,
    relative: Annotated[bool, typer.Option(help="Write paths relative to ROOT, with forward slashes.")] = False,
) -> None:
    """Write a data set's table: image, reference, scores, distortion, scenes, content and part, a row an image."""
    terminal.check_out(out, SUFFIXES)
    if out is not None and out.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            terminal.fail(f"{os.fspath(out)} needs pyarrow: install iqa-datasets[parquet], or write .csv")
    from iqa_datasets.registry import load

    with terminal.plain_errors():
        chosen = int(session) if session is not None and session.isdecimal() else session
        dataset = load(name, root, labels=labels, session=chosen, part=part)
        records = dataset.records.copy()
        if relative:
            for column in ("image_path", "reference_path"):
                records[column] = records[column].map(
                    lambda path: Path(path).relative_to(dataset.root).as_posix(), na_action="ignore"
                )
        if out is None:
            text = _as_text(records)
            write_rows(text.itertuples(index=False, name=None), list(text.columns), output_format=output)
            return
        _write(records, out)
    terminal.say(f"wrote {len(records):,} rows to {out}")


def _as_text(records: "pd.DataFrame") -> "pd.DataFrame":
    return records.assign(scenes=records["scenes"].map("|".join))


def _write(records: "pd.DataFrame", out: Path) -> None:
    from iqa_datasets.atomic_files import replacing

    with replacing(out) as part:
        match out.suffix.lower():
            case ".parquet":
                _as_text(records).to_parquet(part, engine="pyarrow", index=False)
            case ".json" | ".jsonl" as suffix:
                _as_text(records).to_json(
                    part, orient="records", lines=suffix == ".jsonl", force_ascii=False, double_precision=15
                )
            case _:  # a device or a pipe may have any name
                _as_text(records).to_csv(part, index=False, lineterminator="\n")
