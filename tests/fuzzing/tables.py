"""Damaged tables of scores and of ratings: each is read, or refused in a sentence; nothing else may happen."""

import io
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from typer.testing import CliRunner, Result

from fuzzing.damage import damaged
from fuzzing.watched import FaultError


@cache
def whole_files() -> tuple[tuple[str, bytes], ...]:
    """Small tables in every layout that is read, each with the ending of its name."""
    generator = np.random.default_rng(0)
    truth = generator.uniform(0, 100, 40)
    table = pd.DataFrame({"image": [f"photo {number}.png" for number in range(40)]})
    for name, spread in (("ssim", 5), ("psnr", 10), ("vif", 20), ("lpips", 15)):
        table[name] = np.round(truth + generator.normal(0, spread, 40), 3)
    table["mos"] = np.round(truth, 2)
    table.loc[3, "vif"] = np.nan
    table.loc[5, "psnr"] = np.inf
    long = table.drop(columns="mos").melt("image", var_name="metric", value_name="score")
    turned = table.set_index("image").drop(columns="mos").T
    parquet = io.BytesIO()
    table.to_parquet(parquet)
    return (
        (".csv", table.to_csv(index=False).encode()),
        (".csv", table.to_csv(index=False, sep=";", decimal=",").encode()),
        (".tsv", table.to_csv(index=False, sep="\t").encode("utf-16")),
        (".csv", long.to_csv(index=False).encode("utf-8-sig")),
        (".csv", turned.to_csv().encode()),
        (".csv", table.to_csv(index=False, header=False).encode("latin-1")),
        (".csv", table[["image", "mos"]].rename(columns={"mos": "rating"}).to_csv(index=False).encode()),
        (".parquet", parquet.getvalue()),
    )


def content_of(case: int) -> tuple[str, bytes]:
    """The ending of a case's name, and its bytes: damaged as bytes, or every second one by its cells."""
    files, generator = whole_files(), np.random.default_rng([2, case])
    if case % 2:
        texts = [content.decode() for suffix, content in files if suffix == ".csv"]
        return ".csv", _odd_cells(texts[generator.integers(len(texts))], generator).encode()
    number, content = damaged([content for _, content in files], generator)
    return files[number][0], content


_ODD = ("", " ", "nan", "inf", "-inf", "1e400", "-0", "1,5", "1.234.567", "0x10", "TRUE", "photo 1.png", "mos", "é",
        '"', "=1+1", "12 %", "−3", "1e-320", "None", "\0", "\t", "9" * 400)  # fmt: skip


def _odd_cells(text: str, generator: np.random.Generator) -> str:
    """A table with odd values, whole columns of them, and rows that are missing, repeated, cut or moved."""
    mark = ";" if ";" in text else ","
    rows = [line.split(mark) for line in text.splitlines()]
    for _ in range(generator.geometric(0.4)):
        row, column = generator.integers(len(rows)), generator.integers(len(rows[0]) or 1)
        kind, odd = generator.integers(7), _ODD[generator.integers(len(_ODD))]
        if kind < 3 and column < len(rows[row]):
            rows[row][column] = odd
        elif kind == 3:
            for one in rows[1:]:
                one[column : column + 1] = [odd]
        elif kind == 4:
            rows.insert(row, list(rows[generator.integers(len(rows))]))
        elif kind == 5 and len(rows) > 1:
            del rows[row if generator.random() < 0.5 else slice(row, None)]
            rows = rows or [[""]]
        else:
            rows[row] = rows[row][:column]
    return "\n".join(mark.join(row) for row in rows) + "\n"


def judge(case: int) -> str:
    """Give a case's file to the commands that read tables."""
    suffix, content = content_of(case)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"table{suffix}"
        path.write_bytes(content)
        fused = _fuse(path)
        _ratings(path)
    return fused


def _fuse(path: Path) -> str:
    """Fit to the table and predict it."""
    from map_score_fusion.cli import app

    model = path.with_name("model")
    outcome = _outcome(CliRunner().invoke(app, ["fit", str(path), "--out", str(model), "--format", "csv"]))
    if outcome == "refused":
        return outcome
    return _outcome(CliRunner().invoke(app, ["predict", str(model), str(path), "--format", "csv"]))


def _outcome(result: Result) -> str:
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code == 0:
        if not result.stdout.strip():
            raise FaultError("is taken without a word and without a row")
        return "read"
    said = result.stderr.strip()
    if result.exit_code not in (1, 2) or not said or "Traceback" in said:
        raise FaultError(f"ends with {result.exit_code} and {said[-200:]!r}")
    return "refused"


def _ratings(path: Path) -> None:
    """Tables of ratings are refused by `DataError` alone."""
    from defnet.data.ratings import declare_ratings
    from defnet.errors import DataError

    if path.suffix == ".parquet":
        return
    try:
        declare_ratings(path, scale=(0, 100), columns={"rating": "mos"})
    except DataError as error:
        if not str(error).strip():
            raise FaultError("is refused as ratings without a reason") from error
