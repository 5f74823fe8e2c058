"""Kill a scoring run at random moments, again and again: does its table end as if nobody had?

    python scoring_kills.py [--kills 100] [--images 60] [--seed 0] [--quick]

`defnet score FOLDER --out TABLE` is started on made-up images, killed (SIGKILL) at a random moment between its start
and its end, and started again by the same command, until it ends; then on the next table, in another format, until
there have been so many kills. Each table must be to the bit the one that a run comes to that nobody disturbs (Parquet:
have the same rows), with nothing left beside it. It prints how far each killed run had come, and ends with 1 where a
table differs.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FORMATS = ("csv", "jsonl", "json", "parquet")


def make_images(folder: Path, count: int) -> None:
    """Small made-up images, a tenth of them damaged: what fails is to fail again."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        rows = np.linspace(0, 255, 240)[:, None, None] * generator.uniform(0.3, 1, 3)
        noise = generator.normal(0, generator.uniform(0, 40), (240, 320, 3))
        path = folder / f"{number:03}.png"
        Image.fromarray(np.clip(rows + noise, 0, 255).astype(np.uint8)).save(path)
        if number % 10 == 9:
            path.write_bytes(path.read_bytes()[:200])


def score(folder: Path, table: Path, seconds: float) -> int | None:
    """Run the command, or kill it after so many seconds; the exit code, or None where it was killed."""
    command = [sys.executable, "-m", "defnet"]
    arguments = ["score", str(folder), "--out", str(table), "--device", "cpu", "--crops", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def rows_on_disk(table: Path) -> int:
    """Lines that are there of a table, whole or not."""
    lines = table if table.suffix in (".csv", ".jsonl") else table.with_name(f".{table.name}.rows.jsonl")
    return lines.read_bytes().count(b"\n") if lines.is_file() else 0


def content(table: Path) -> Any:
    """What two tables have alike that hold the same."""
    if table.suffix != ".parquet":
        return table.read_bytes()
    import pyarrow.parquet

    return pyarrow.parquet.read_table(table).to_pylist()


def left_beside(table: Path) -> list[str]:
    """Files that belong to a run that has not ended."""
    known = {table.name, f"{table.name}.run.json"}
    return sorted(path.name for path in table.parent.iterdir() if path.name not in known)


def main() -> None:
    """Kill, go on, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=None, help="100, or 4 with --quick")
    parser.add_argument("--images", type=int, default=None, help="60, or 20 with --quick")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--quick", action="store_true", help="four kills, twenty images")
    arguments = parser.parse_args()
    wanted = arguments.kills if arguments.kills is not None else 4 if arguments.quick else 100
    images = arguments.images if arguments.images is not None else 20 if arguments.quick else 60
    moments = random.Random(arguments.seed)
    kills = runs = differing = 0
    with tempfile.TemporaryDirectory() as place:
        photos = Path(place) / "photos"
        make_images(photos, images)
        expected = {}
        for suffix in FORMATS:
            table = Path(place) / f"undisturbed-{suffix}" / f"scores.{suffix}"
            table.parent.mkdir()
            began = time.monotonic()
            if score(photos, table, 3600) != 1:  # some could not be scored
                raise SystemExit("the undisturbed run failed")
            whole = time.monotonic() - began
            expected[suffix] = content(table)
        print(f"{images} images are scored in {whole:.1f} s undisturbed", flush=True)
        while kills < wanted:
            suffix = FORMATS[runs % len(FORMATS)]
            table = Path(place) / f"run-{runs}" / f"scores.{suffix}"
            table.parent.mkdir()
            while True:
                seconds = moments.uniform(0, whole) if kills < wanted else 3600
                code = score(photos, table, seconds)
                if code is not None:
                    break
                kills += 1
                print(f"kill {kills:>3} of {suffix}: after {seconds:.2f} s, {rows_on_disk(table)} lines", flush=True)
            same = code == 1 and content(table) == expected[suffix] and not left_beside(table)
            if not same:
                print(f"run {runs} ({suffix}) ended with {code} and another table; beside it: {left_beside(table)}")
            differing += not same
            runs += 1
    print(f"\n{kills} kills over {runs} tables: {differing} ended otherwise than undisturbed")
    raise SystemExit(differing > 0)


if __name__ == "__main__":
    main()
