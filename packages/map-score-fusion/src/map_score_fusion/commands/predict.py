"""`map-score-fusion predict`: fused scores of a table of any length."""

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from iqa_datasets.terminal import SOME_NOT
from map_score_fusion.column_numbers import column_numbers
from map_score_fusion.commands.terminal import (
    SUFFIXES,
    FormatOption,
    OutOption,
    OutputFormat,
    plain_errors,
    said_warnings,
    terminal,
)
from map_score_fusion.real_tables import REAL_TABLES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from map_score_fusion.estimator import ScoreFusion

EPILOG = """**Examples**

`map-score-fusion predict model/ scores.csv --out fused.csv` — the table without the metrics, with fused_score

`map-score-fusion predict model/ scores.parquet --out fused.parquet --std --weights`

`map-score-fusion predict model/ scores.csv --id-column image | sort -t, -k2 -g | head` — CSV on a pipe

**Exit code**: 0 all fused, 1 some rows hold no score that counts, or most scores of a metric lie far outside the range
that it had in the fit, 2 nothing could be done."""

ON_ANOTHER_SCALE = 0.5
"""Share of a metric's scores far outside the training range, from which the result is not to be trusted."""

Write = Callable[["pd.DataFrame"], None]


@dataclass
class _Counts:
    """What is counted over the pieces of a table."""

    rows: int = 0
    empty: int = 0
    flagged: int = 0
    scores: "NDArray[np.int64] | int" = 0
    outside: "NDArray[np.int64] | int" = 0


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote.")],
    scores: Annotated[
        list[Path],
        typer.Argument(
            metavar="SCORES...",
            help="A .csv or .parquet file, a row an image; several are joined by the images' names.",
        ),
    ],
    out: OutOption = None,
    id_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="A column to pass through; may be repeated. All but the metrics if not given."
        ),
    ] = None,
    std: Annotated[
        bool,
        typer.Option(
            "--std",
            help="Add fused_rank, the share of the training images that the image is above, and fused_rank_std, its "
            f"standard deviation. {REAL_TABLES}",
        ),
    ] = False,
    weights: Annotated[bool, typer.Option("--weights", help="Add weight_METRIC, its weight in each image.")] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Add uncertainty_METRIC, the scale of each score's noise.")
    ] = False,
    rows: Annotated[int, typer.Option(min=1, help="Rows in memory at a time; changes no score.")] = 100_000,
    output: FormatOption = None,
) -> None:
    """Fuse the scores of each image of a table, which may be larger than memory.

    The output has a row for each row of the table, in its order: what is passed through, as it stands, then fused_score
    in [0, 1], higher = better, and outside_range, how many of the row's scores lie so far outside the range of the fit
    that they cannot be trusted. It appears when it is complete. Rows without any score have an empty fused_score.
    """
    terminal.check_out(out, SUFFIXES)
    with plain_errors(), said_warnings():
        from map_score_fusion.errors import OutsideRangeWarning, ScoreTableError
        from map_score_fusion.estimator import ScoreFusion
        from map_score_fusion.table_files import read_pieces, read_tables

        fusion = ScoreFusion.load(model)
        metrics = [str(name) for name in fusion.metric_summary_.index]
        source = ", ".join(map(str, scores))
        if len(scores) == 1:
            pieces = read_pieces(scores[0], rows, numbers=metrics, say=terminal.say)
        else:
            pieces = iter([read_tables(scores, numbers=metrics, say=terminal.say)])
        counts = _Counts()
        types: dict[str, str] | None = None
        with _writer(out, output) as write:
            for piece in terminal.track(pieces, _rows_in(scores), "fusing", len):
                missing = [name for name in id_column or () if name not in piece.columns]
                if missing:
                    raise ScoreTableError(
                        f"{source}: --id-column names {missing[0]!r}, which is no column; the columns are "
                        f"{', '.join(map(str, piece.columns))}"
                    )
                passed = piece[id_column] if id_column else piece.drop(columns=metrics, errors="ignore")
                if out is not None and out.suffix.lower() != ".csv":
                    types = _types(passed) if types is None else types
                    passed = _typed(passed, types, source)
                with warnings.catch_warnings():
                    # Counted over all pieces, and said once.
                    warnings.simplefilter("ignore", OutsideRangeWarning)
                    fused = _fused(fusion, piece, metrics, std=std, weights=weights, uncertainty=uncertainty)
                _count(counts, fusion, piece, metrics, fused)
                clash = [name for name in fused if name in passed.columns]
                if clash:
                    raise ScoreTableError(
                        f"{source}: a column {clash[0]!r} is there already; choose what to pass through by --id-column"
                    )
                write(passed.assign(**fused))
    if out is not None:
        terminal.say(f"wrote {counts.rows:,} rows to {out}")
    elsewhere = _say_what_is_outside(counts, metrics)
    if counts.empty:
        terminal.say(f"{counts.empty:,} of {counts.rows:,} rows hold no score of a metric with weight: no fused_score")
    if counts.empty or elsewhere:
        raise typer.Exit(SOME_NOT)


