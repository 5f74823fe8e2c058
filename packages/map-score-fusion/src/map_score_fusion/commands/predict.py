"""`map-score-fusion predict`: fused scores of a table of any length."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from map_score_fusion.commands.terminal import (
    FAULTS_FOUND,
    fail,
    plain_errors,
    said_warnings,
    say,
    with_progress,
)

if TYPE_CHECKING:
    import pandas as pd

    from map_score_fusion.estimator import ScoreFusion

EPILOG = """**Examples**

`map-score-fusion predict model/ scores.csv --out fused.csv` — the table without the metrics, with fused_score

`map-score-fusion predict model/ scores.parquet --out fused.parquet --std --weights`

`map-score-fusion predict model/ scores.csv --id-column image | sort -t, -k2 -g | head` — CSV on a pipe

**Exit code**: 0 all fused, 1 some rows hold no score that counts, 2 nothing could be done."""

SUFFIXES = (".csv", ".parquet", ".jsonl")

Write = Callable[["pd.DataFrame"], None]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote.")],
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A .csv or .parquet file, a row an image.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A .csv, .parquet or .jsonl file; CSV on standard output if not given."),
    ] = None,
    id_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="A column to pass through; may be repeated. All but the metrics if not given."
        ),
    ] = None,
    std: Annotated[bool, typer.Option("--std", help="Add fused_std, the fused score's standard deviation.")] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Add weight_METRIC, its weight in each image.")] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Add uncertainty_METRIC, the scale of each score's noise.")
    ] = False,
    rows: Annotated[int, typer.Option(min=1, help="Rows in memory at a time; changes no score.")] = 100_000,
) -> None:
    """Fuse the scores of each image of a table, which may be larger than memory.

    The output has a row for each row of the table, in its order: what is passed through, as it stands, then fused_score
    in [0, 1], higher = better. It appears when it is complete. Rows without any score have an empty fused_score.
    """
    if out is not None and out.suffix.lower() not in SUFFIXES:
        fail(f"--out must end in {', '.join(SUFFIXES)}, got {out}")
    with plain_errors(), said_warnings():
        from map_score_fusion.errors import ScoreTableError
        from map_score_fusion.estimator import ScoreFusion
        from map_score_fusion.score_table import read_pieces

        fusion = ScoreFusion.load(model)
        metrics = [str(name) for name in fusion.metric_summary_.index]
        pieces = read_pieces(scores, rows, numbers=metrics)
        total = empty = 0
        types: dict[str, str] | None = None
        with _writer(out) as write:
            for piece in with_progress(pieces, _rows_in(scores), "fusing", len):
                missing = [name for name in id_column or () if name not in piece.columns]
                if missing:
                    raise ScoreTableError(
                        f"{scores}: --id-column names {missing[0]!r}, which is no column; the columns are "
                        f"{', '.join(map(str, piece.columns))}"
                    )
                passed = piece[id_column] if id_column else piece.drop(columns=metrics, errors="ignore")
                if out is not None and out.suffix.lower() != ".csv":
                    types = _types(passed) if types is None else types
                    passed = _typed(passed, types, scores)
                fused = _fused(fusion, piece, metrics, std=std, weights=weights, uncertainty=uncertainty)
                clash = [name for name in fused if name in passed.columns]
                if clash:
                    raise ScoreTableError(
                        f"{scores}: a column {clash[0]!r} is there already; choose what to pass through by --id-column"
                    )
                write(passed.assign(**fused))
                total += len(piece)
                empty += int(fused["fused_score"].isna().sum())
    if out is not None:
        say(f"wrote {total:,} rows to {out}")
    if empty:
        say(f"{empty:,} of {total:,} rows hold no score of a metric with weight; their fused_score is empty")
        raise typer.Exit(FAULTS_FOUND)


def _fused(
    fusion: "ScoreFusion", piece: "pd.DataFrame", metrics: list[str], *, std: bool, weights: bool, uncertainty: bool
) -> "dict[str, pd.Series[float]]":
    import pandas as pd

    def columns(prefix: str, values: Any) -> "dict[str, pd.Series[float]]":
        return {f"{prefix}_{name}": pd.Series(values[:, at], piece.index) for at, name in enumerate(metrics)}

    found: dict[str, pd.Series[float]] = {}
    if std:
        scores, deviations = fusion.predict(piece, return_std=True, on_empty_row="nan")
        found["fused_score"] = pd.Series(scores, piece.index)
        found["fused_std"] = pd.Series(deviations, piece.index)
    else:
        found["fused_score"] = pd.Series(fusion.predict(piece, on_empty_row="nan"), piece.index)
    if weights:
        found |= columns("weight", fusion.weights(piece, on_empty_row="nan"))
    if uncertainty:
        found |= columns("uncertainty", fusion.score_uncertainty(piece, on_empty_row="nan"))
    return found


def _types(passed: "pd.DataFrame") -> dict[str, str]:
    """Return which columns of text hold numbers throughout, and of which type; a leading zero is a label's."""
    import pandas as pd

    found = {}
    for name in passed.columns:
        column = passed[name]
        if pd.api.types.is_numeric_dtype(column.dtype) or not column.map(lambda cell: isinstance(cell, str)).all():
            continue
        texts = column[column != ""]
        if not len(texts) or texts.str.match(r"[+-]?0\d|\s|.*\s$").any():
            continue
        numbers = pd.to_numeric(texts, errors="coerce")
        if numbers.notna().all():
            whole = len(texts) == len(column) and texts.str.fullmatch(r"-?\d{1,18}").all()
            found[str(name)] = "int64" if whole else "float64"
    return found


def _typed(passed: "pd.DataFrame", types: dict[str, str], source: Path) -> "pd.DataFrame":
    """Return the columns of text with numbers for those that the first rows showed to be numbers."""
    from map_score_fusion.errors import ScoreTableError

    typed = passed.copy()
    for name, type_ in types.items():
        column = passed[name] if type_ == "int64" else passed[name].replace("", "nan")
        try:
            typed[name] = column.to_numpy(dtype=object).astype(type_)
        except ValueError as error:
            raise ScoreTableError(
                f"{source}: column {name!r} is {'whole ' if type_ == 'int64' else ''}numbers in the first rows, not in "
                f"rows {passed.index[0]:,} on ({error}); write CSV, or choose what to pass through by --id-column"
            ) from error
    return typed


def _rows_in(path: Path) -> int | None:
    """Return a table's number of rows where its file says so."""
    if path.suffix not in (".parquet", ".pq") or not path.is_file():
        return None
    from pyarrow import ArrowException, parquet

    try:
        return int(parquet.read_metadata(path).num_rows)
    except (ArrowException, OSError):
        return None  # reading it will say what is wrong with it


@contextmanager
def _writer(out: Path | None) -> Iterator[Write]:
    """Give a function that writes one piece after another, to a file that is there whole or not at all."""
    from iqa_datasets.atomic_files import replacing

    if out is None:
        first = True

        def to_pipe(piece: "pd.DataFrame") -> None:
            nonlocal first
            piece.to_csv(sys.stdout, index=False, header=first, lineterminator="\n")
            first = False

        yield to_pipe
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as part:
        if out.suffix.lower() == ".parquet":
            with _parquet_writer(part) as write:
                yield write
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            if out.suffix.lower() == ".csv":
                yield lambda piece: piece.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")
            else:
                yield lambda piece: file.writelines(map(_json_line, piece.to_dict(orient="records")))


def _json_line(record: dict[Any, Any]) -> str:
    """Return a record as a line, with null for NaN."""
    import pandas as pd

    values = {str(name): None if pd.isna(value) else value for name, value in record.items()}
    return json.dumps(values, ensure_ascii=False, default=str) + "\n"


@contextmanager
def _parquet_writer(part: Path) -> Iterator[Write]:
    try:
        from pyarrow import ArrowException, Table, parquet
    except ImportError as error:
        raise ImportError('Parquet needs pyarrow: pip install "map-score-fusion[parquet]"') from error
    from map_score_fusion.errors import ScoreTableError

    writer: Any = None

    def write(piece: "pd.DataFrame") -> None:
        nonlocal writer
        try:
            table = Table.from_pandas(piece, schema=None if writer is None else writer.schema, preserve_index=False)
            if writer is None:
                writer = parquet.ParquetWriter(part, table.schema)
            writer.write_table(table)
        except ArrowException as error:
            raise ScoreTableError(
                f"rows {piece.index[0]:,} on do not fit the types of those before: {error}"
            ) from error

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