def _count(
    counts: _Counts,
    fusion: "ScoreFusion",
    piece: "pd.DataFrame",
    metrics: list[str],
    fused: "dict[str, pd.Series[Any]]",
) -> None:
    import numpy as np

    counts.rows += len(piece)
    counts.empty += int(fused["fused_score"].isna().sum())
    counts.flagged += int((fused["outside_range"] > 0).sum())
    counts.scores += np.isfinite(piece[metrics].to_numpy(dtype=np.float64, na_value=np.nan)).sum(axis=0)
    counts.outside += fusion.outside_range(piece).sum(axis=0)


def _say_what_is_outside(counts: _Counts, metrics: list[str]) -> bool:
    """Say which metrics have scores far outside the training range; return whether one has most of them there."""
    import numpy as np

    share = np.atleast_1d(counts.outside / np.maximum(counts.scores, 1))
    if not counts.flagged:
        return False
    named = ", ".join(f"{metrics[index]} {share[index]:.1%}" for index in np.flatnonzero(share))
    terminal.say(
        f"warning: scores far outside the range of the fit, in {counts.flagged:,} of {counts.rows:,} rows: {named}. "
        "The column outside_range counts them; with --std their ranks' deviations are wider. Check the metrics' scale, "
        "sign and version"
    )
    return bool((share > ON_ANOTHER_SCALE).any())


def _fused(
    fusion: "ScoreFusion", piece: "pd.DataFrame", metrics: list[str], *, std: bool, weights: bool, uncertainty: bool
) -> "dict[str, pd.Series[Any]]":
    import pandas as pd

    def columns(prefix: str, values: Any) -> "dict[str, pd.Series[float]]":
        return {f"{prefix}_{name}": pd.Series(values[:, at], piece.index) for at, name in enumerate(metrics)}

    found: dict[str, pd.Series[Any]] = {
        "fused_score": pd.Series(fusion.predict(piece, on_empty_row="nan"), piece.index)
    }
    if std:
        ranks, deviations = fusion.ranks(piece, on_empty_row="nan")
        found["fused_rank"] = pd.Series(ranks, piece.index)
        found["fused_rank_std"] = pd.Series(deviations, piece.index)
    found["outside_range"] = pd.Series(fusion.outside_range(piece).sum(axis=1), piece.index)
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
        numbers = column_numbers(texts)
        if numbers.notna().all():
            whole = len(texts) == len(column) and texts.str.fullmatch(r"-?\d{1,18}").all()
            found[str(name)] = "int64" if whole else "float64"
    return found


def _typed(passed: "pd.DataFrame", types: dict[str, str], source: object) -> "pd.DataFrame":
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


def _rows_in(paths: list[Path]) -> int | None:
    """Return a table's number of rows where its file says so."""
    if len(paths) != 1 or paths[0].suffix not in (".parquet", ".pq") or not paths[0].is_file():
        return None
    from pyarrow import ArrowException, parquet

    try:
        return int(parquet.read_metadata(paths[0]).num_rows)
    except (ArrowException, OSError):
        return None  # reading it will say what is wrong with it


@contextmanager
def _writer(out: Path | None, output: OutputFormat | None) -> Iterator[Write]:
    """Give a function that writes one piece after another, to a file that is there whole or not at all."""
    from iqa_datasets.atomic_files import replacing

    if out is None:
        if output is OutputFormat.table or output is OutputFormat.json:
            with _at_once(None, output) as write:
                yield write
        elif output is OutputFormat.jsonl:
            yield lambda piece: sys.stdout.writelines(map(_json_line, piece.to_dict(orient="records")))
        else:
            yield _csv_writer(sys.stdout)
        return
    suffix = out.suffix.lower()
    if suffix == ".json":
        with _at_once(out, None) as write:
            yield write
        return
    with replacing(out) as part:
        if suffix == ".parquet":
            with _parquet_writer(part) as write:
                yield write
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            if suffix == ".jsonl":
                yield lambda piece: file.writelines(map(_json_line, piece.to_dict(orient="records")))
            else:
                yield _csv_writer(file)


def _csv_writer(file: TextIO) -> Write:
    first = True

    def write(piece: "pd.DataFrame") -> None:
        nonlocal first
        piece.to_csv(file, index=False, header=first, lineterminator="\n")
        first = False

    return write


@contextmanager
def _at_once(out: Path | None, output: OutputFormat | None) -> Iterator[Write]:
    """Collect the pieces, and write them when all are there: what a table or a JSON list needs."""
    import pandas as pd

    from iqa_datasets.terminal import write_rows

    pieces: list[pd.DataFrame] = []
    yield pieces.append
    whole = pd.concat(pieces)
    write_rows(whole.itertuples(index=False, name=None), list(map(str, whole.columns)), out=out, output_format=output)


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
